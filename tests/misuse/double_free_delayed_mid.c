/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block of the mid tier is freed again after 100 others of its size.
 * expect: hakmem: hak_free: double free: POINTER */
#include "support/crime.h"

int main(void) {
  char *blocks[101];
  for (int i = 0; i < 101; i++) {
    blocks[i] = block_of(MID_SIZE);
  }
  for (int i = 0; i < 101; i++) {
    hak_free(blocks[i]);
  }
  hak_free(accuse(blocks[0]));
  unpunished();
}
