/* SPDX-License-Identifier: MIT OR Apache-2.0
 * The address of a live pool block with bits set that no address has.
 * expect: hakmem: hak_free: not a block of this allocator: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = block_of(POOL_SIZE);
  hak_free(accuse((void *)((uintptr_t)block | (uintptr_t)1 << 48)));
  unpunished();
}
