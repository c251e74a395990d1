/* SPDX-License-Identifier: MIT OR Apache-2.0
 * What would be the next block behind the last one of a small span is freed: its class has larger spans, in which one begins there.
 * expect: hakmem: hak_free: not a block of this allocator: POINTER */
#include "support/crime.h"

int main(void) {
  uintptr_t slice = (uintptr_t)block_of(POOL_SIZE) & ~(uintptr_t)0xffff; /* 3 blocks of 20 KiB fit into it */
  hak_free(accuse((char *)slice + 3 * 20480));
  unpunished();
}
