/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A global variable is freed.
 * expect: hakmem: hak_free: not a block of this allocator: POINTER */
#include "support/crime.h"

static char global[64] = "global";

int main(void) {
  hak_free(accuse(global));
  unpunished();
}
