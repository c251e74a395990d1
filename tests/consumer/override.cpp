// SPDX-License-Identifier: MIT OR Apache-2.0
//
// A program linked with libhakmem.so: malloc, operator new, and what the C library allocates on its own all come from
// hakmem.
#include <hakmem.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

static int failures = 0;

static void expect_ours(const char *what, const void *block) {
  if (hak_tier_of(block) == HAK_TIER_NONE) {
    std::fprintf(stderr, "%s: not a block of hakmem\n", what);
    failures++;
  }
}

int main() {
  void *block = std::malloc(100);
  expect_ours("malloc", block);
  block = std::realloc(block, 100000);
  expect_ours("realloc", block);
  std::free(block);

  block = std::calloc(10, 1000);
  expect_ours("calloc", block);
  std::free(block);

  if (posix_memalign(&block, 4096, 5000) == 0) {
    expect_ours("posix_memalign", block);
    std::free(block);
  }

  char *copy = strdup("allocated inside the C library");
  expect_ours("strdup", copy);
  std::free(copy);

  int *number = new int(7);
  expect_ours("new", number);
  delete number;

  struct alignas(256) wide {
    char bytes[256];
  };
  std::vector<wide> list(3);
  expect_ours("new with an alignment", list.data());

  std::string text(1000, 'x');
  expect_ours("std::string", text.data());

  if (hak_tier_of(&failures) != HAK_TIER_NONE) {
    std::fprintf(stderr, "a static variable is taken for a block\n");
    failures++;
  }
  return failures == 0 ? 0 : 1;
}
