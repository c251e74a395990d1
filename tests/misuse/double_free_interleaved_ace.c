/* SPDX-License-Identifier: MIT OR Apache-2.0
 * a b a: another block of the ace tier is freed in between.
 * expect: hakmem: hak_free: double free: POINTER */
#include "support/crime.h"

int main(void) {
  char *a = block_of(ACE_SIZE);
  char *b = block_of(ACE_SIZE);
  hak_free(a);
  hak_free(b);
  hak_free(accuse(a));
  unpunished();
}
