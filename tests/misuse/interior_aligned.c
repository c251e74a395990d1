/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A pointer into an aligned block is freed.
 * expect: hakmem: hak_free: pointer inside a block: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = hak_aligned_alloc(65536, 100000);
  hak_free(accuse(block + 4096));
  unpunished();
}
