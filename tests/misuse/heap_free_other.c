/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block of one heap is freed as one of another.
 * expect: hakmem: hak_heap_free: not a block of this heap: POINTER */
#include "support/crime.h"

int main(void) {
  hak_heap_t *heap = hak_heap_new(NULL);
  hak_heap_t *other = hak_heap_new(NULL);
  hak_heap_free(other, accuse(hak_heap_malloc(heap, 100)));
  unpunished();
}
