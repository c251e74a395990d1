/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block of one heap, of the tiny tier's sizes, is resized in another.
 * expect: hakmem: hak_heap_realloc: not a block of this heap: POINTER */
#include "support/crime.h"

int main(void) {
  hak_heap_t *heap = hak_heap_new(NULL);
  hak_heap_t *other = hak_heap_new(NULL);
  void *moved = hak_heap_realloc(other, accuse(hak_heap_malloc(heap, TINY_SIZE)), 2 * TINY_SIZE);
  (void)moved;
  unpunished();
}
