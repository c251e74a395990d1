// SPDX-License-Identifier: MIT OR Apache-2.0
//
// As main.c, for a C++ program; with libhakmem.so its containers live in hakmem too.
#include <hakmem.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

int main() {
  struct hak_delete {
    void operator()(void *block) const { hak_free(block); }
  };
  std::unique_ptr<void, hak_delete> block(hak_aligned_alloc(256, 5000));
  if (!block || reinterpret_cast<uintptr_t>(block.get()) % 256 != 0) {
    std::fprintf(stderr, "hak_aligned_alloc gave no aligned block\n");
    return 1;
  }
  std::vector<std::string> words(1000, "a string too long to live inside its own object");
  return words.back().size() == 47 ? 0 : 1;
}
