/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block is freed after its heap was reset.
 * expect: hakmem: hak_free: double free: POINTER */
#include "support/crime.h"

int main(void) {
  hak_heap_t *heap = hak_heap_new(NULL);
  char *block = hak_heap_malloc(heap, 100);
  hak_heap_reset(heap);
  hak_free(accuse(block));
  unpunished();
}
