/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block that was written past its end is asked for its size.
 * expect: hakmem: hak_usable_size: bytes behind the block were written to: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = accuse(block_of(TINY_SIZE));
  block[TINY_SIZE] = 0;
  (void)hak_usable_size(block);
  unpunished();
}
