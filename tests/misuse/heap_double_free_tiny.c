/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block of a heap, of the tiny tier's sizes, is freed twice.
 * expect: hakmem: hak_free: double free: POINTER */
#include "support/crime.h"

int main(void) {
  hak_heap_t *heap = hak_heap_new(NULL);
  char *block = hak_heap_malloc(heap, TINY_SIZE), *other = hak_heap_malloc(heap, TINY_SIZE);
  hak_free(block);
  hak_free(accuse(block));
  hak_free(other);
  unpunished();
}
