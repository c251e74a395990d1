/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Heaps of a program's own: blocks of every size and alignment, what resets and destroys do, limits, figures, many heaps
 * at once, and threads that share one.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "testing.h"

/* ---- Helpers ----------------------------------------------------------------------------------------------------- */

static hak_heap_t *heap_with_limit(size_t limit) {
  hak_heap_options_t options = {.size = sizeof options, .limit_bytes = limit};
  hak_heap_t *heap = hak_heap_new(&options);
  CHECK(heap != NULL, "errno %d", errno);
  return heap;
}

static hak_heap_t *heap_new(void) { return heap_with_limit(0); }

static hak_heap_stats_t stats_of(hak_heap_t *heap) {
  hak_heap_stats_t stats = {.size = sizeof stats};
  CHECK(hak_heap_stats(heap, &stats) == 1, "stats");
  return stats;
}

static hak_stats_t stats_of_all(void) {
  hak_stats_t stats = {.size = sizeof stats};
  CHECK(hak_stats_get(&stats) == 1, "stats");
  return stats;
}

static void expect_live(hak_heap_t *heap, size_t bytes, size_t blocks) {
  hak_heap_stats_t stats = stats_of(heap);
  /* In the secure build it is what the blocks take: a word and the rounding more. */
  bool more = test_is_secure() && stats.live_bytes > bytes && stats.live_bytes <= bytes + bytes / 8 + blocks * 4104;
  CHECK((stats.live_bytes == bytes || (blocks != 0 && more)) && stats.live_blocks == blocks,
        "%llu bytes, %llu blocks; not %zu, %zu", (unsigned long long)stats.live_bytes,
        (unsigned long long)stats.live_blocks, bytes, blocks);
}

/* ---- Sizes and alignments ---------------------------------------------------------------------------------------- */

static void check_block(hak_heap_t *heap, void *block, size_t size, size_t alignment) {
  CHECK(block != NULL, "%zu bytes: errno %d", size, errno);
  CHECK((uintptr_t)block % alignment == 0, "%zu bytes at %p, not a multiple of %zu", size, block, alignment);
  CHECK(hak_usable_size(block) >= size, "%zu bytes: %zu usable", size, hak_usable_size(block));
  CHECK(hak_heap_of(block) == heap, "%zu bytes at %p: of another heap", size, block);
}

static void every_size(void **state) {
  (void)state;
  hak_heap_t *heap = heap_new();
  size_t live = 0, blocks = 0;
  void *kept[4096];
  for (size_t size = 0; size <= 8 * MIB; size += size < 2048 ? 1 : size / 61 + 1) {
    void *block = hak_heap_malloc(heap, size);
    check_block(heap, block, size, 16);
    CHECK(hak_tier_of(block) == tier_for(size), "%zu bytes: tier %d", size, hak_tier_of(block));
    CHECK(hak_usable_size(block) == hak_good_size(size), "%zu bytes: %zu usable", size, hak_usable_size(block));
    pattern_fill_ends(block, hak_usable_size(block), size);
    if (size % 3 != 0 && blocks < 4096) { /* the others are freed at once */
      kept[blocks++] = block;
      live += hak_usable_size(block);
    } else {
      CHECK(pattern_check_ends(block, hak_usable_size(block), size), "%zu bytes", size);
      hak_heap_free(heap, block);
    }
    expect_live(heap, live, blocks);
  }
  blocks = 0;
  for (size_t size = 0; size <= 8 * MIB; size += size < 2048 ? 1 : size / 61 + 1) {
    if (size % 3 == 0 || blocks == 4096) {
      continue;
    }
    void *block = kept[blocks++];
    CHECK(pattern_check_ends(block, hak_usable_size(block), size), "%zu bytes: overlap", size);
    switch (size % 4) {
    case 0:
      hak_free(block);
      break;
    case 1:
      hak_heap_free(heap, block);
      break;
    default:
      hak_heap_free_sized(heap, block, 1, size);
      break;
    }
  }
  expect_live(heap, 0, 0);
  hak_heap_destroy(heap);
}

static void every_alignment(void **state) {
  (void)state;
  hak_heap_t *heap = heap_new();
  for (size_t alignment = 1; alignment <= MIB; alignment *= 2) {
    for (size_t size = 1; size <= 3 * MIB; size = size * 3 + 1) {
      void *dirty = hak_heap_aligned_alloc(heap, alignment, size);
      check_block(heap, dirty, size, alignment < 16 ? 16 : alignment);
      memset(dirty, 0xee, size);
      void *other = hak_heap_aligned_alloc(heap, alignment, size);
      check_block(heap, other, size, alignment);
      hak_heap_free_sized(heap, dirty, alignment, size);
      void *zero = hak_heap_aligned_zalloc(heap, alignment, size);
      check_block(heap, zero, size, alignment);
      CHECK(first_nonzero(zero, size) == size, "%zu bytes at %zu: not zero", size, alignment);
      pattern_fill_ends(zero, size, size);
      void *moved = hak_realloc_aligned_sized(zero, alignment, size, size * 2);
      check_block(heap, moved, size * 2, alignment);
      if (size <= 256) {
        CHECK(pattern_check_ends(moved, size, size), "%zu bytes at %zu: content", size, alignment);
      }
      hak_free(moved);
      hak_free(other);
    }
  }
  expect_live(heap, 0, 0);
  errno = 0;
  CHECK(hak_heap_aligned_alloc(heap, 48, 100) == NULL && errno == EINVAL, "48 is no alignment: errno %d", errno);
  CHECK(hak_heap_aligned_alloc(heap, 0, 100) == NULL && errno == EINVAL, "0 is no alignment: errno %d", errno);
  errno = 0;
  CHECK(hak_heap_malloc(heap, opaque_size(SIZE_MAX)) == NULL && errno == ENOMEM, "errno %d", errno);
  CHECK(hak_heap_malloc(heap, opaque_size(PTRDIFF_MAX)) == NULL && errno == ENOMEM, "errno %d", errno);
  hak_heap_destroy(heap);
}

/* Also of memory that was in use, in this heap before a free, before a reset, and in another heap. */
static void zero_is_zero(void **state) {
  (void)state;
  static const size_t sizes[] = {16, 100, 3000, 8 * KIB, 9 * KIB, 40 * KIB, 300 * KIB, 2 * MIB, 3 * MIB};
  hak_collect(1); /* the system's zeros are what may be taken for granted too often */
  hak_heap_t *heap = heap_new();
  for (size_t round = 0; round < 6; round++) {
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
      void *kept = NULL;
      for (size_t n = 0; n < 20; n++) {
        void *block = hak_heap_zalloc(heap, sizes[i]);
        check_block(heap, block, sizes[i], 16);
        CHECK(first_nonzero(block, sizes[i]) == sizes[i], "round %zu, %zu bytes, block %zu", round, sizes[i], n);
        memset(block, 0xff, sizes[i]);
        if (n % 2 == round % 2) {
          hak_free(kept);
          kept = block;
        }
      }
    }
    if (round % 2 == 0) {
      hak_heap_reset(heap);
    } else {
      hak_heap_destroy(heap);
      heap = heap_new();
    }
  }
  hak_heap_destroy(heap);
}

/* ---- Resizing ---------------------------------------------------------------------------------------------------- */

static void realloc_stays_in_its_heap(void **state) {
  (void)state;
  hak_heap_t *heap = heap_new();
  rng_t rng = {test_seed()};
  void *block[16] = {0};
  size_t size[16] = {0};
  for (size_t i = 0; i < test_work(20000); i++) {
    size_t at = rng_below(&rng, 16), want = random_size(&rng);
    unsigned char before[64] = {0};
    size_t kept = size[at] < want ? size[at] : want;
    kept = kept < sizeof before ? kept : sizeof before;
    if (block[at] != NULL) {
      memcpy(before, block[at], kept);
    }
    void *resized;
    switch (block[at] == NULL ? 0 : rng_below(&rng, 3)) {
    case 0:
      resized = hak_heap_realloc(heap, block[at], want);
      break;
    case 1:
      resized = hak_realloc(block[at], want);
      break;
    default:
      resized = hak_realloc_aligned_sized(block[at], 16, size[at], want);
      break;
    }
    check_block(heap, resized, want, 16);
    CHECK(memcmp(before, resized, kept) == 0, "%zu to %zu bytes: content", size[at], want);
    pattern_fill_ends(resized, want, i);
    block[at] = resized;
    size[at] = want;
  }
  size_t live = 0, blocks = 0;
  for (size_t i = 0; i < 16; i++) {
    live += hak_usable_size(block[i]);
    blocks += block[i] != NULL;
  }
  expect_live(heap, live, blocks);
  for (size_t i = 0; i < 16; i++) {
    hak_free(block[i]);
  }
  expect_live(heap, 0, 0);
  hak_heap_destroy(heap);
}

/* ---- All at once ------------------------------------------------------------------------------------------------- */

static void fill(hak_heap_t *heap, rng_t *rng, size_t blocks) {
  for (size_t i = 0; i < blocks; i++) {
    size_t size = random_size(rng);
    void *block = hak_heap_malloc(heap, size);
    check_block(heap, block, size, 16);
    pattern_fill_ends(block, size, i);
  }
}

static void reset_and_destroy_end_live_blocks(void **state) {
  (void)state;
  rng_t rng = {test_seed()};
  hak_stats_t before = stats_of_all();
  hak_heap_t *heap = heap_new();
  hak_heap_t *other = heap_new();
  char *bystander = hak_heap_malloc(other, 100);
  memset(bystander, 7, 100);
  for (size_t round = 0; round < 20; round++) {
    fill(heap, &rng, 300);
    CHECK(stats_of(heap).live_blocks == 300, "round %zu", round);
    hak_heap_reset(heap);
    expect_live(heap, 0, 0);
    hak_heap_stats_t stats = stats_of(heap);
    CHECK(stats.peak_bytes > 0 && stats.footprint_bytes <= 2 * MIB, "%llu", (unsigned long long)stats.footprint_bytes);
  }
  fill(heap, &rng, 300);
  hak_heap_destroy(heap);
  CHECK(hak_heap_of(bystander) == other && first_nonzero(bystander, 100) == 0, "a bystander");
  hak_heap_destroy(other);
  hak_stats_t after = stats_of_all();
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

/* ---- Limits ------------------------------------------------------------------------------------------------------ */

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

static void ordinary_blocks_have_no_heap(void **state) {
  (void)state;
  hak_heap_t *heap = heap_new();
  for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
    char *ordinary = hak_malloc(tier_sizes[tier]), *own = hak_heap_malloc(heap, tier_sizes[tier]);
    CHECK(hak_heap_of(ordinary) == NULL && hak_heap_of(own) == heap, "tier %d", tier);
    CHECK(hak_heap_of(own + 16) == NULL && hak_tier_of(own + 16) == HAK_TIER_NONE, "tier %d: inside", tier);
    hak_free(own);
    CHECK(hak_heap_of(own) == NULL && hak_tier_of(own) == HAK_TIER_NONE, "tier %d: freed", tier);
    hak_free(ordinary);
  }
  CHECK(hak_heap_of(NULL) == NULL && hak_heap_of(&heap) == NULL, "no blocks");
  hak_heap_destroy(heap);
}

static void statistics_know_heaps(void **state) {
  (void)state;
  hak_stats_t before = stats_of_all();
  hak_heap_t *heap = heap_new();
  void *small = hak_heap_malloc(heap, 100), *large = hak_heap_malloc(heap, 3 * MIB);
  CHECK(small != NULL && large != NULL, "errno %d", errno);
  hak_stats_t with = stats_of_all();
  CHECK(with.program_heaps == before.program_heaps + 1, "%llu heaps", (unsigned long long)with.program_heaps);
  size_t bytes = 112 + 3 * MIB + (test_is_secure() ? 4096 : 0); /* the word behind them takes a page */
  CHECK(with.program_heap_bytes == before.program_heap_bytes + bytes, "%llu bytes",
        (unsigned long long)with.program_heap_bytes);
  hak_heap_destroy(heap);
  hak_stats_t after = stats_of_all();
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

/* ---- Many heaps -------------------------------------------------------------------------------------------------- */

static void many_heaps_at_once(void **state) {
  (void)state;
  size_t count = test_work(10000);
  hak_heap_t **heap = hak_calloc(count, sizeof *heap);
  char **block = hak_calloc(count, sizeof *block);
  hak_stats_t before = stats_of_all();
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
  hak_stats_t after = stats_of_all();
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
      first = stats_of_all();
    }
  }
  hak_stats_t last = stats_of_all();
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

/* ---- Sized frees that do not know of heaps ----------------------------------------------------------------------- */

/* Of other sizes they look at the block. */
static void sized_frees_of_small_and_large(void **state) {
  (void)state;
  hak_heap_t *heap = heap_new();
  static const size_t sizes[] = {1, 100, 1024, 8 * KIB, 53 * KIB, 400 * KIB, 3 * MIB};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    hak_free_sized(hak_heap_malloc(heap, sizes[i]), sizes[i]);
    hak_free_aligned_sized(hak_heap_aligned_alloc(heap, 128 * KIB, sizes[i]), 128 * KIB, sizes[i]);
    expect_live(heap, 0, 0);
  }
  hak_heap_destroy(heap);
}

/* Of a pool size, against the rules: as long as the heap lives, the block comes back to it, through a magazine. */
static void sized_frees_of_pool_sizes(void **state) {
  (void)state;
  SKIP_IN_SECURE_BUILD(); /* there every block goes home at once */
  enum { BLOCKS = 100 };
  hak_heap_t *heap = heap_new();
  void *block[BLOCKS];
  for (size_t i = 0; i < BLOCKS; i++) {
    block[i] = hak_heap_malloc(heap, 20 * KIB);
  }
  for (size_t i = 0; i < BLOCKS; i++) {
    hak_free_sized(block[i], 20 * KIB);
  }
  void *handed_out = hak_malloc(20 * KIB); /* one of them */
  CHECK(hak_heap_of(handed_out) == heap, "not the block that was freed last");
  hak_free(handed_out);
  hak_collect(1);
  expect_live(heap, 0, 0);
  hak_heap_destroy(heap);
}

/* When the heap goes first, what the thread that destroys it freed so is not handed out any more. */
static void sized_frees_and_destroy(void **state) {
  (void)state;
  void *ordinary = hak_malloc(20 * KIB);
  for (int reset = 0; reset < 2; reset++) {
    hak_heap_t *heap = heap_new();
    for (size_t i = 0; i < 5; i++) {
      hak_free_sized(hak_heap_malloc(heap, 20 * KIB), 20 * KIB);
      hak_free(ordinary); /* between them in the magazine */
      ordinary = hak_malloc(20 * KIB);
      CHECK(hak_heap_of(ordinary) == NULL, "the block freed last");
    }
    void *live = hak_heap_malloc(heap, 20 * KIB);
    CHECK(live != NULL, "errno %d", errno);
    if (reset == 1) {
      hak_heap_reset(heap);
    }
    hak_heap_destroy(heap);
    void *block[20];
    for (size_t i = 0; i < 20; i++) {
      block[i] = hak_malloc(20 * KIB);
      CHECK(hak_tier_of(block[i]) == HAK_TIER_POOL && hak_heap_of(block[i]) == NULL, "block %zu", i);
      memset(block[i], 1, 20 * KIB);
    }
    for (size_t i = 0; i < 20; i++) {
      hak_free(block[i]);
    }
  }
  hak_free(ordinary);
}

/* ---- Threads ----------------------------------------------------------------------------------------------------- */

enum { SHARED = 4 };

typedef struct shared {
  hak_heap_t *heap[SHARED];
  _Atomic(void *) mailbox[64];
} shared_t;

static void *share(void *argument) {
  shared_t *shared = argument;
  rng_t rng = {(uint64_t)(uintptr_t)&rng};
  void *mine[32] = {0};
  for (size_t i = 0; i < test_work(60000); i++) {
    hak_heap_t *heap = shared->heap[rng_below(&rng, SHARED)];
    size_t at = rng_below(&rng, 32);
    switch (rng_below(&rng, 8)) {
    case 0:
      hak_free(atomic_exchange(&shared->mailbox[rng_below(&rng, 64)], mine[at]));
      mine[at] = NULL;
      break;
    case 1:
      mine[at] = mine[at] == NULL ? hak_heap_zalloc(heap, random_size(&rng)) : hak_realloc(mine[at], random_size(&rng));
      break;
    case 2:
      if (mine[at] != NULL) {
        hak_heap_free(hak_heap_of(mine[at]), mine[at]);
      }
      mine[at] = NULL;
      break;
    case 3:
      if (i % 64 == 0) {
        hak_collect(0);
        (void)stats_of(heap);
        (void)stats_of_all();
      }
      break;
    default:
      hak_free(mine[at]);
      mine[at] = hak_heap_malloc(heap, rng_between(&rng, 1, 400));
      CHECK(mine[at] != NULL, "errno %d", errno);
      memset(mine[at], (int)i, 1);
      break;
    }
  }
  for (size_t i = 0; i < 32; i++) {
    hak_free(mine[i]);
  }
  return NULL;
}

static void *make_and_destroy(void *argument) {
  (void)argument;
  rng_t rng = {(uint64_t)(uintptr_t)&rng};
  for (size_t i = 0; i < test_work(3000); i++) {
    hak_heap_t *heap = heap_new();
    fill(heap, &rng, rng_below(&rng, 20));
    if (i % 4 == 0) {
      hak_heap_reset(heap);
      fill(heap, &rng, 5);
    }
    hak_heap_destroy(heap);
  }
  return NULL;
}

static void threads_share_heaps(void **state) {
  (void)state;
  static shared_t shared;
  pthread_t thread[6];
  for (size_t i = 0; i < SHARED; i++) {
    shared.heap[i] = heap_new();
  }
  for (size_t i = 0; i < 6; i++) {
    CHECK(pthread_create(&thread[i], NULL, i < 4 ? share : make_and_destroy, &shared) == 0, "thread %zu", i);
  }
  for (size_t i = 0; i < 6; i++) {
    pthread_join(thread[i], NULL);
  }
  for (size_t i = 0; i < 64; i++) {
    hak_free(atomic_exchange(&shared.mailbox[i], NULL));
  }
  for (size_t i = 0; i < SHARED; i++) {
    expect_live(shared.heap[i], 0, 0);
    hak_heap_destroy(shared.heap[i]);
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
      cmocka_unit_test(sizes_of_structures),
      cmocka_unit_test(every_size),
      cmocka_unit_test(every_alignment),
      cmocka_unit_test(zero_is_zero),
      cmocka_unit_test(realloc_stays_in_its_heap),
      cmocka_unit_test(reset_and_destroy_end_live_blocks),
      cmocka_unit_test(reset_reuses_without_overlap),
      cmocka_unit_test(limits_are_exact),
      cmocka_unit_test(limits_and_realloc),
      cmocka_unit_test(ordinary_blocks_have_no_heap),
      cmocka_unit_test(statistics_know_heaps),
      cmocka_unit_test(collect_takes_what_is_empty),
      cmocka_unit_test(small_heaps_are_small),
      cmocka_unit_test(many_heaps_at_once),
      cmocka_unit_test(a_heap_for_each_request),
      cmocka_unit_test(sized_frees_of_small_and_large),
      cmocka_unit_test(sized_frees_of_pool_sizes),
      cmocka_unit_test(sized_frees_and_destroy),
      cmocka_unit_test(threads_share_heaps),
      cmocka_unit_test(threads_at_the_limit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
