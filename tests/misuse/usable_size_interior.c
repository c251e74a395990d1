/* SPDX-License-Identifier: MIT OR Apache-2.0
 * The size at a pointer into a block is asked for.
 * expect: hakmem: hak_usable_size: pointer inside a block: POINTER */
#include "support/crime.h"

int main(void) {
  if (hak_usable_size(accuse(block_of(POOL_SIZE) + 4096)) > 0) {
    unpunished();
  }
  unpunished();
}
