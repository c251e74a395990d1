/* SPDX-License-Identifier: MIT OR Apache-2.0
 * An aligned block is freed twice.
 * expect: hakmem: hak_free: double free: POINTER */
#include "support/crime.h"

int main(void) {
  void *block = hak_aligned_alloc(4096, 5000);
  hak_free(block);
  hak_free(accuse(block));
  unpunished();
}
