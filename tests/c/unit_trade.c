/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Trades: what one tier has free and resident goes back when another takes memory of the system, but not what was lately
 * wanted back.
 */
#include "unit.h"

static int64_t dirty(void) { return hak_load_relaxed(hak_segment_dirty_slices()); }

static void set_up(void) {
  hak_options_init();
  hak_options.purge_delay_ms = INT64_MAX / 2;
}

static char *take(unsigned slices) {
  bool zeroed;
  char *base = hak_segment_take_mt(slices, &zeroed);
  CHECK(base != NULL, "%u slices", slices);
  memset(base, 1, slices * HAK_SLICE_BYTES);
  return base;
}

static char *map(size_t bytes) {
  bool zeroed;
  char *block = hak_mmap_alloc_mt(bytes, HAK_GRAIN, &zeroed);
  CHECK(block != NULL, "%zu bytes", bytes);
  return block;
}

/* Slices for a mapping. */
static void slices_go(size_t unused) {
  (void)unused;
  set_up();
  char *run = take(60);
  CHECK(hak_purge_trade_mt(MIB) == 0, "nothing is free");
  hak_segment_give_mt(run, 60);
  errno = 55;
  CHECK(hak_purge_trade_mt(10 * HAK_SLICE_BYTES) == 10 * HAK_SLICE_BYTES && dirty() == 50, "%lld dirty",
        (long long)dirty());
  CHECK(hak_purge_trade_mt(1) == HAK_SLICE_BYTES && errno == 55, "no part of a slice");
  (void)map(20 * HAK_SLICE_BYTES);
  CHECK(dirty() == 29, "a new mapping: %lld dirty", (long long)dirty());
  char *block = map(3 * MIB);
  CHECK(dirty() == 0, "%lld dirty", (long long)dirty());
  char *again = take(60); /* 60 of them were wanted back, so 240 stay, or rather as many as were lately in use */
  CHECK(again == run && purge_wanted_slices() == 60, "%lld wanted", (long long)purge_wanted_slices());
  hak_segment_give_mt(again, 60);
  CHECK(hak_purge_trade_mt(MIB) == 0 && dirty() == 60, "%lld dirty", (long long)dirty());
  hak_purge_all_mt(true, 0);
  hak_segment_give_mt(take(60), 60);
  CHECK(hak_mmap_resize_mt(block, 4 * MIB) != NULL && dirty() == 44, "%lld dirty", (long long)dirty());
  hak_os_fail_calls(0, FAIL_ALWAYS);
  CHECK(hak_purge_trade_mt(MIB) == 0 && dirty() == 44, "a refusal: %lld dirty", (long long)dirty());
}

/* Cached mappings for slices. */
static void mappings_go(size_t unused) {
  (void)unused;
  set_up();
  CHECK(hak_purge_fresh_mt() == 0, "nothing was taken");
  char *run = take(HAK_TRADE_SLICES - 1);
  CHECK(hak_purge_fresh_mt() == 0, "it is not worth it yet");
  (void)take(2);
  CHECK(hak_purge_fresh_mt() == (HAK_TRADE_SLICES + 1) * HAK_SLICE_BYTES && hak_purge_fresh_mt() == 0, "not counted");
  hak_segment_give_mt(run, 4);
  (void)take(3);
  CHECK(hak_load_relaxed(hak_segment_fresh_slices()) == 0, "these were resident");

  char *block = map(8 * MIB);
  memset(block, 1, 8 * MIB);
  CHECK(hak_mmap_free_mt(block) && hak_mmap_cache_dirty_locked() == 8 * MIB, "cached");
  hak_mmap_trade_mt(3 * MIB);
  CHECK(hak_mmap_cache_dirty_locked() == 5 * MIB && hak_mmap_cache_has_locked(block + 8 * MIB - 1), "%zu cached",
        hak_mmap_cache_dirty_locked());
  CHECK(map(8 * MIB) == block && block[5 * MIB - 1] == 1 && first_nonzero(block + 5 * MIB, 3 * MIB) == 3 * MIB,
        "its address space stays, its end is zero");
  CHECK(mmap_regret_bytes == 8 * MIB, "%zu: four times as much, but no more than was live", mmap_regret_bytes);
  CHECK(hak_mmap_free_mt(block), "free");
  hak_mmap_trade_mt(3 * MIB);
  CHECK(hak_mmap_cache_dirty_locked() == 8 * MIB, "it is wanted: %zu cached", hak_mmap_cache_dirty_locked());
  mmap_regret_bytes = 0;
  hak_os_fail_calls(0, 1); /* what cannot be purged is unmapped */
  hak_mmap_trade_mt(2 * MIB);
  CHECK(hak_mmap_cache_dirty_locked() == 6 * MIB && !hak_mmap_cache_has_locked(block + 6 * MIB), "%zu cached",
        hak_mmap_cache_dirty_locked());
}

/* Whoever allocates small blocks while a large one lies free pays with that: its slow paths see to it. */
static void small_for_large(size_t unused) {
  (void)unused;
  set_up();
  char *block = hak_malloc(32 * MIB);
  memset(block, 1, 32 * MIB);
  hak_free(block);
  CHECK(hak_mmap_cache_dirty_locked() == 32 * MIB, "cached");
  for (size_t bytes = 0; bytes < 16 * MIB; bytes += 512) {
    char *small = hak_malloc(512);
    CHECK(small != NULL, "no memory");
    small[0] = 1;
  }
  CHECK(hak_mmap_cache_dirty_locked() < 18 * MIB, "%zu cached", hak_mmap_cache_dirty_locked());
}

/* What is purged keeps its address space, but only so much. */
static void address_space(size_t unused) {
  (void)unused;
  set_up();
  char *blocks[8];
  for (size_t i = 0; i < COUNT_OF(blocks); i++) blocks[i] = map(32 * MIB);
  bool falling = blocks[1] < blocks[0]; /* the other way round clean pages between two blocks would count as resident */
  for (size_t i = 0; i < COUNT_OF(blocks); i++) {
    CHECK(hak_mmap_free_mt(blocks[falling ? i : COUNT_OF(blocks) - 1 - i]), "free");
  }
  CHECK(hak_mmap_cache_dirty_locked() == 64 * MIB && hak_mmap_cache_clean_locked() <= 64 * MIB, "%zu and %zu cached",
        hak_mmap_cache_dirty_locked(), hak_mmap_cache_clean_locked());
}

/* A block that nothing in the cache is large enough for is paid with what the cache has beyond its bound, wanted or not. */
static void misfits_go(size_t unused) {
  (void)unused;
  set_up();
  char *block = map(200 * MIB);
  mmap_regret_bytes = 200 * MIB;
  CHECK(hak_mmap_free_mt(block) && hak_mmap_cache_dirty_locked() == 200 * MIB, "it is wanted");
  (void)map(201 * MIB);
  CHECK(hak_mmap_cache_dirty_locked() < 102 * MIB, "%zu cached", hak_mmap_cache_dirty_locked());
}

/* A block that cannot grow for want of address space can when the cache has given its own back. */
static void room_to_grow(size_t unused) {
  (void)unused;
  set_up();
  char *block = map(3 * MIB), *other = map(5 * MIB);
  CHECK(hak_mmap_free_mt(other), "free");
  hak_os_fail_calls(0, 1);
  CHECK(hak_mmap_resize_mt(block, 12 * MIB) != NULL && hak_mmap_cache_dirty_locked() == 0, "not grown");
}

static void test_all(void **state) {
  (void)state;
  child_passes(slices_go, 0);
  child_passes(mappings_go, 0);
  child_passes(small_for_large, 0);
  child_passes(address_space, 0);
  child_passes(misfits_go, 0);
  child_passes(room_to_grow, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_all)};
  return cmocka_run_group_tests_name("trade", tests, NULL, NULL);
}
