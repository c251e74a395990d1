/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Limits of heaps of a program's own: exact for every size, also when blocks are resized, and when several threads
 * are at it.
 */
#include <pthread.h>

#include "test_heap.h"

static void expect_refused(hak_heap_t *heap, size_t size) {
  hak_heap_stats_t before = stats_of(heap);
  errno = 0;
  CHECK(hak_heap_malloc(heap, size) == NULL && errno == ENOMEM, "%zu bytes: errno %d", size, errno);
  hak_heap_stats_t after = stats_of(heap);
  CHECK(after.failed == before.failed + 1, "%llu failed", (unsigned long long)after.failed);
  after.failed = before.failed;
  after.footprint_bytes = before.footprint_bytes; /* memory made ready may stay */
  CHECK(memcmp(&before, &after, sizeof before) == 0, "%zu bytes were refused, and something changed", size);
}

static void limits_are_exact(void **state) {
  (void)state;
  SKIP_IN_SECURE_BUILD(); /* a block takes more than its usable size of the limit */
  static const size_t sizes[] = {16, 112, 1024, 8 * KIB, 9 * KIB, 52 * KIB, 320 * KIB, 2 * MIB, 3 * MIB};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    for (size_t blocks = 1; blocks <= 70; blocks += 23) {
      void *block[70];
      hak_heap_t *heap = heap_with_limit(blocks * sizes[i]);
      for (size_t n = 0; n < blocks; n++) {
        block[n] = hak_heap_malloc(heap, sizes[i] - n % 7);
        CHECK(block[n] != NULL, "block %zu of %zu of %zu bytes", n, blocks, sizes[i]);
      }
      expect_refused(heap, sizes[i]);
      expect_refused(heap, 1);
      expect_refused(heap, 5 * MIB);
      hak_free(block[0]);
      CHECK((block[0] = hak_heap_zalloc(heap, sizes[i])) != NULL, "%zu bytes again", sizes[i]);
      expect_refused(heap, 1);
      hak_heap_reset(heap);
      expect_live(heap, 0, 0);
      CHECK(hak_heap_malloc(heap, sizes[i]) != NULL, "%zu bytes after a reset", sizes[i]);
      hak_heap_stats_t stats = stats_of(heap);
      CHECK(stats.limit_bytes == blocks * sizes[i] && stats.peak_bytes == stats.limit_bytes, "%llu of %llu",
            (unsigned long long)stats.peak_bytes, (unsigned long long)stats.limit_bytes);
      hak_heap_destroy(heap);
    }
  }
}

/* What a resized block will be is what counts: one that moves within the limit is not in the way of itself. */
static void limits_and_realloc(void **state) {
  (void)state;
  SKIP_IN_SECURE_BUILD(); /* a block takes more than its usable size of the limit */
  static const size_t sizes[][2] = {{1024, 2048},       {64 * KIB, 128 * KIB}, {MIB, 3 * MIB},
                                    {3 * MIB, 6 * MIB}, {3 * MIB, MIB},        {100, 16}};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    size_t from = hak_good_size(sizes[i][0]), to = hak_good_size(sizes[i][1]), most = from > to ? from : to;
    for (int grown = 0; grown < 3; grown++) {
      hak_heap_t *heap = heap_with_limit(most);
      char *block = hak_heap_malloc(heap, from);
      CHECK(block != NULL, "%zu bytes", from);
      memset(block, 9, from);
      char *resized = grown == 0   ? hak_heap_realloc(heap, block, to)
                      : grown == 1 ? hak_realloc(block, to)
                                   : hak_realloc_aligned_sized(block, 16, from, to);
      CHECK(resized != NULL && resized[0] == 9, "%zu to %zu bytes, limit %zu", from, to, most);
      hak_heap_stats_t stats = stats_of(heap);
      CHECK(stats.live_bytes == hak_usable_size(resized) && stats.live_blocks == 1, "%zu to %zu", from, to);
      CHECK(stats.peak_bytes == most && stats.failed == 0, "%zu to %zu: the peak is %llu", from, to,
            (unsigned long long)stats.peak_bytes);
      errno = 0;
      CHECK(hak_heap_realloc(heap, resized, most + 1) == NULL && errno == ENOMEM, "beyond %zu: errno %d", most, errno);
      stats = stats_of(heap);
      CHECK(stats.live_bytes == hak_usable_size(resized) && stats.live_blocks == 1 && stats.failed == 1, "refused");
      CHECK(resized[0] == 9, "content");
      hak_free(resized);
      expect_live(heap, 0, 0);
      hak_heap_destroy(heap);
    }
  }
}

/* Several threads at the limit: never above it. */
static void *crowd(void *argument) {
  hak_heap_t *heap = argument;
  rng_t rng = {(uint64_t)(uintptr_t)&rng};
  void *mine[16] = {0};
  for (size_t i = 0; i < test_work(30000); i++) {
    size_t at = rng_below(&rng, 16);
    if (mine[at] != NULL && i % 3 == 0) {
      void *resized = hak_realloc(mine[at], random_size(&rng));
      mine[at] = resized == NULL ? mine[at] : resized;
    } else {
      hak_free(mine[at]);
      mine[at] = hak_heap_malloc(heap, i % 100 == 0 ? 3 * MIB : random_size(&rng));
    }
  }
  for (size_t i = 0; i < 16; i++) {
    hak_free(mine[i]);
  }
  return NULL;
}

static void threads_at_the_limit(void **state) {
  (void)state;
  hak_heap_t *heap = heap_with_limit(4 * MIB);
  pthread_t thread[3];
  for (size_t i = 0; i < 3; i++) {
    CHECK(pthread_create(&thread[i], NULL, crowd, heap) == 0, "thread %zu", i);
  }
  for (size_t i = 0; i < test_work(1000); i++) {
    hak_heap_stats_t stats = stats_of(heap);
    CHECK(stats.live_bytes <= 4 * MIB && stats.peak_bytes <= 4 * MIB, "%llu", (unsigned long long)stats.peak_bytes);
  }
  for (size_t i = 0; i < 3; i++) {
    pthread_join(thread[i], NULL);
  }
  CHECK(stats_of(heap).peak_bytes <= 4 * MIB && stats_of(heap).failed > 0, "the limit was not met");
  expect_live(heap, 0, 0);
  hak_heap_destroy(heap);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(limits_are_exact),
      cmocka_unit_test(limits_and_realloc),
      cmocka_unit_test(threads_at_the_limit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
