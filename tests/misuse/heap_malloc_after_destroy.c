/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A heap that was destroyed is asked for a block.
 * expect: hakmem: hak_heap_malloc: not a live heap: POINTER */
#include "support/crime.h"

int main(void) {
  hak_heap_t *heap = hak_heap_new(NULL);
  hak_heap_destroy(heap);
  void *block = hak_heap_malloc(accuse(heap), 100);
  (void)block;
  unpunished();
}
