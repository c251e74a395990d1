/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block of another allocator is freed.
 * expect: hakmem: hak_free: not a block of this allocator: POINTER */
#include "support/crime.h"

int main(void) {
  hak_free(accuse(malloc(100)));
  unpunished();
}
