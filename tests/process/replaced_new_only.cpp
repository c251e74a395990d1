// SPDX-License-Identifier: MIT OR Apache-2.0
// A program that replaces operator new and not delete, which then frees: its new may ask for more than it was asked for, so the
// size that a delete is given is not the block's.
// runs: system preload static
#include <new>

#include "process.h"
#include "sized_delete.h"

void *operator new(size_t size) { return opaque(malloc(size + 40)); }
void *operator new(size_t size, std::align_val_t alignment) {
  return opaque(aligned_alloc(size_t(alignment), size + size_t(alignment)));
}

int main() {
  check_allocator();
  const auto wide = std::align_val_t(64);
  ::operator delete(opaque(::operator new(100)), size_t(100));
  ::operator delete[](opaque(::operator new[](100)), size_t(100));
  ::operator delete(opaque(::operator new(128, wide)), size_t(128), wide);
  ::operator delete[](opaque(::operator new[](128, wide)), size_t(128), wide);
  return 0;
}
