/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block of a heap is freed by a size that it does not have.
 * expect: hakmem: hak_heap_free_sized: not the size it was allocated with: POINTER */
#include "support/crime.h"

int main(void) {
  hak_heap_t *heap = hak_heap_new(NULL);
  hak_heap_free_sized(heap, accuse(hak_heap_malloc(heap, MID_SIZE)), 16, MID_SIZE + 1);
  unpunished();
}
