/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Heaps of a program's own, from the first to the last: options and figures, what resets and destroys do, many of them, and
 * what they take.
 */
#include "test_heap.h"

/* ---- Options and figures ----------------------------------------------------------------------------------------- */

static void sizes_of_structures(void **state) {
  (void)state;
  hak_heap_options_t options = {.size = sizeof options - 1};
  errno = 0;
  CHECK(hak_heap_new(&options) == NULL && errno == EINVAL, "errno %d", errno);
  hak_heap_t *heap = hak_heap_new(NULL);
  CHECK(heap != NULL, "errno %d", errno);
  hak_heap_stats_t stats = {.size = 8, .failed = 77};
  CHECK(hak_heap_stats(heap, &stats) == 0 && stats.size == 8 && stats.failed == 77, "an unknown size");
  stats = stats_of(heap);
  CHECK(stats.limit_bytes == 0 && stats.peak_bytes == 0 && stats.footprint_bytes == 0, "a new heap");
  hak_heap_destroy(heap);
  heap = heap_with_limit(SIZE_MAX);
  CHECK(hak_heap_malloc(heap, 3 * MIB) != NULL, "without a limit");
  hak_heap_destroy(heap);
}

static void statistics_know_heaps(void **state) {
  (void)state;
  hak_stats_t before = stats_now();
  hak_heap_t *heap = heap_new();
  void *small = hak_heap_malloc(heap, 100), *large = hak_heap_malloc(heap, 3 * MIB);
  CHECK(small != NULL && large != NULL, "errno %d", errno);
  hak_stats_t with = stats_now();
  CHECK(with.program_heaps == before.program_heaps + 1, "%llu heaps", (unsigned long long)with.program_heaps);
  size_t bytes = 112 + 3 * MIB + (test_is_secure() ? 4096 : 0); /* the word behind them takes a page */
  CHECK(with.program_heap_bytes == before.program_heap_bytes + bytes, "%llu bytes",
        (unsigned long long)with.program_heap_bytes);
  hak_heap_destroy(heap);
  hak_stats_t after = stats_now();
  CHECK(after.program_heaps == before.program_heaps && after.program_heap_bytes == before.program_heap_bytes, "after");
}

/* An empty area is kept for the next block of its class, until somebody collects. */
static void collect_takes_what_is_empty(void **state) {
  (void)state;
  hak_heap_t *heap = heap_new();
  void *kept = hak_heap_malloc(heap, 100);
  hak_free(hak_heap_malloc(heap, 1000));
  hak_free(hak_heap_malloc(heap, 20 * KIB));
  CHECK(stats_of(heap).footprint_bytes == 3 * 64 * KIB, "%llu", (unsigned long long)stats_of(heap).footprint_bytes);
  hak_collect(1);
  CHECK(stats_of(heap).footprint_bytes == 64 * KIB, "%llu", (unsigned long long)stats_of(heap).footprint_bytes);
  CHECK(hak_heap_of(kept) == heap, "the other one");
  hak_free(hak_heap_malloc(heap, 1000));
  hak_heap_destroy(heap);
}

/* ---- All at once ------------------------------------------------------------------------------------------------- */

static void reset_and_destroy_end_live_blocks(void **state) {
  (void)state;
  rng_t rng = {test_seed()};
  hak_stats_t before = stats_now();
  hak_heap_t *heap = heap_new();
  hak_heap_t *other = heap_new();
  char *bystander = hak_heap_malloc(other, 100);
  memset(bystander, 7, 100);
  for (size_t round = 0; round < 20; round++) {
    heap_fill(heap, &rng, 300);
    CHECK(stats_of(heap).live_blocks == 300, "round %zu", round);
    hak_heap_reset(heap);
    expect_live(heap, 0, 0);
    hak_heap_stats_t stats = stats_of(heap);
    CHECK(stats.peak_bytes > 0 && stats.footprint_bytes <= 2 * MIB, "%llu", (unsigned long long)stats.footprint_bytes);
  }
  heap_fill(heap, &rng, 300);
  hak_heap_destroy(heap);
  CHECK(hak_heap_of(bystander) == other && first_nonzero(bystander, 100) == 0, "a bystander");
  hak_heap_destroy(other);
  hak_stats_t after = stats_now();
  CHECK(after.active_bytes == before.active_bytes && after.mmap_bytes == before.mmap_bytes, "left: %llu, %llu",
        (unsigned long long)(after.active_bytes - before.active_bytes),
        (unsigned long long)(after.mmap_bytes - before.mmap_bytes));
  hak_heap_destroy(NULL);
}

/* The same block from a heap that was reset: what is handed out afterwards overlaps nothing. */
static void reset_reuses_without_overlap(void **state) {
  (void)state;
  enum { BLOCKS = 2000 };
  hak_heap_t *heap = heap_new();
  rng_t rng = {test_seed()};
  void *block[BLOCKS];
  size_t size[BLOCKS];
  for (size_t round = 0; round < 5; round++) {
    for (size_t i = 0; i < BLOCKS; i++) {
      size[i] = rng_between(&rng, 16, 20 * KIB);
      block[i] = hak_heap_malloc(heap, size[i]);
      pattern_fill_ends(block[i], size[i], i + round);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
      CHECK(pattern_check_ends(block[i], size[i], i + round), "round %zu, block %zu", round, i);
    }
    hak_heap_reset(heap);
  }
  hak_heap_destroy(heap);
}

/* ---- Many heaps -------------------------------------------------------------------------------------------------- */

static void many_heaps_at_once(void **state) {
  (void)state;
  size_t count = test_work(10000);
  hak_heap_t **heap = hak_calloc(count, sizeof *heap);
  char **block = hak_calloc(count, sizeof *block);
  hak_stats_t before = stats_now();
  for (size_t i = 0; i < count; i++) {
    heap[i] = heap_new();
    block[i] = hak_heap_zalloc(heap[i], 1 + i % 300);
    CHECK(block[i] != NULL, "heap %zu", i);
    block[i][i % 300] = (char)i;
  }
  for (size_t i = 0; i < count; i++) {
    CHECK(hak_heap_of(block[i]) == heap[i] && block[i][i % 300] == (char)i, "heap %zu", i);
    expect_live(heap[i], hak_good_size(1 + i % 300), 1);
  }
  for (size_t i = 0; i < count; i += 2) {
    hak_heap_destroy(heap[i]);
  }
  for (size_t i = 1; i < count; i += 2) {
    CHECK(hak_heap_of(block[i]) == heap[i] && block[i][i % 300] == (char)i, "heap %zu", i);
    hak_heap_destroy(heap[i]);
  }
  hak_stats_t after = stats_now();
  CHECK(after.active_bytes == before.active_bytes, "%llu bytes left",
        (unsigned long long)(after.active_bytes - before.active_bytes));
  hak_free(heap);
  hak_free(block);
}

/* A heap for a request: after the first, the process grows no more. */
static void a_heap_for_each_request(void **state) {
  (void)state;
  hak_stats_t first = {0};
  for (size_t i = 0; i < test_work(20000); i++) {
    rng_t rng = {i % 8};
    hak_heap_t *heap = heap_new();
    for (size_t n = 0; n < 60; n++) {
      size_t size = rng_between(&rng, 1, n % 20 == 0 ? 30 * KIB : 600);
      char *block = hak_heap_malloc(heap, size);
      CHECK(block != NULL, "request %zu", i);
      block[0] = block[size - 1] = 1;
    }
    hak_heap_destroy(heap);
    if (i == 8) {
      first = stats_now();
    }
  }
  hak_stats_t last = stats_now();
  CHECK(last.segment_bytes == first.segment_bytes && last.active_bytes == first.active_bytes, "%llu, %llu",
        (unsigned long long)last.segment_bytes, (unsigned long long)first.segment_bytes);
}

/* Small blocks touch no more than they need. */
static void small_heaps_are_small(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  enum { HEAPS = 200 };
  hak_heap_t *heap[HEAPS];
  hak_collect(1);
  size_t before = resident_bytes();
  for (size_t i = 0; i < HEAPS; i++) {
    heap[i] = heap_new();
    for (size_t size = 16; size <= 1024; size *= 2) {
      memset(hak_heap_malloc(heap[i], size), 1, size);
    }
    memset(hak_heap_malloc(heap[i], 20 * KIB), 1, 20 * KIB);
  }
  /* 7 classes with a page each, 5 pages and the heap itself: 13 pages. */
  size_t grown = growth(before, resident_bytes());
  CHECK(grown < HEAPS * 16 * 4 * KIB, "%zu bytes a heap", grown / HEAPS);
  for (size_t i = 0; i < HEAPS; i++) {
    hak_heap_destroy(heap[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sizes_of_structures),          cmocka_unit_test(statistics_know_heaps),
      cmocka_unit_test(collect_takes_what_is_empty),  cmocka_unit_test(reset_and_destroy_end_live_blocks),
      cmocka_unit_test(reset_reuses_without_overlap), cmocka_unit_test(small_heaps_are_small),
      cmocka_unit_test(many_heaps_at_once),           cmocka_unit_test(a_heap_for_each_request),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
