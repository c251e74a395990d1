// SPDX-License-Identifier: MIT OR Apache-2.0
// For late_cxx.c: a new that fails, and one whose handler throws under nothrow.
#include <cstddef>
#include <cstdint>
#include <new>

extern "C" const char *failing_new() {
  volatile std::size_t huge = PTRDIFF_MAX - 100;
  try {
    ::operator delete(::operator new(huge));
    return "new returned";
  } catch (const std::bad_alloc &) {
  }
  std::set_new_handler([] { throw std::bad_alloc(); });
  void *block = ::operator new(huge, std::nothrow);
  std::set_new_handler(nullptr);
  return block == nullptr ? "caught" : "nothrow new returned";
}
