/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A C++ object is deleted as one of a smaller class.
 * links: libhakmem.so
 * expect: hakmem: hak_free_sized: not the size it was allocated with: POINTER */
#include "support/crime.h"

extern void *_Znwm(size_t size);
extern void _ZdlPvm(void *p, size_t size);

int main(void) {
  _ZdlPvm(accuse(_Znwm(TINY_SIZE)), TINY_SIZE - 8);
  unpunished();
}
