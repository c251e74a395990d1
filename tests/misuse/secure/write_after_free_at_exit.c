/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block is written to after it was freed, and then the program ends.
 * expect: hakmem: exit: a free block was written to: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = accuse(block_of(TINY_SIZE));
  hak_free(block);
  block[0] = 1;
  exit(0);
  unpunished();
}
