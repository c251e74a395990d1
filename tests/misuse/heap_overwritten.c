/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A program writes to a block that it freed, and the heap hands it out again.
 * expect: hakmem: hak_heap_malloc: a free block was written to: POINTER */
#include "support/crime.h"

int main(void) {
  hak_heap_t *heap = hak_heap_new(NULL);
  char *block = hak_heap_malloc(heap, 100);
  hak_free(block);
  memset(accuse(block), 0x2a, 100);
  void *again = hak_heap_malloc(heap, 100);
  (void)again;
  unpunished();
}
