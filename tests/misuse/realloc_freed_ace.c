/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A freed block of the ace tier is resized.
 * expect: hakmem: hak_realloc: double free: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = block_of(ACE_SIZE);
  hak_free(block);
  char *moved = hak_realloc(accuse(block), 2 * ACE_SIZE);
  (void)moved;
  unpunished();
}
