/* SPDX-License-Identifier: MIT OR Apache-2.0
 * An array of aligned C++ objects is deleted as one of fewer.
 * links: libhakmem.so
 * expect: hakmem: hak_free_aligned_sized: not the size it was allocated with: POINTER */
#include "support/crime.h"

extern void *_ZnamSt11align_val_t(size_t size, size_t alignment);
extern void _ZdaPvmSt11align_val_t(void *p, size_t size, size_t alignment);

int main(void) {
  _ZdaPvmSt11align_val_t(accuse(_ZnamSt11align_val_t(MID_SIZE, 64)), MID_SIZE - 64, 64);
  unpunished();
}
