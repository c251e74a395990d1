/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block of the tiny tier is freed, cleared by the program, and freed again.
 * expect: hakmem: hak_free: double free: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = accuse(block_of(TINY_SIZE));
  hak_free(block);
  memset(block, 0, TINY_SIZE);
  hak_free(block);
  unpunished();
}
