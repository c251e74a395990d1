/* SPDX-License-Identifier: MIT OR Apache-2.0
 * An address in the first page is freed.
 * expect: hakmem: hak_free: not a block of this allocator: POINTER */
#include "support/crime.h"

int main(void) {
  hak_free(accuse((void *)(uintptr_t)1));
  unpunished();
}
