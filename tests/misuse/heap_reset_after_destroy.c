/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A heap that was destroyed is reset.
 * expect: hakmem: hak_heap_reset: not a live heap: POINTER */
#include "support/crime.h"

int main(void) {
  hak_heap_t *heap = hak_heap_new(NULL);
  hak_heap_destroy(heap);
  hak_heap_reset(accuse(heap));
  unpunished();
}
