/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A mapping of the program is freed.
 * expect: hakmem: hak_free: not a block of this allocator: POINTER */
#include "support/crime.h"

#include <sys/mman.h>

int main(void) {
  void *page = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  hak_free(accuse(page));
  unpunished();
}
