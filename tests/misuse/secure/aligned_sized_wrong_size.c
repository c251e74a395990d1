/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block is freed as an aligned one with the size of its class instead of its own.
 * expect: hakmem: hak_free_aligned_sized: not the size it was allocated with: POINTER */
#include "support/crime.h"

int main(void) {
  hak_free_aligned_sized(accuse(hak_aligned_alloc(64, TINY_SIZE)), 64, 128);
  unpunished();
}
