/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A heap is destroyed twice.
 * expect: hakmem: hak_heap_destroy: not a live heap: POINTER */
#include "support/crime.h"

int main(void) {
  hak_heap_t *heap = hak_heap_new(NULL);
  hak_heap_destroy(heap);
  hak_heap_destroy(accuse(heap));
  unpunished();
}
