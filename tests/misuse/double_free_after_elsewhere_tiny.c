/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Another thread frees a block of the tiny tier and ends, then the thread that allocated it does.
 * expect: hakmem: hak_free: double free: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = block_of(TINY_SIZE);
  free_elsewhere(block);
  hak_free(accuse(block));
  unpunished();
}
