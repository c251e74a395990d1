/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A pointer into a block of a heap, aligned to nothing, is asked for its size.
 * expect: hakmem: hak_usable_size: pointer inside a block: POINTER */
#include "support/crime.h"

int main(void) {
  hak_heap_t *heap = hak_heap_new(NULL);
  char *block = hak_heap_malloc(heap, 5000);
  (void)hak_usable_size(accuse(block + 4999));
  unpunished();
}
