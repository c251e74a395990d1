/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block is freed with an alignment that it does not have.
 * expect: hakmem: hak_free_aligned_sized: not the alignment it was allocated with: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = hak_aligned_alloc(64, TINY_SIZE);
  size_t alignment = 64;
  while ((uintptr_t)block % alignment == 0) alignment *= 2;
  hak_free_aligned_sized(accuse(block), alignment, TINY_SIZE);
  unpunished();
}
