/* SPDX-License-Identifier: MIT OR Apache-2.0
 * The thread that allocated a block of the tiny tier frees it, and another thread frees it again.
 * expect: hakmem: hak_free: double free: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = block_of(TINY_SIZE);
  hak_free(block);
  free_elsewhere(accuse(block));
  unpunished();
}
