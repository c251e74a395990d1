/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block whose memory went back to the system is freed again.
 * expect: hakmem: hak_free: double free: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = block_of(TINY_SIZE);
  char *neighbour = block_of(TINY_SIZE);
  hak_free(block);
  hak_collect(0);
  hak_free(accuse(block));
  hak_free(neighbour);
  unpunished();
}
