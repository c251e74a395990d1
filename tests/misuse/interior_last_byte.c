/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A pointer to the last byte of a large block is freed.
 * expect: hakmem: hak_free: pointer inside a block: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = block_of(ACE_SIZE);
  hak_free(accuse(block + ACE_SIZE - 1));
  unpunished();
}
