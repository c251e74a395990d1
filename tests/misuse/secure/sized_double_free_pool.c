/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block of the pool tier is freed twice by its size.
 * expect: hakmem: hak_free_sized: double free: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = block_of(POOL_SIZE);
  hak_free_sized(block, POOL_SIZE);
  hak_free_sized(accuse(block), POOL_SIZE);
  unpunished();
}
