/* SPDX-License-Identifier: MIT OR Apache-2.0
 * The only block of a heap, of the ace tier's sizes, is freed twice by name of the heap.
 * expect: hakmem: hak_heap_free: double free: POINTER */
#include "support/crime.h"

int main(void) {
  hak_heap_t *heap = hak_heap_new(NULL);
  char *block = hak_heap_malloc(heap, ACE_SIZE);
  hak_heap_free(heap, block);
  hak_heap_free(heap, accuse(block));
  unpunished();
}
