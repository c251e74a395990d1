/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A local variable is freed.
 * expect: hakmem: hak_free: not a block of this allocator: POINTER */
#include "support/crime.h"

int main(void) {
  char local[64] = "local";
  hak_free(accuse(local));
  unpunished();
}
