/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block of the pool tier that was written past its end is resized.
 * expect: hakmem: hak_realloc: bytes behind the block were written to: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = accuse(block_of(POOL_SIZE));
  block[POOL_SIZE] ^= 1;
  block = hak_realloc(block, POOL_SIZE / 2);
  unpunished();
}
