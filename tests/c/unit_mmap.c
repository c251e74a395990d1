/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * tier/mmap: the table of live blocks against a brute-force model at made-up addresses, which it does not touch; then real
 * mappings: alignment, resizing, eviction, failures. Its cache: unit_mmap_cache.c.
 */
#include "unit.h"

#define PAGE ((size_t)4096)

/* ---- The table --------------------------------------------------------------------------------------------------- */

static void check_table(char **bases, const size_t *bytes, size_t count) {
  size_t live = 0;
  for (size_t i = 0; i < count; i++) {
    hak_mmap_block_t *block = hak_mmap_table_find_locked(bases[i]);
    CHECK((block != NULL) == (bytes[i] != 0), "block %zu: %s", i, block != NULL ? "still there" : "lost");
    CHECK(block == NULL || (block->base == bases[i] && block->bytes == bytes[i]), "block %zu", i);
    live += bytes[i];
  }
  CHECK(mmap_live_bytes == live, "%zu bytes, not %zu", mmap_live_bytes, live);
  size_t entries = 0;
  for (size_t i = 0; i < mmap_table_capacity; i++) {
    entries += mmap_table[i].base != NULL;
  }
  CHECK(entries == mmap_table_blocks, "%zu entries, %zu blocks", entries, mmap_table_blocks);
}

static void table_grows(size_t steps) {
  enum { BLOCKS = 2000 };
  static char *bases[BLOCKS];
  static size_t bytes[BLOCKS];
  rng_t rng = {test_seed()};
  CHECK(hak_mmap_table_find_locked(bases) == NULL && hak_mmap_table_find_locked(NULL) == NULL, "empty");
  hak_os_fail_calls(0, 1);
  CHECK(!hak_mmap_table_reserve_locked(), "without memory");
  CHECK(hak_mmap_table_reserve_locked() && mmap_table_capacity == MMAP_TABLE_MIN, "%zu", mmap_table_capacity);
  for (size_t i = 0; i < BLOCKS; i++) { /* half of them meet in a few places of the smallest table, at its end too */
    do {
      bases[i] = (char *)(UINT64_C(0x500000000000) + rng_below(&rng, (size_t)1 << 32) * PAGE);
    } while (i % 2 == 0 && (mmap_table_home(bases[i]) + 5) % MMAP_TABLE_MIN > 8);
  }
  for (size_t step = 0; step < steps; step++) {
    size_t many = step < steps / 3 ? 110 : step < steps / 3 * 2 ? BLOCKS : 60; /* grows in between */
    size_t i = rng_below(&rng, many);
    if (bytes[i] != 0) {
      mmap_remove_locked(hak_mmap_table_find_locked(bases[i]));
      bytes[i] = 0;
    } else {
      hak_os_fail_calls(0, step % 3 == 0 ? FAIL_ALWAYS : 0);
      if (hak_mmap_table_reserve_locked()) {
        bytes[i] = rng_between(&rng, 1, 100) * PAGE;
        mmap_insert_locked(bases[i], bytes[i], NULL);
      }
      hak_os_fail_calls(0, 0);
    }
    CHECK(mmap_table_blocks < mmap_table_capacity, "full");
    if (step % 20 == 0) {
      check_table(bases, bytes, BLOCKS);
    }
    if (step == steps / 3 * 2) {
      for (size_t k = 60; k < BLOCKS; k++) {
        if (bytes[k] != 0) {
          mmap_remove_locked(hak_mmap_table_find_locked(bases[k]));
          bytes[k] = 0;
        }
      }
    }
  }
  check_table(bases, bytes, BLOCKS);
  size_t before = mmap_table_capacity, n = 0; /* it cannot grow: more than half full, but never full */
  hak_os_fail_calls(0, FAIL_ALWAYS);
  while (hak_mmap_table_reserve_locked()) {
    mmap_insert_locked((char *)(UINT64_C(0x600000000000) + n++ * PAGE), PAGE, NULL);
    CHECK(mmap_table_blocks < mmap_table_capacity, "full");
  }
  CHECK(mmap_table_capacity == before && mmap_table_blocks > before / 2, "%zu of %zu", mmap_table_blocks,
        mmap_table_capacity);
  CHECK(hak_mmap_table_find_locked((char *)UINT64_C(0x7fffffff000)) == NULL, "a search ends");
}

static void test_table(void **state) {
  (void)state;
  child_passes(table_grows, test_work(15000));
}

/* ---- Real mappings ----------------------------------------------------------------------------------------------- */

static void *allocate(size_t bytes, size_t alignment) {
  bool zeroed;
  void *p = hak_mmap_alloc_mt(bytes, alignment, &zeroed);
  CHECK(p != NULL && (uintptr_t)p % alignment == 0, "%zu bytes, alignment %zu: %p", bytes, alignment, p);
  CHECK(hak_mmap_bytes_mt(p) == (bytes == 0 ? PAGE : hak_align_up(bytes, hak_os_page_bytes())), "%zu bytes", bytes);
  CHECK(!zeroed || first_nonzero(p, bytes) == bytes, "%zu bytes: not zero", bytes);
  return p;
}

static void sizes(size_t unused) {
  (void)unused;
  hak_options_init();
  rng_t rng = {test_seed()};
  void *live[12] = {NULL};
  size_t bytes[12];
  for (size_t step = 0; step < 400; step++) {
    size_t i = rng_below(&rng, COUNT_OF(live));
    if (live[i] == NULL) {
      bytes[i] = rng_between(&rng, 1, 3 * MIB);
      live[i] = allocate(bytes[i], (size_t)16 << rng_below(&rng, 20));
    } else {
      CHECK(pattern_check_ends(live[i], bytes[i], i), "%zu bytes", bytes[i]);
      size_t changed = rng_between(&rng, 1, 3 * MIB), rounded = hak_align_up(changed, hak_os_page_bytes());
      size_t old = hak_align_up(bytes[i], hak_os_page_bytes());
      bool copies = hak_mmap_cache_resident_locked(rounded) >= old + old / 2;
      hak_os_fail_calls(0, step % 4 == 0 ? FAIL_ALWAYS : 0);
      void *p = hak_mmap_resize_mt(live[i], changed);
      hak_os_fail_calls(0, 0);
      bool grows = rounded > old;
      /* The system does not grow what it sees as two mappings: a block that the cache joined from two (EFAULT). */
      bool may_fail = grows && (step % 4 == 0 || copies || errno == EFAULT);
      CHECK(p != NULL || may_fail, "%zu bytes to %zu: errno %d", bytes[i], changed, errno);
      CHECK(p == NULL || p == live[i] || (grows && step % 4 != 0), "%zu bytes to %zu: moved", bytes[i], changed);
      if (p == NULL) {
        CHECK(hak_mmap_bytes_mt(live[i]) == hak_align_up(bytes[i], hak_os_page_bytes()), "it stays");
        CHECK(pattern_check_ends(live[i], bytes[i], i), "it stays");
      } else {
        CHECK(hak_mmap_bytes_mt(p) == rounded, "%zu bytes", hak_mmap_bytes_mt(p));
        CHECK(p == live[i] || hak_mmap_bytes_mt(live[i]) == 0, "the old one is still there");
        size_t kept = bytes[i] < 128 ? bytes[i] : 128;
        kept = kept < changed ? kept : changed;
        CHECK(bytes[i] <= 256 || kept < 128 || pattern_check(p, kept, i) == kept, "%zu bytes to %zu: content", bytes[i],
              changed);
        live[i] = p;
        bytes[i] = changed;
      }
      if (step % 3 == 0) {
        CHECK(hak_mmap_free_mt(live[i]) && !hak_mmap_free_mt(live[i]), "freed");
        live[i] = NULL;
        continue;
      }
    }
    pattern_fill_ends(live[i], bytes[i], i);
  }
}

static void questions(size_t unused) {
  (void)unused;
  hak_options_init();
  char *p = allocate(3 * MIB, 16);
  int on_stack;
  CHECK(strcmp(hak_mmap_explain_mt(p + 8), HAK_BAD_INTERIOR) == 0, "inside");
  CHECK(strcmp(hak_mmap_explain_mt(p + 3 * MIB - 1), HAK_BAD_INTERIOR) == 0, "its last byte");
  CHECK(strcmp(hak_mmap_explain_mt(&on_stack), HAK_BAD_FOREIGN) == 0, "foreign");
  CHECK(!hak_mmap_free_mt(p + 8) && !hak_mmap_free_mt(&on_stack) && !hak_mmap_free_mt(NULL), "no block begins there");
  errno = 55;
  CHECK(hak_mmap_free_mt(p) && errno == 55, "errno %d", errno);
  CHECK(strcmp(hak_mmap_explain_mt(p), HAK_BAD_DOUBLE_FREE) == 0 && hak_mmap_bytes_mt(p) == 0, "freed");
  bool zeroed = true;
  CHECK(hak_mmap_alloc_mt(3 * MIB, 16, &zeroed) == p && !zeroed, "from the cache");
  hak_mmap_free_mt(p);
  errno = 0;
  CHECK(hak_mmap_alloc_mt((size_t)PTRDIFF_MAX, 16, &zeroed) == NULL && errno == ENOMEM, "too much");
  CHECK(hak_mmap_alloc_mt(SIZE_MAX, 16, &zeroed) == NULL, "too much");
  for (size_t alignment = PAGE; alignment <= HAK_ALIGN_MAX; alignment *= 8) {
    CHECK(hak_mmap_free_mt(allocate(PAGE, alignment)), "alignment %zu", alignment);
  }
}

static uint64_t cached_now(void) {
  uint64_t live, cached, served, returned;
  hak_mmap_stats_mt(&live, &cached, &served, &returned);
  return cached;
}

/* Time is what the tier last looked at: nothing waits here. */
static void let_pass(uint64_t ms) { mmap_sunk_ms -= ms; }

enum { BATCH = 16 };

static void allocate_batch(void **live) {
  for (size_t i = 0; i < BATCH; i++) {
    live[i] = allocate(3 * MIB, 4 * MIB); /* none touches another */
  }
}

static void free_batch(void **live, bool all_stay) {
  for (size_t i = 0; i < BATCH; i++) {
    CHECK(hak_mmap_free_mt(live[i]), "block %zu", i);
    uint64_t live_bytes = (BATCH - 1 - i) * 3 * MIB, cached = (i + 1) * 3 * MIB;
    uint64_t bound = live_bytes / 2 > 9 * MIB ? live_bytes / 2 : 9 * MIB;
    bool stays = all_stay || cached <= bound;
    CHECK(cached_now() <= (stays ? cached : bound) && (!stays || cached_now() == cached),
          "%zu freed: %llu cached, %llu live", i + 1, (unsigned long long)cached_now(), (unsigned long long)live_bytes);
  }
}

static void eviction(size_t unused) {
  (void)unused;
  hak_options_init();
  hak_options.mmap_cache_kib = 9 * 1024; /* whole blocks */
  hak_options.purge_delay_ms = 1000000;
  void *live[BATCH];
  allocate_batch(live);
  free_batch(live, false);
  CHECK(cached_now() == 9 * MIB && !hak_mmap_collect_mt(false) && cached_now() == 9 * MIB, "they are young");
  allocate_batch(live); /* what was purged comes back: */
  free_batch(live, true);
  allocate_batch(live);
  CHECK(cached_now() == 0, "%llu cached", (unsigned long long)cached_now());
  free_batch(live, true);
  hak_mmap_collect_mt(true);
  allocate_batch(live);
  free_batch(live, false); /* a forced collect is no reason for regret */
  allocate_batch(live);
  let_pass(100 * 1000000);
  free_batch(live, false);        /* nor is what was long ago */
  hak_options.purge_delay_ms = 0; /* now they are old */
  CHECK(hak_mmap_collect_mt(false) && cached_now() == 0, "%llu cached", (unsigned long long)cached_now());
  hak_options.purge_delay_ms = INT64_MAX;
  CHECK(hak_mmap_free_mt(allocate(5 * MIB, 16)) && cached_now() == 5 * MIB, "cached again");
  CHECK(hak_mmap_collect_mt(true) && cached_now() == 0 && !hak_mmap_collect_mt(true), "all of it");
}

/* What raises the bound sinks by a quarter in each half of the delay, and it never rises above what was lately live. */
static void regret(size_t unused) {
  (void)unused;
  hak_options_init();
  hak_options.mmap_cache_kib = 0;
  hak_options.purge_delay_ms = 400000;
  for (size_t round = 0; round < 3; round++) {
    CHECK(hak_mmap_free_mt(allocate(64 * MIB, 16)), "freed");
    CHECK(cached_now() == (round == 0 ? 0 : 64 * MIB), "round %zu: %llu cached", round,
          (unsigned long long)cached_now());
  }
  static const size_t left[] = {48, 36, 27};
  for (size_t i = 0; i < COUNT_OF(left); i++) {
    let_pass(200002);
    CHECK(hak_mmap_collect_mt(false) && cached_now() == left[i] * MIB, "%llu cached", (unsigned long long)cached_now());
    CHECK(!hak_mmap_collect_mt(false), "as long as no time passes");
  }
  let_pass(100 * 400000);
  CHECK(hak_mmap_collect_mt(false) && cached_now() == 0, "%llu cached", (unsigned long long)cached_now());
}

/* What is old goes as slow paths come by, a little at a time. */
static void ticks(size_t unused) {
  (void)unused;
  hak_options_init();
  hak_options.purge_delay_ms = 1000000;
  CHECK(hak_mmap_free_mt(allocate(3 * MMAP_EVICT_BYTES, 16)), "cached");
  hak_mmap_old_mt();
  CHECK(cached_now() == 3 * MMAP_EVICT_BYTES, "it is young");
  hak_options.purge_delay_ms = 0;
  hak_mmap_old_mt();
  CHECK(cached_now() == 3 * MMAP_EVICT_BYTES, "it looks only once in a quarter of the delay");
  hak_store_relaxed(&mmap_xlook_ms, 0);
  for (size_t left = 3; left-- > 0;) { /* there is more to do: it does not wait */
    errno = 55;
    hak_mmap_old_mt();
    CHECK(cached_now() == left * MMAP_EVICT_BYTES && errno == 55, "%llu cached", (unsigned long long)cached_now());
  }
  hak_store_relaxed(&mmap_xlook_ms, 0);
  CHECK(hak_mmap_free_mt(allocate(PAGE, 16)), "freed");
  for (size_t i = 0; i < 1000 && cached_now() != 0; i++) {
    hak_free(hak_malloc(MIB + i));
    hak_theap_tick(hak_tls.heap);
  }
  CHECK(cached_now() == 0, "slow paths come by");
}

/* Memory is missing that the cache or free segments have. */
static void failures(size_t unused) {
  (void)unused;
  bool zeroed;
  hak_options_init();
  hak_os_fail_calls(0, 1);
  errno = 0;
  CHECK(hak_mmap_alloc_mt(MIB, 16, &zeroed) == NULL && errno == ENOMEM, "no table");
  hak_mmap_free_mt(allocate(3 * MIB, 16));
  CHECK(cached_now() == 3 * MIB, "cached");
  hak_os_fail_calls(0, 1);
  void *p = hak_mmap_alloc_mt(20 * MIB, 16, &zeroed);
  CHECK(p != NULL && zeroed && cached_now() == 0, "after unmapping what was cached");
  hak_segment_give_mt(hak_segment_take_mt(63, &zeroed), 63);
  hak_os_fail_calls(0, 2);
  void *q = hak_mmap_alloc_mt(20 * MIB, 16, &zeroed);
  CHECK(q != NULL && hak_segment_bytes_mt() == HAK_SLICE_BYTES, "after unmapping free segments");
  hak_log_enable(true);
  hak_os_fail_calls(0, FAIL_ALWAYS);
  errno = 0;
  CHECK(hak_mmap_alloc_mt(20 * MIB, 16, &zeroed) == NULL && errno == ENOMEM, "errno %d", errno);
  CHECK(hak_mmap_bytes_mt(p) == 20 * MIB && hak_mmap_free_mt(p) && hak_mmap_free_mt(q), "the others live");
  CHECK(hak_mmap_alloc_mt(20 * MIB, 16, &zeroed) != NULL && !zeroed, "the cache needs no system");
}

static void test_mappings(void **state) {
  (void)state;
  child_passes(sizes, 0);
  child_passes(questions, 0);
  child_passes(eviction, 0);
  child_passes(regret, 0);
  child_passes(ticks, 0);
  child_t child = child_run(failures, 0);
  CHECK(child.status == 0, "status 0x%x:\n%s", (unsigned)child.status, child.output);
  CHECK(strcmp(child.output, "[MMAP] mmap FAILED: size=20971520, errno=12\n") == 0, "%s", child.output);
}

/* What a resize gives back is bounded as what a free does. */
static void shrinking(size_t unused) {
  (void)unused;
  hak_options_init();
  bool zeroed;
  char *p = hak_mmap_alloc_mt(512 * MIB, HAK_GRAIN, &zeroed);
  CHECK(p != NULL && hak_mmap_resize_mt(p, 3 * MIB) == p, "in place");
  CHECK(hak_mmap_cache_dirty_locked() <= 64 * MIB, "%zu bytes cached", hak_mmap_cache_dirty_locked());
  CHECK(hak_mmap_free_mt(p), "free");
}

/* Into what is free behind it, without the system; then only by moving, or not at all. */
static void growing_in_place(size_t unused) {
  (void)unused;
  hak_options_init();
  char *p = allocate(16 * MIB, HAK_GRAIN);
  hak_mmap_free_mt(p);
  CHECK(allocate(3 * MIB, HAK_GRAIN) == p, "the cached one");
  pattern_fill(p, 3 * MIB, 1);
  hak_os_fail_calls(0, FAIL_ALWAYS);
  CHECK(hak_mmap_resize_mt(p, 5 * MIB) == p && cached_now() == 11 * MIB, "%llu cached",
        (unsigned long long)cached_now());
  CHECK(hak_mmap_resize_mt(p, 16 * MIB) == p && cached_now() == 0, "%llu cached", (unsigned long long)cached_now());
  CHECK(hak_mmap_bytes_mt(p) == 16 * MIB && pattern_check(p, 3 * MIB, 1) == 3 * MIB, "content");
  CHECK(hak_mmap_resize_mt(p, 17 * MIB) == NULL && hak_mmap_bytes_mt(p) == 16 * MIB, "nothing is free behind it");
  CHECK(hak_mmap_resize_mt(p, 4 * MIB) == p && cached_now() == 12 * MIB, "shrunk");
  CHECK(hak_mmap_resize_mt(p, 17 * MIB) == NULL && hak_mmap_bytes_mt(p) == 4 * MIB, "too little is free behind it");
  hak_os_fail_calls(0, 0);
  CHECK(hak_mmap_free_mt(p) && hak_mmap_bytes_mt(p) == 0, "freed");
}

/* Into what is free elsewhere, if enough of that is resident. */
static void growing_by_copy(size_t unused) {
  (void)unused;
  hak_options_init();
  char *p = allocate(4 * MIB, 16 * MIB), *neighbour = allocate(16 * MIB, 16 * MIB),
       *free = allocate(16 * MIB, 16 * MIB);
  char *first = p < neighbour ? p : neighbour; /* the system may place them so that one could grow */
  hak_mmap_free_mt(free);
  pattern_fill(p, 4 * MIB, 1);
  if (p + 4 * MIB == free) return;
  errno = 0;
  CHECK(hak_mmap_resize_mt(p, 8 * MIB) == NULL && errno == 0, "a copy is better, errno %d", errno);
  CHECK(first != NULL && hak_mmap_bytes_mt(p) == 4 * MIB, "it stays");
  hak_os_fail_calls(0, FAIL_ALWAYS);
  CHECK(hak_realloc(p, 8 * MIB) == free && pattern_check(free, 4 * MIB, 1) == 4 * MIB, "copied");
  hak_os_fail_calls(0, 0);
  CHECK(cached_now() == 12 * MIB, "%llu cached", (unsigned long long)cached_now());
  hak_options.mmap_cache_kib = 4 * 1024;
  CHECK(hak_mmap_resize_mt(neighbour, 17 * MIB) != NULL, "moved: the cache has too little");
}

static void test_resizing(void **state) {
  (void)state;
  child_passes(shrinking, 0);
  child_passes(growing_in_place, 0);
  child_passes(growing_by_copy, 0);
}

/* A mapping that the system will not unmap stays in the cache, to be handed out again. */
static void refused(size_t unused) {
  (void)unused;
  hak_options_init();
  hak_options.mmap_cache_kib = 0;
  bool zeroed;
  char *p = hak_mmap_alloc_mt(8 * MIB, HAK_GRAIN, &zeroed);
  os_fail_unmap = true;
  CHECK(p != NULL && hak_mmap_free_mt(p), "free");
  CHECK(hak_mmap_cache_dirty_locked() == 0 && hak_mmap_cache_has_locked(p), "its pages go, it stays");
  CHECK(!hak_mmap_collect_mt(true) && hak_mmap_cache_has_locked(p), "collected");
  CHECK(hak_mmap_alloc_mt(8 * MIB, HAK_GRAIN, &zeroed) == p && zeroed, "not the same one");
  memset(p, 1, 8 * MIB);
  hak_os_fail_calls(0, FAIL_ALWAYS); /* and if they do not go either: */
  CHECK(hak_mmap_free_mt(p) && hak_mmap_cache_dirty_locked() == 8 * MIB, "%zu dirty", hak_mmap_cache_dirty_locked());
  hak_os_fail_calls(0, 0);
  CHECK(hak_mmap_alloc_mt(8 * MIB, HAK_GRAIN, &zeroed) == p && !zeroed && p[MIB] == 1, "not zero");
  os_fail_unmap = false;
  hak_options.purge_delay_ms = 0;
  CHECK(hak_mmap_free_mt(p) && !hak_mmap_cache_has_locked(p), "unmapped");
}

static void test_refused(void **state) {
  (void)state;
  child_passes(refused, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_table),
      cmocka_unit_test(test_mappings),
      cmocka_unit_test(test_resizing),
      cmocka_unit_test(test_refused),
  };
  return cmocka_run_group_tests_name("mmap", tests, NULL, NULL);
}
