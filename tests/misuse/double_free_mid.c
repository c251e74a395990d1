/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block of the mid tier is freed twice in a row.
 * expect: hakmem: hak_free: double free: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = block_of(MID_SIZE);
  hak_free(block);
  hak_free(accuse(block));
  unpunished();
}
