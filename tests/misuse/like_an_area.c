/* SPDX-License-Identifier: MIT OR Apache-2.0
 * An address of which the number of its slice looks like what the tag map says of a heap's slice.
 * expect: hakmem: hak_free: not a block of this allocator: POINTER */
#include "support/crime.h"

int main(void) {
  (void)!hak_heap_new(NULL);
  hak_free(accuse((void *)(uintptr_t)0xfff000000000));
  unpunished();
}
