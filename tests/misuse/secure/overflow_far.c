/* SPDX-License-Identifier: MIT OR Apache-2.0
 * All bytes to the end of a page behind a block are written to.
 * expect: hakmem: hak_free: bytes behind the block were written to: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = accuse(block_of(TINY_SIZE));
  memset(block, 0, 4096 - (uintptr_t)block % 4096);
  hak_free(block);
  unpunished();
}
