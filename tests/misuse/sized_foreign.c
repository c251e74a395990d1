/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block of another allocator is freed by its size.
 * expect: hakmem: hak_free_sized: not a block of this allocator: POINTER */
#include "support/crime.h"

int main(void) {
  hak_free_sized(accuse(malloc(100)), 100);
  unpunished();
}
