/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block, of the pool tier's sizes, is freed after its heap was destroyed.
 * expect: hakmem: hak_free: double free: POINTER */
#include "support/crime.h"

int main(void) {
  hak_heap_t *heap = hak_heap_new(NULL);
  char *block = hak_heap_malloc(heap, POOL_SIZE);
  hak_heap_destroy(heap);
  hak_free(accuse(block));
  unpunished();
}
