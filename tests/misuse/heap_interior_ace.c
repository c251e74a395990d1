/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A pointer into a heap's block, of the ace tier's sizes, is freed.
 * expect: hakmem: hak_free: pointer inside a block: POINTER */
#include "support/crime.h"

int main(void) {
  hak_heap_t *heap = hak_heap_new(NULL);
  char *block = hak_heap_malloc(heap, ACE_SIZE);
  hak_free(accuse(block + 16));
  unpunished();
}
