/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A local variable is freed as an aligned block.
 * expect: hakmem: hak_free_aligned_sized: not a block of this allocator: POINTER */
#include "support/crime.h"

int main(void) {
  char local[64] = "local";
  hak_free_aligned_sized(accuse(local), 64, 64);
  unpunished();
}
