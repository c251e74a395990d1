/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block of a heap, of the size of the tiny tier, is written to one byte past its end.
 * expect: hakmem: hak_heap_free: bytes behind the block were written to: POINTER */
#include "support/crime.h"

int main(void) {
  hak_heap_t *heap = hak_heap_new(NULL);
  char *block = accuse(hak_heap_malloc(heap, TINY_SIZE));
  block[TINY_SIZE] = 0;
  hak_heap_free(heap, block);
  unpunished();
}
