/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block is resized by a size that it does not have.
 * expect: hakmem: hak_realloc_aligned_sized: not the size it was allocated with: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = hak_realloc_aligned_sized(accuse(block_of(MID_SIZE)), 16, MID_SIZE / 2, MID_SIZE * 2);
  (void)block;
  unpunished();
}
