/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block of the mid tier is freed as one that is a byte smaller.
 * expect: hakmem: hak_free_sized: not the size it was allocated with: POINTER */
#include "support/crime.h"

int main(void) {
  hak_free_sized(accuse(block_of(MID_SIZE)), MID_SIZE - 1);
  unpunished();
}
