/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A local variable is resized as an aligned block.
 * expect: hakmem: hak_realloc_aligned_sized: not a block of this allocator: POINTER */
#include "support/crime.h"

int main(void) {
  char local[64] = "local";
  void *moved = hak_realloc_aligned_sized(accuse(local), 64, 64, 128);
  (void)moved;
  unpunished();
}
