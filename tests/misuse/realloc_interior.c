/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A pointer into a block is resized.
 * expect: hakmem: hak_realloc: pointer inside a block: POINTER */
#include "support/crime.h"

int main(void) {
  void *moved = hak_realloc(accuse(block_of(MID_SIZE) + 64), 200);
  (void)moved;
  unpunished();
}
