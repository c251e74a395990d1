/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block of the mmap tier that was written past its end is resized.
 * expect: hakmem: hak_realloc: bytes behind the block were written to: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = accuse(block_of(MMAP_SIZE));
  block[MMAP_SIZE] ^= 1;
  block = hak_realloc(block, MMAP_SIZE / 2);
  unpunished();
}
