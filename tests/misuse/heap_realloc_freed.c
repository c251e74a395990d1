/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A freed block of a heap is resized.
 * expect: hakmem: hak_heap_realloc: double free: POINTER */
#include "support/crime.h"

int main(void) {
  hak_heap_t *heap = hak_heap_new(NULL);
  char *block = hak_heap_malloc(heap, 100);
  hak_free(block);
  void *moved = hak_heap_realloc(heap, accuse(block), 1000);
  (void)moved;
  unpunished();
}
