/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What the tests of heaps of a program's own share: making them, their figures, and what is wanted of their blocks.
 */
#ifndef HAK_TESTS_TEST_HEAP_H
#define HAK_TESTS_TEST_HEAP_H

#include "testing.h"

TEST_UNUSED static hak_heap_t *heap_with_limit(size_t limit) {
  hak_heap_options_t options = {.size = sizeof options, .limit_bytes = limit};
  hak_heap_t *heap = hak_heap_new(&options);
  CHECK(heap != NULL, "errno %d", errno);
  return heap;
}

TEST_UNUSED static hak_heap_t *heap_new(void) { return heap_with_limit(0); }

TEST_UNUSED static hak_heap_stats_t stats_of(hak_heap_t *heap) {
  hak_heap_stats_t stats = {.size = sizeof stats};
  CHECK(hak_heap_stats(heap, &stats) == 1, "stats");
  return stats;
}

TEST_UNUSED static void expect_live(hak_heap_t *heap, size_t bytes, size_t blocks) {
  hak_heap_stats_t stats = stats_of(heap);
  /* In the secure build it is what the blocks take: a word and the rounding more. */
  bool more = test_is_secure() && stats.live_bytes > bytes && stats.live_bytes <= bytes + bytes / 8 + blocks * 4104;
  CHECK((stats.live_bytes == bytes || (blocks != 0 && more)) && stats.live_blocks == blocks,
        "%llu bytes, %llu blocks; not %zu, %zu", (unsigned long long)stats.live_bytes,
        (unsigned long long)stats.live_blocks, bytes, blocks);
}

TEST_UNUSED static void check_block(hak_heap_t *heap, void *block, size_t size, size_t alignment) {
  CHECK(block != NULL, "%zu bytes: errno %d", size, errno);
  CHECK((uintptr_t)block % alignment == 0, "%zu bytes at %p, not a multiple of %zu", size, block, alignment);
  CHECK(hak_usable_size(block) >= size, "%zu bytes: %zu usable", size, hak_usable_size(block));
  CHECK(hak_heap_of(block) == heap, "%zu bytes at %p: of another heap", size, block);
}

/* Blocks of random sizes, which nobody frees. */
TEST_UNUSED static void heap_fill(hak_heap_t *heap, rng_t *rng, size_t blocks) {
  for (size_t i = 0; i < blocks; i++) {
    size_t size = random_size(rng);
    void *block = hak_heap_malloc(heap, size);
    check_block(heap, block, size, 16);
    pattern_fill_ends(block, size, i);
  }
}

#endif
