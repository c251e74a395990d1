/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block of one heap, of the mid tier's sizes, is resized in another.
 * expect: hakmem: hak_heap_realloc: not a block of this heap: POINTER */
#include "support/crime.h"

int main(void) {
  hak_heap_t *heap = hak_heap_new(NULL);
  hak_heap_t *other = hak_heap_new(NULL);
  void *moved = hak_heap_realloc(other, accuse(hak_heap_malloc(heap, MID_SIZE)), 2 * MID_SIZE);
  (void)moved;
  unpunished();
}
