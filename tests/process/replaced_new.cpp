// SPDX-License-Identifier: MIT OR Apache-2.0
// A program that replaces the plain operator new and delete, and no other, sees all blocks: the other forms call them. One
// block that came past its new into its delete would be taken for corruption.
// runs: system preload static
#include <algorithm>
#include <new>
#include <vector>

#include "process.h"
#include "sized_delete.h"

#ifdef __cpp_sized_deallocation
#pragma GCC diagnostic ignored "-Wsized-deallocation" // that is the point
#endif

static constexpr size_t header = 16;
static constexpr uint64_t mark = 0x6d61726b6d61726b;
static volatile long live; // compilers take operator new to touch nothing of ours
static volatile bool fails;

void *operator new(size_t size) {
  if (fails) throw std::bad_alloc();
  char *block = static_cast<char *>(malloc(size + header));
  memcpy(block, &mark, sizeof mark);
  live = live + 1;
  return block + header;
}

void operator delete(void *p) noexcept {
  if (p == nullptr) return;
  char *block = static_cast<char *>(p) - header;
  CHECK(memcmp(block, &mark, sizeof mark) == 0, "delete of %p, which new has not seen", p);
  live = live - 1;
  free(block);
}

int main() {
  check_allocator();
  const long before = live;
  void *p[4] = {opaque(::operator new(100)), opaque(::operator new[](100)), opaque(::operator new(100, std::nothrow)),
                opaque(::operator new[](100, std::nothrow))};
  CHECK(live == before + 4, "%ld of 4 blocks came through the program's own new", live - before);
  ::operator delete(p[0], size_t(100));
  ::operator delete[](p[1], size_t(100));
  ::operator delete(p[2], std::nothrow);
  ::operator delete[](p[3], std::nothrow);
  CHECK(live == before, "%ld blocks did not come through the program's own delete", live - before);

  // Its buffer is a nothrow new's, and goes to a plain delete.
  std::vector<int> numbers(10000);
  for (size_t i = 0; i < numbers.size(); i++) numbers[i] = static_cast<int>(i * 7919 % 10007);
  std::stable_sort(numbers.begin(), numbers.end());
  CHECK(std::is_sorted(numbers.begin(), numbers.end()), "not sorted");

  fails = true; // what it throws is caught by the nothrow forms
  CHECK(opaque(::operator new(100, std::nothrow)) == nullptr, "nothrow");
  CHECK(opaque(::operator new[](100, std::nothrow)) == nullptr, "nothrow, array");
  fails = false;
  return 0;
}
