/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A pointer 16 bytes into a block of the mmap tier is freed.
 * expect: hakmem: hak_free: pointer inside a block: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = block_of(MMAP_SIZE);
  hak_free(accuse(block + 16));
  unpunished();
}
