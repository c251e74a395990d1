/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A pointer to where a block of a heap would begin that was never handed out is freed.
 * expect: hakmem: hak_free: double free: POINTER */
#include "support/crime.h"

int main(void) {
  hak_heap_t *heap = hak_heap_new(NULL);
  char *block = hak_heap_malloc(heap, 1000); /* of 1024 bytes, in every build */
  hak_free(accuse(block + 1024));
  unpunished();
}
