/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Sixteen bytes behind a block of the mmap tier are written to.
 * expect: hakmem: hak_free: bytes behind the block were written to: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = accuse(block_of(MMAP_SIZE - 16)); /* so that they are in the same mapping */
  memset(block + MMAP_SIZE - 16, 0x41, 16);
  hak_free(block);
  unpunished();
}
