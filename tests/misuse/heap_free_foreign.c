/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A pointer of another allocator is freed as a block of a heap.
 * expect: hakmem: hak_heap_free: not a block of this allocator: POINTER */
#include "support/crime.h"

int main(void) {
  hak_heap_t *heap = hak_heap_new(NULL);
  hak_heap_free(heap, accuse(malloc(100)));
  unpunished();
}
