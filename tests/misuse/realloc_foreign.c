/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block of another allocator is resized.
 * expect: hakmem: hak_realloc: not a block of this allocator: POINTER */
#include "support/crime.h"

int main(void) {
  void *moved = hak_realloc(accuse(malloc(100)), 200);
  (void)moved;
  unpunished();
}
