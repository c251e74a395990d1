// SPDX-License-Identifier: MIT OR Apache-2.0
// The operators new and delete of C++17, each called by its name; new-handlers and std::bad_alloc.
// runs: system preload static
#include <sys/resource.h>

#include <new>
#include <string>
#include <thread>
#include <vector>

#include "process.h"
#include "sized_delete.h"

// The compiler may not leave out what is called by name, but may assume that a plain new returns no null.
static const volatile size_t huge = PTRDIFF_MAX - 100;

static void check_taken(const void *block, size_t size, size_t alignment, const char *what) {
  CHECK(opaque(const_cast<void *>(block)) != nullptr, "%s of %zu bytes", what, size);
  CHECK(reinterpret_cast<uintptr_t>(block) % alignment == 0, "%s: %p is not aligned to %zu", what, block, alignment);
  CHECK(is_expected(block), "%s gives another allocator's block", what);
  memset(const_cast<void *>(block), 0x5a, size);
}

static void all_twenty(size_t size) {
  const auto wide = std::align_val_t(256);
  const size_t some = size == 0 ? 1 : size;
  void *p;
#define ROUND(NEW, ALIGNMENT, DELETE)      \
  p = opaque(NEW);                         \
  check_taken(p, size, (ALIGNMENT), #NEW); \
  memset(p, 1, size);                      \
  DELETE
  ROUND(::operator new(size), 16, ::operator delete(p));
  ROUND(::operator new(size), 16, ::operator delete(p, some));
  ROUND(::operator new(size, std::nothrow), 16, ::operator delete(p, std::nothrow));
  ROUND(::operator new[](size), 16, ::operator delete[](p));
  ROUND(::operator new[](size), 16, ::operator delete[](p, some));
  ROUND(::operator new[](size, std::nothrow), 16, ::operator delete[](p, std::nothrow));
  ROUND(::operator new(size, wide), 256, ::operator delete(p, wide));
  ROUND(::operator new(size, wide), 256, ::operator delete(p, some, wide));
  ROUND(::operator new(size, wide, std::nothrow), 256, ::operator delete(p, wide, std::nothrow));
  ROUND(::operator new[](size, wide), 256, ::operator delete[](p, wide));
  ROUND(::operator new[](size, wide), 256, ::operator delete[](p, some, wide));
  ROUND(::operator new[](size, wide, std::nothrow), 256, ::operator delete[](p, wide, std::nothrow));
#undef ROUND
}

static volatile int handled; // compilers take operator new to touch nothing of ours
static void give_up_the_third_time() {
  if ((handled = handled + 1) == 3) std::set_new_handler(nullptr);
}
struct special {};
static void throw_special() {
  handled = handled + 1;
  throw special();
}
static void throw_bad_alloc() {
  handled = handled + 1;
  throw std::bad_alloc();
}
static void *reserve;
static void free_the_reserve() {
  handled = handled + 1;
  free(reserve);
}

// What a failing throwing new throws: 'b' for bad_alloc, 's' for the handler's own, '-' for nothing.
template <typename F> static char thrown(F &&allocate) {
  struct unwound {
    bool *flag;
    ~unwound() { *flag = true; }
  };
  bool flag = false;
  char result = '-';
  try {
    unwound on_the_way{&flag};
    check_taken(opaque(allocate()), 0, 1, "new");
  } catch (const std::bad_alloc &) {
    result = 'b';
  } catch (const special &) {
    result = 's';
  }
  CHECK(flag, "the stack was not unwound");
  return result;
}

static void failures() {
  const auto wide = std::align_val_t(4096);
  void *(*const throwing[])() = {
      [] { return ::operator new(huge); },
      [] { return ::operator new[](huge); },
      [] { return ::operator new(huge, std::align_val_t(64)); },
      [] { return ::operator new[](huge, std::align_val_t(64)); },
  };
  for (auto allocate : throwing) {
    std::set_new_handler(nullptr);
    CHECK(thrown(allocate) == 'b', "without a handler");
    handled = 0;
    std::set_new_handler(give_up_the_third_time);
    CHECK(thrown(allocate) == 'b' && handled == 3, "the handler was called %d times", handled);
    handled = 0;
    std::set_new_handler(throw_special);
    CHECK(thrown(allocate) == 's' && handled == 1, "the handler's own exception");
  }
  // A handler that makes room.
  reserve = malloc(256 * MIB);
  struct rlimit before;
  getrlimit(RLIMIT_AS, &before);
  struct rlimit limit = {status_bytes("VmSize:") + 32 * MIB, before.rlim_max};
  setrlimit(RLIMIT_AS, &limit);
  handled = 0;
  std::set_new_handler(free_the_reserve);
  void *block = ::operator new(200 * MIB);
  CHECK(handled == 1, "the handler was called %d times", handled);
  ::operator delete(block);
  setrlimit(RLIMIT_AS, &before);

  for (auto handler : {static_cast<std::new_handler>(nullptr), static_cast<std::new_handler>(throw_bad_alloc)}) {
    handled = 0;
    std::set_new_handler(handler);
    CHECK(opaque(::operator new(huge, std::nothrow)) == nullptr, "nothrow");
    CHECK(opaque(::operator new[](huge, std::nothrow)) == nullptr, "nothrow, array");
    CHECK(opaque(::operator new(huge, wide, std::nothrow)) == nullptr, "nothrow, aligned");
    CHECK(opaque(::operator new[](huge, wide, std::nothrow)) == nullptr, "nothrow, aligned array");
    CHECK(handled == (handler == nullptr ? 0 : 4), "the handler was called %d times", handled);
  }
  std::set_new_handler(nullptr);
  bool is_thrown = false; // the size of an array that overflows
  try {
    size_t count = opaque_size(SIZE_MAX / 4);
    delete[] static_cast<long double *>(opaque(new long double[count]));
  } catch (const std::bad_array_new_length &) {
    is_thrown = true;
  } catch (const std::bad_alloc &) {
    is_thrown = true;
  }
  CHECK(is_thrown, "an array of too many elements");
}

int main() {
  check_allocator();
  for (size_t size :
       {size_t(0), size_t(1), tier_sizes[0], tier_sizes[1], tier_sizes[2], tier_sizes[3], tier_sizes[4]}) {
    all_twenty(size);
  }
  failures();
  ::operator delete(nullptr);
  ::operator delete[](nullptr);
  std::thread other(failures); // exceptions in a thread that is not the first
  other.join();
  std::vector<std::string> words(1000, std::string(100, 'x'));
  check_taken(words.data(), 0, 16, "std::vector");
  return 0;
}
