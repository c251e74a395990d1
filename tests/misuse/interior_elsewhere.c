/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A pointer into a block of another thread is freed.
 * expect: hakmem: hak_free: pointer inside a block: POINTER */
#include "support/crime.h"

int main(void) {
  free_elsewhere(accuse(block_of(MID_SIZE) + 32));
  unpunished();
}
