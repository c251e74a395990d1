/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block of the mmap tier is written to after it was freed.
 * expect: hakmem: hak_free: a free block was written to: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = accuse(block_of(MMAP_SIZE));
  hak_free(block);
  block[MMAP_SIZE / 2 % 5000] = 1;
  hak_collect(1);
  unpunished();
}
