/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * heap/arena: the rings of areas and the account after every step of a random program, tags of areas, how areas grow, the
 * second level of the tag map, and every call of the system that can fail, failed.
 */
#include "unit.h"

static bool valid(hak_heap_t *heap) {
  hak_lock(&heap->lock);
  bool is = hak_arena_is_valid_locked(heap);
  hak_unlock(&heap->lock);
  return is;
}

static size_t footprint(hak_heap_t *heap) {
  hak_heap_stats_t stats = {.size = sizeof stats};
  CHECK(hak_heap_stats(heap, &stats) == 1, "stats");
  return (size_t)stats.footprint_bytes;
}

/* ---- Tags -------------------------------------------------------------------------------------------------------- */

static void tags(size_t unused) {
  (void)unused;
  char *base = (char *)UINT64_C(0x123400000000);
  CHECK(hak_tagmap_reserve_locked(base, 64), "no place");
  static const uint32_t ids[] = {1, 2, 4711, HAK_ARENA_ID_MAX};
  for (size_t i = 0; i < COUNT_OF(ids); i++) {
    hak_heap_t heap = {.id = ids[i], .view = HAK_VIEW_ARENA | (uint64_t)ids[i] << HAK_TAG_OWNER_SHIFT};
    for (unsigned bin = 1; bin < HAK_ARENA_BINS; bin++) {
      for (unsigned back = 0; back < 64; back += 21) {
        hak_tag_t tag = area_tag(&heap, bin, back);
        hak_tagmap_set(base, tag);
        CHECK(hak_tagmap_get_mt(base + 77) == tag, "bin %u", bin);
        CHECK(hak_tag_is_area(tag) && !hak_tag_is_slab(tag) && !hak_tag_is_span(tag), "bin %u", bin);
        CHECK(hak_tag_arena_id(tag) == ids[i] && hak_tag_back(tag) == back, "bin %u", bin);
        uint64_t view = hak_tagmap_view(base);
        CHECK(hak_view_is_area(view) && view == hak_view_of_area(tag) && hak_tag_of_area_view(view) == tag, "bin %u",
              bin);
        CHECK((view ^ heap.view) <= (HAK_VIEW_ARENA_SPAN | UINT16_MAX), "bin %u", bin);
        CHECK((view | HAK_VIEW_CODE) < HAK_VIEW_SLAB, "bin %u passes for a slab of a thread", bin);
        CHECK((view ^ HAK_VIEW_POOL) > UINT16_MAX && (view ^ HAK_VIEW_ACE) > UINT16_MAX, "bin %u", bin);
      }
    }
  }
  hak_tagmap_set(base, HAK_TAG_FREED);
  CHECK(!hak_view_is_area(hak_tagmap_view(base)) && !hak_tag_is_area(HAK_TAG_FREED), "freed");
  CHECK(!hak_view_is_area(hak_tagmap_view(base + HAK_SLICE_BYTES)), "nothing");
  CHECK(!hak_view_is_area(hak_tagmap_view(NULL)), "NULL");
}

static void test_tags(void **state) {
  (void)state;
  child_passes(tags, 0);
}

/* ---- Areas ------------------------------------------------------------------------------------------------------- */

static void test_growth(void **state) {
  (void)state;
  hak_heap_t *heap = hak_heap_new(NULL);
  static const struct {
    size_t size, blocks, slices;
  } steps[] = {{20 * KIB, 3, 1},  {20 * KIB, 6, 3},   {20 * KIB, 12, 7}, {20 * KIB, 25, 15}, {20 * KIB, 51, 31},
               {300 * KIB, 1, 5}, {300 * KIB, 2, 15}, {64, 1024, 1},     {64, 1, 2}};
  size_t last = 0, before = 0;
  for (size_t i = 0; i < COUNT_OF(steps); i++) {
    if (steps[i].size != last) {
      before = footprint(heap);
      last = steps[i].size;
    }
    for (size_t n = 0; n < steps[i].blocks; n++) {
      CHECK(hak_heap_malloc(heap, steps[i].size) != NULL, "step %zu", i);
    }
    CHECK(footprint(heap) - before == steps[i].slices * HAK_SLICE_BYTES, "step %zu: %zu", i, footprint(heap) - before);
  }
  CHECK(valid(heap), "invalid");
  hak_heap_reset(heap);
  CHECK(footprint(heap) <= HAK_ARENA_KEPT_SLICES * HAK_SLICE_BYTES && footprint(heap) > 0, "%zu", footprint(heap));
  CHECK(valid(heap), "invalid after a reset");
  hak_heap_destroy(heap);
}

/* Areas with free blocks are used before a new one is made, and empty ones are given back but for the last. */
static void test_come_and_go(void **state) {
  (void)state;
  enum { AREAS = 5, IN_ONE = 1024 };
  static void *block[AREAS][IN_ONE];
  hak_heap_t *heap = hak_heap_new(NULL);
  for (size_t a = 0; a < AREAS; a++) {
    for (size_t i = 0; i < IN_ONE; i++) {
      block[a][i] = hak_heap_malloc(heap, 64);
    }
  }
  CHECK(footprint(heap) == AREAS * HAK_SLICE_BYTES && valid(heap), "%zu", footprint(heap));
  for (size_t round = 0; round < 3; round++) {
    for (size_t a = 0; a < AREAS; a++) {
      hak_free(block[a][round]);
      hak_free(block[a][round + 100]);
    }
    CHECK(valid(heap), "round %zu", round);
    for (size_t a = 0; a < AREAS; a++) {
      block[a][round] = hak_heap_malloc(heap, 64);
      block[a][round + 100] = hak_heap_malloc(heap, 64);
    }
    CHECK(footprint(heap) == AREAS * HAK_SLICE_BYTES && valid(heap), "round %zu: %zu", round, footprint(heap));
  }
  for (size_t a = 0; a < AREAS; a++) {
    for (size_t i = 0; i < IN_ONE; i++) {
      hak_free(block[a][i]);
    }
  }
  CHECK(footprint(heap) == HAK_SLICE_BYTES && valid(heap), "%zu", footprint(heap));
  hak_heap_destroy(heap);
}

/* A request that fails for want of memory leaves no trace but its count. */
static void failed_mapping(size_t unused) {
  (void)unused;
  hak_heap_t *heap = hak_heap_new(NULL);
  CHECK(hak_heap_malloc(heap, 100) != NULL, "errno %d", errno);
  hak_heap_stats_t before = {.size = sizeof before}, after = {.size = sizeof after};
  hak_heap_stats(heap, &before);
  hak_os_fail_calls(0, FAIL_ALWAYS);
  errno = 0;
  CHECK(hak_heap_malloc(heap, 5 * MIB) == NULL && errno == ENOMEM, "errno %d", errno);
  hak_os_fail_calls(0, 0);
  hak_heap_stats(heap, &after);
  CHECK(after.failed == 1, "%llu failed", (unsigned long long)after.failed);
  after.failed = 0;
  CHECK(memcmp(&before, &after, sizeof before) == 0, "something changed");
}

static void test_failed_mapping(void **state) {
  (void)state;
  child_passes(failed_mapping, 0);
}

static void random_steps(size_t seed) {
  enum { LIVE = 3000 };
  static void *block[LIVE];
  static size_t bytes[LIVE];
  rng_t rng = {seed};
  hak_heap_t *heap = hak_heap_new(NULL);
  for (size_t step = 0; step < test_work(60000); step++) {
    /* Few classes, so that areas fill and empty; in phases, so that most are full or most are empty. */
    size_t at = rng_below(&rng, LIVE);
    bool fills = rng_below(&rng, 100) < (step / 4000 % 2 == 0 ? 80u : 25u);
    if (block[at] != NULL) {
      CHECK(pattern_check_ends(block[at], bytes[at], at), "block %zu", at);
      hak_free(block[at]);
      block[at] = NULL;
    }
    if (fills) {
      static const size_t sizes[] = {16, 500, 8000, 10000, 60000, 400000, 2500000};
      bytes[at] = sizes[rng_below(&rng, rng_below(&rng, 50) == 0 ? 7 : 4)];
      block[at] = hak_heap_malloc(heap, bytes[at]);
      CHECK(block[at] != NULL, "errno %d", errno);
      pattern_fill_ends(block[at], bytes[at], at);
    }
    if (step % 50 == 0) {
      CHECK(valid(heap), "step %zu", step);
    }
    if (step % 20000 == 19999) {
      hak_heap_reset(heap);
      memset(block, 0, sizeof block);
      CHECK(valid(heap), "reset at step %zu", step);
    }
    if (step % 7000 == 6999) {
      hak_collect(1);
      CHECK(valid(heap), "collected at step %zu", step);
    }
  }
  for (size_t i = 0; i < LIVE; i++) {
    hak_free(block[i]);
  }
  CHECK(valid(heap) && heap->blocks == 0 && heap->room == INT64_MAX, "at the end");
  hak_heap_destroy(heap);
}

static void test_random(void **state) {
  (void)state;
  child_passes(random_steps, test_seed());
}

/* All of the first level's places are somebody else's: areas are found by the second, on the long way. */
static void second_level(size_t unused) {
  (void)unused;
  for (size_t i = 0; i < COUNT_OF(hak_tagmap); i++) {
    hak_store_relaxed(&hak_tagmap[i], 1);
  }
  hak_heap_t *heap = hak_heap_new(NULL), *other = hak_heap_new(NULL);
  rng_t rng = {1};
  for (size_t i = 0; i < 3000; i++) {
    size_t size = random_size(&rng);
    char *block = hak_heap_malloc(heap, size);
    CHECK(block != NULL && hak_heap_of(block) == heap && hak_usable_size(block) >= size, "%zu bytes", size);
    block = hak_realloc(block, size / 2 + 1);
    CHECK(hak_heap_of(block) == heap, "%zu bytes", size);
    if (i % 3 == 0) {
      hak_free(block);
    } else if (i % 3 == 1) {
      hak_heap_free(heap, block);
    }
  }
  CHECK(tagmap_xsecond != NULL && valid(heap), "the first level had a place");
  char *block = hak_heap_malloc(heap, 100);
  hak_heap_reset(other);
  hak_heap_destroy(other);
  hak_free(block);
  hak_free(block);
}

static void test_second_level(void **state) {
  (void)state;
  child_aborts(second_level, 0, "hakmem: hak_free: double free: 0x");
}

/* ---- Failures ---------------------------------------------------------------------------------------------------- */

enum { BLOCKS = 40 };

static unsigned failures; /* how many from the n-th on */
static bool failing;
static struct {
  void *block;
  size_t bytes;
} live[BLOCKS];

static const size_t sizes[] = {100,         5000,    20 * KIB, 60 * KIB, 300 * KIB, MIB,     2 * MIB,
                               2 * MIB + 1, 3 * MIB, 16,       1500,     40 * KIB,  5 * MIB, 150 * KIB};

static void got(size_t i, void *block, size_t bytes) {
  CHECK(block != NULL || failing, "%zu bytes: no memory, errno %d", bytes, errno);
  CHECK(block != NULL || errno == ENOMEM, "%zu bytes: errno %d", bytes, errno);
  if (block != NULL) {
    live[i].block = block;
    live[i].bytes = bytes;
    pattern_fill_ends(block, bytes, i);
  }
}

static void check_all(hak_heap_t *heap) {
  uint64_t bytes = 0, blocks = 0;
  for (size_t i = 0; i < BLOCKS; i++) {
    if (live[i].block != NULL) {
      CHECK(pattern_check_ends(live[i].block, live[i].bytes, i), "block %zu of %zu bytes", i, live[i].bytes);
      CHECK(hak_heap_of(live[i].block) == heap, "block %zu", i);
      bytes += hak_usable_size(live[i].block);
      blocks++;
    }
  }
  hak_heap_stats_t stats = {.size = sizeof stats};
  CHECK(hak_heap_stats(heap, &stats) == 1, "stats");
  CHECK(stats.live_bytes == bytes && stats.live_blocks == blocks, "%llu bytes in %llu blocks, not %llu in %llu",
        (unsigned long long)stats.live_bytes, (unsigned long long)stats.live_blocks, (unsigned long long)bytes,
        (unsigned long long)blocks);
  CHECK(stats.peak_bytes >= bytes && stats.peak_bytes < 200 * MIB && valid(heap), "account");
}

static void work(hak_heap_t *heap) {
  for (size_t round = 0; round < 3; round++) {
    for (size_t i = 0; i < BLOCKS; i++) {
      size_t bytes = sizes[(i * 5 + round * 3) % COUNT_OF(sizes)];
      errno = 0;
      if (live[i].block == NULL) {
        got(i, i % 2 == 0 ? hak_heap_malloc(heap, bytes) : hak_heap_aligned_zalloc(heap, 4096, bytes), bytes);
      } else if ((i + round) % 3 == 0) {
        hak_free(live[i].block);
        live[i].block = NULL;
      } else {
        void *resized = (i + round) % 3 == 1 ? hak_heap_realloc(heap, live[i].block, bytes)
                                             : hak_realloc_aligned_sized(live[i].block, 16, live[i].bytes, bytes);
        got(i, resized, bytes);
      }
    }
    check_all(heap);
    hak_collect(round == 1);
  }
}

static void run(size_t n) {
  failing = failures != 0;
  hak_os_fail_calls((unsigned)n, failures);
  errno = 0;
  hak_heap_t *heap = hak_heap_new(NULL);
  CHECK(heap != NULL || (failing && errno == ENOMEM), "errno %d", errno);
  if (heap != NULL) {
    work(heap);
    hak_heap_reset(heap);
    memset(live, 0, sizeof live);
    work(heap);
    hak_heap_destroy(heap);
    memset(live, 0, sizeof live);
  }
  bool reached = hak_load_relaxed(&os_xfail_count) < (int64_t)failures;
  hak_os_fail_calls(0, 0);
  failing = false;
  heap = hak_heap_new(NULL);
  CHECK(heap != NULL, "errno %d", errno);
  work(heap);
  hak_heap_destroy(heap);
  hak_collect(1);
  hak_stats_t stats = stats_now();
  CHECK(stats.active_bytes == 0 && stats.mmap_bytes == 0 && stats.program_heaps == 0, "left: %llu, %llu",
        (unsigned long long)stats.active_bytes, (unsigned long long)stats.mmap_bytes);
  if (!reached) {
    _exit(NOT_REACHED);
  }
}

static void test_failures(void **state) {
  (void)state;
  static const unsigned counts[] = {1, 4, FAIL_ALWAYS};
  for (size_t i = 0; i < COUNT_OF(counts); i++) {
    failures = counts[i];
    fail_each(run, failures, test_is_short() ? 7 : 1, 20);
  }
}

static void no_more_ids(size_t unused) {
  (void)unused;
  hak_store_relaxed(&arena_xcount, HAK_ARENA_ID_MAX);
  errno = 0;
  CHECK(hak_arena_new_mt(INT64_MAX) == NULL, "an id too many");
}

static void test_no_more_ids(void **state) {
  (void)state;
  child_passes(no_more_ids, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_tags),        cmocka_unit_test(test_random),         cmocka_unit_test(test_second_level),
      cmocka_unit_test(test_failures),    cmocka_unit_test(test_no_more_ids),    cmocka_unit_test(test_growth),
      cmocka_unit_test(test_come_and_go), cmocka_unit_test(test_failed_mapping),
  };
  return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
