/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A byte in front of a block of the mid tier is written to.
 * expect: hakmem: hak_free: bytes in front of the block were written to: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = block_of(MID_SIZE);
  while ((uintptr_t)block % 65536 == 0) block = block_of(MID_SIZE); /* not the first of a slab */
  block[-1] ^= 1;
  hak_free(accuse(block));
  unpunished();
}
