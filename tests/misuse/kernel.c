/* SPDX-License-Identifier: MIT OR Apache-2.0
 * An address beyond user space is freed.
 * expect: hakmem: hak_free: not a block of this allocator: POINTER */
#include "support/crime.h"

int main(void) {
  hak_free(accuse((void *)(uintptr_t)0xffffffff80000000));
  unpunished();
}
