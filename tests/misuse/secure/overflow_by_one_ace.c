/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A string in a block of the ace tier is one byte too long: its end is behind the block.
 * expect: hakmem: hak_free: bytes behind the block were written to: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = accuse(block_of(ACE_SIZE));
  block[ACE_SIZE] = 0;
  hak_free(block);
  unpunished();
}
