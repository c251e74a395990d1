/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block of a heap is freed twice with its size.
 * expect: hakmem: hak_heap_free: double free: POINTER */
#include "support/crime.h"

int main(void) {
  hak_heap_t *heap = hak_heap_new(NULL);
  char *block = hak_heap_malloc(heap, 30000);
  hak_heap_free_sized(heap, block, 1, 30000);
  hak_heap_free_sized(heap, accuse(block), 1, 30000);
  unpunished();
}
