/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block of the ace tier is written to after it was freed.
 * expect: hakmem: hak_free: a free block was written to: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = accuse(block_of(ACE_SIZE));
  hak_free(block);
  block[ACE_SIZE / 2 % 5000] = 1;
  hak_collect(1);
  unpunished();
}
