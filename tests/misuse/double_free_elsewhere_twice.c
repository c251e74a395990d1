/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Two other threads free the same block, one after the other.
 * expect: hakmem: hak_free: double free: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = block_of(TINY_SIZE);
  free_elsewhere(block);
  free_elsewhere(accuse(block));
  unpunished();
}
