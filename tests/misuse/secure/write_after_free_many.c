/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block is written to long after it was freed, while others are freed.
 * expect: hakmem: hak_free: a free block was written to: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = accuse(block_of(TINY_SIZE));
  hak_free(block);
  block[TINY_SIZE - 1] = 1;
  for (int i = 0; i < 100000; i++) hak_free(block_of(TINY_SIZE));
  unpunished();
}
