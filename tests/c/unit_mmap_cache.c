/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * tier/mmap_cache: the cache of free mappings against a brute-force model of every page, at made-up addresses, which it does
 * not touch.
 */
#include "unit.h"

#define PAGE ((size_t)4096)

enum { PAGES = 3000 };
static char *const cache_base = (char *)UINT64_C(0x500000300000);
static bool is_cached[PAGES], is_dirty[PAGES];
static uint64_t freed_ms[PAGES];

static size_t run_length(size_t page) {
  size_t end = page;
  while (end < PAGES && is_cached[end]) {
    end++;
  }
  return end - page;
}

/* How many pages of the run are dirty: from the first that is to the last, so the others between them become so. */
static size_t dirty_window(size_t page, size_t pages, size_t *from) {
  size_t to = page + pages;
  *from = page;
  while (to != page && !is_dirty[to - 1]) to--;
  while (*from < to && !is_dirty[*from]) ++*from;
  for (size_t i = *from; i < to; i++) is_dirty[i] = true;
  return to - *from;
}

static bool same_dirty(hak_extent_t extent) {
  size_t page = (size_t)(extent.base - cache_base) / PAGE, from;
  size_t dirty = dirty_window(page, extent.bytes / PAGE, &from);
  return extent.dirty == dirty * PAGE && extent.dirty_at == (dirty == 0 ? 0 : (from - page) * PAGE);
}

/* Extents are the maximal runs of cached pages, in order. */
static void check_cache(void) {
  unsigned extents = 0;
  size_t dirty = 0, pages = 0;
  for (size_t i = 0; i < PAGES;) {
    size_t n = run_length(i);
    if (n == 0) {
      CHECK(!hak_mmap_cache_has_locked(cache_base + i * PAGE), "page %zu", i);
      i++;
      continue;
    }
    CHECK(extents < cache_count && cache[extents].base == cache_base + i * PAGE && cache[extents].bytes == n * PAGE,
          "extent %u: %zu pages from %zu", extents, n, i);
    CHECK(cache[extents].freed_ms == freed_ms[i], "extent %u", extents);
    CHECK(same_dirty(cache[extents]), "extent %u: %zu dirty from %zu", extents, cache[extents].dirty,
          cache[extents].dirty_at);
    dirty += cache[extents].dirty;
    CHECK(hak_mmap_cache_has_locked(cache_base + i * PAGE) &&
              hak_mmap_cache_has_locked(cache_base + (i + n) * PAGE - 1),
          "extent %u", extents);
    extents++;
    pages += n;
    i += n;
  }
  CHECK(extents == cache_count && hak_mmap_cache_dirty_locked() == dirty, "%u extents", extents);
  CHECK(hak_mmap_cache_clean_locked() == pages * PAGE - dirty, "%zu clean", hak_mmap_cache_clean_locked());
}

static hak_extent_t put(size_t page, size_t pages, uint64_t now_ms) {
  return hak_mmap_cache_put_locked((hak_extent_t){
      .base = cache_base + page * PAGE, .bytes = pages * PAGE, .dirty = pages * PAGE, .freed_ms = now_ms});
}

static char *take(size_t pages, size_t alignment) { return hak_mmap_cache_take_locked(pages * PAGE, alignment).base; }

static void mark(size_t page, size_t pages, bool cached) {
  for (size_t i = page; i < page + pages; i++) {
    is_cached[i] = is_dirty[i] = cached;
  }
}

/* The oldest extent's age, of those that have dirty pages or of all. */
static uint64_t model_oldest(bool dirty) {
  uint64_t oldest = UINT64_MAX;
  for (size_t i = 0; i < PAGES; i += run_length(i) + 1) {
    size_t from;
    bool counts = run_length(i) != 0 && (!dirty || dirty_window(i, run_length(i), &from) != 0);
    if (counts && freed_ms[i] < oldest) oldest = freed_ms[i];
  }
  return oldest;
}

/* What was taken out is the end of an extent of that age: all of it, or `most` of the pages that `counts` says. */
static void check_cut(hak_extent_t extent, uint64_t oldest, size_t counts, size_t most) {
  size_t first = (size_t)(extent.base - cache_base) / PAGE, start = first;
  while (start != 0 && is_cached[start - 1]) {
    start--;
  }
  CHECK(extent.freed_ms == oldest && freed_ms[start] == oldest, "age");
  CHECK(run_length(first) * PAGE == extent.bytes, "to its end");
  CHECK(same_dirty(extent), "%zu dirty from %zu", extent.dirty, extent.dirty_at);
  CHECK(counts == most || (counts < most && (start == first || extent.dirty_at == 0)), "%zu of at most %zu", counts,
        most);
}

/* What is too old is taken out; or what is too much, and comes back clean. */
static void model_evict(rng_t *rng, uint64_t now) {
  uint64_t before = now - rng_below(rng, 400), oldest = model_oldest(false);
  size_t most = rng_below(rng, 2) == 0 ? SIZE_MAX : rng_between(rng, 1, 20) * PAGE;
  hak_extent_t extent = hak_mmap_cache_evict_locked(before, most);
  CHECK((extent.bytes != 0) == (oldest <= before), "%zu evicted", extent.bytes);
  if (extent.bytes != 0) {
    check_cut(extent, oldest, extent.dirty, most);
    mark((size_t)(extent.base - cache_base) / PAGE, extent.bytes / PAGE, false);
  }
  check_cache();
}

static void model_purge(rng_t *rng) {
  size_t bound = rng_below(rng, 2) == 0 ? cache_dirty : rng_below(rng, cache_dirty + PAGE);
  size_t most = rng_below(rng, 2) == 0 ? SIZE_MAX : rng_between(rng, 1, 20) * PAGE;
  size_t excess = cache_dirty > bound ? hak_align_up(cache_dirty - bound, PAGE) : 0;
  uint64_t oldest = model_oldest(true);
  hak_extent_t extent = hak_mmap_cache_purge_locked(bound, most);
  CHECK((extent.bytes != 0) == (excess != 0), "bound %zu of %zu", bound, cache_dirty);
  if (extent.bytes == 0) return;
  check_cut(extent, oldest, extent.dirty, excess < most ? excess : most);
  CHECK(extent.dirty != 0 && extent.dirty_at == 0, "nothing to purge");
  for (size_t i = 0; i < extent.dirty / PAGE; i++) {
    is_dirty[(size_t)(extent.base - cache_base) / PAGE + i] = false;
  }
  extent.dirty = 0;
  CHECK(hak_mmap_cache_put_locked(extent).bytes == 0, "no room for what was there");
  check_cache();
}

/* Best fit: the smallest run that holds it, the lowest of those. PAGES: none. */
static size_t model_take(size_t pages, size_t alignment) {
  size_t best = PAGES, best_length = SIZE_MAX;
  for (size_t i = 0; i < PAGES; i += run_length(i) + 1) {
    size_t n = run_length(i);
    size_t skip = (size_t)((0 - (uintptr_t)(cache_base + i * PAGE)) & (alignment - 1)) / PAGE;
    if (n >= skip + pages && n < best_length) {
      best = i + skip;
      best_length = n;
    }
  }
  return best;
}

static void cache_modelled(size_t steps) {
  rng_t rng = {test_seed()};
  uint64_t now = 1000;
  size_t taken = 0, missed = 0, aligned = 0, zeroed = 0;
  for (size_t step = 0; step < steps; step++) {
    size_t page = rng_below(&rng, PAGES), pages = rng_between(&rng, 1, step % 500 < 250 ? 6 : 60);
    now += rng_below(&rng, 3);
    size_t dice = rng_below(&rng, 100);
    if (dice < 50) { /* put what is not there */
      size_t n = 0;
      while (n < pages && page + n < PAGES && !is_cached[page + n]) {
        n++;
      }
      if (n == 0 || cache_count > CACHE_EXTENTS - 2) {
        continue;
      }
      hak_extent_t refused = put(page, n, now);
      CHECK(refused.bytes == 0, "%u extents", cache_count);
      mark(page, n, true);
      while (page != 0 && is_cached[page - 1]) {
        page--;
      }
      for (size_t i = page; i < PAGES && is_cached[i]; i++) {
        freed_ms[i] = now; /* as young as its youngest part */
      }
    } else if (dice < 97) {
      size_t alignment = PAGE << (rng_below(&rng, 3) == 0 ? rng_below(&rng, 8) : 0);
      size_t expected = cache_count > CACHE_EXTENTS - 2 ? PAGES : model_take(pages, alignment);
      if (cache_count > CACHE_EXTENTS - 2) {
        continue;
      }
      hak_extent_t extent = hak_mmap_cache_take_locked(pages * PAGE, alignment);
      char *block = extent.base;
      CHECK(block == (expected == PAGES ? NULL : cache_base + expected * PAGE),
            "%zu pages, alignment %zu: page %zd, not %zu", pages, alignment,
            block == NULL ? -1 : (block - cache_base) / (ptrdiff_t)PAGE, expected);
      if (block != NULL) {
        CHECK(extent.bytes == pages * PAGE && same_dirty(extent), "%zu dirty from %zu", extent.dirty, extent.dirty_at);
        zeroed += extent.dirty == 0;
        mark(expected, pages, false);
      }
      taken += block != NULL;
      missed += block == NULL;
      aligned += block != NULL && alignment > PAGE;
    } else if (dice < 98) {
      model_evict(&rng, now);
    } else {
      model_purge(&rng);
    }
    check_cache();
  }
  CHECK(steps < 3000 || (taken > 200 && missed > 200 && aligned > 50 && zeroed > 0),
        "%zu taken, %zu not, %zu aligned, %zu zero", taken, missed, aligned, zeroed);
}

static void cache_full(size_t unused) {
  (void)unused;
  for (size_t i = 0; i < CACHE_EXTENTS; i++) { /* pages 0, 10, 20 ..., three long */
    CHECK(put(i * 10, 3, 5).bytes == 0, "extent %zu", i);
    mark(i * 10, 3, true);
    freed_ms[i * 10] = 5;
  }
  hak_extent_t refused = put(5, 1, 6);
  CHECK(refused.base == cache_base + 5 * PAGE && refused.bytes == PAGE, "one too many");
  check_cache();
  refused = put(3, 1, 6); /* joins one: there is room */
  CHECK(refused.bytes == 0, "joining");
  mark(3, 1, true);
  freed_ms[0] = 6;
  check_cache();
  /* From its middle, which would leave two parts. */
  size_t alignment = 2 * PAGE;
  CHECK((uintptr_t)cache_base % alignment == 0, "the base");
  for (size_t i = 0; i < CACHE_EXTENTS; i++) {
    (void)hak_mmap_cache_evict_locked(UINT64_MAX, SIZE_MAX);
  }
  mark(0, PAGES, false);
  check_cache();
  for (size_t i = 0; i < CACHE_EXTENTS; i++) { /* odd pages, three long: an aligned page is the middle one */
    CHECK(put(i * 10 + 1, 3, 5).bytes == 0, "extent %zu", i);
    mark(i * 10 + 1, 3, true);
    freed_ms[i * 10 + 1] = 5;
  }
  CHECK(take(1, alignment) == NULL, "there is no room for both parts");
  check_cache();
  CHECK(take(2, alignment) == cache_base + 2 * PAGE, "one part");
  mark(2, 2, false);
  check_cache();
  hak_extent_t first = hak_mmap_cache_evict_locked(UINT64_MAX, SIZE_MAX); /* now there is */
  CHECK(first.base == cache_base + PAGE && first.bytes == PAGE, "the oldest, and the lowest of them");
  mark(1, 1, false);
  CHECK(take(1, alignment) == cache_base + 12 * PAGE, "two parts");
  mark(12, 1, false);
  freed_ms[13] = 5;
  check_cache();
}

static void test_cache(void **state) {
  (void)state;
  child_passes(cache_modelled, test_work(6000));
  child_passes(cache_full, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_cache)};
  return cmocka_run_group_tests_name("mmap_cache", tests, NULL, NULL);
}
