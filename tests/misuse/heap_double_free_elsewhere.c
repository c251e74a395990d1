/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block of a heap is freed by two threads.
 * expect: hakmem: hak_free: double free: POINTER */
#include "support/crime.h"

int main(void) {
  hak_heap_t *heap = hak_heap_new(NULL);
  char *block = hak_heap_malloc(heap, 100);
  hak_free(block);
  free_elsewhere(accuse(block));
  unpunished();
}
