/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A freed block is written to, as by a dangling pointer, and freed again.
 * expect: hakmem: hak_free: double free: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = block_of(POOL_SIZE);
  hak_free(block);
  memset(block, 0, POOL_SIZE);
  hak_free(accuse(block));
  unpunished();
}
