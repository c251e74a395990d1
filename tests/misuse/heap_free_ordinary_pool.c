/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block of no heap, of the pool tier, is freed as one of a heap.
 * expect: hakmem: hak_heap_free: not a block of this heap: POINTER */
#include "support/crime.h"

int main(void) {
  hak_heap_t *heap = hak_heap_new(NULL);
  hak_heap_free(heap, accuse(block_of(POOL_SIZE)));
  unpunished();
}
