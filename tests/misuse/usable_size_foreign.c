/* SPDX-License-Identifier: MIT OR Apache-2.0
 * The size of a local variable is asked for.
 * expect: hakmem: hak_usable_size: not a block of this allocator: POINTER */
#include "support/crime.h"

int main(void) {
  char local[64] = "local";
  if (hak_usable_size(accuse(local)) > 0) {
    unpunished();
  }
  unpunished();
}
