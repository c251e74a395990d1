/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * core/limit: what is counted when the system refuses what the limit granted, and after a fork that tore a purge.
 */
#include "unit.h"

static void held_is_the_sum(void) {
  hak_stats_t stats = stats_now();
  uint64_t sum = stats.active_bytes + stats.dirty_bytes + stats.mmap_bytes + stats.mmap_cached_bytes;
  CHECK(stats.held_bytes == sum, "held %zu, sum %zu", (size_t)stats.held_bytes, (size_t)sum);
}

static void a_mapping_that_fails_is_not_counted(void **state) {
  (void)state;
  for (unsigned after = 0; after < 6; after++) {
    hak_collect(1); /* so that nothing is cached */
    hak_os_fail_calls(after, 1000);
    char *block = hak_malloc(20 * HAK_MIB);
    char *more = block == NULL ? NULL : hak_realloc(block, 60 * HAK_MIB);
    hak_os_fail_calls(0, 0);
    CHECK(!hak_limit_met, "it was not the limit");
    held_is_the_sum();
    hak_free(more != NULL ? more : block);
    held_is_the_sum();
  }
}

static void a_mapping_that_cannot_grow_is_counted_as_it_was(void **state) {
  (void)state;
  hak_collect(1); /* so that nothing is cached */
  char *block = hak_malloc(20 * HAK_MIB);
  hak_os_fail_calls(0, 1000);
  CHECK(hak_realloc(block, 60 * HAK_MIB) == NULL, "grows");
  hak_os_fail_calls(0, 0);
  held_is_the_sum();
  hak_free(block);
}

/* What lies behind it is address space only: that is for the limit to grant. */
static void a_mapping_that_grows_in_place_asks_for_what_is_clean(void **state) {
  (void)state;
  hak_collect(1);
  int64_t cache_kib = hak_options.mmap_cache_kib;
  char *block = hak_malloc(20 * HAK_MIB);
  hak_options.mmap_cache_kib = 4 * 1024;
  CHECK(hak_realloc(block, 4 * HAK_MIB) == block && hak_mmap_cache_dirty_locked() == 4 * HAK_MIB,
        "%zu resident behind it", hak_mmap_cache_dirty_locked());
  hak_stats_t stats = {.size = sizeof stats};
  (void)hak_stats_get(&stats);
  hak_limit_set(stats.held_bytes + HAK_MIB, NULL, NULL);
  CHECK(hak_mmap_resize_mt(block, 8 * HAK_MIB) == block && !hak_limit_met, "what is resident is counted");
  held_is_the_sum();
  CHECK(hak_mmap_resize_mt(block, 9 * HAK_MIB) == block && !hak_limit_met, "there is room");
  held_is_the_sum();
  CHECK(hak_mmap_resize_mt(block, 10 * HAK_MIB) == NULL && hak_limit_met, "there is none");
  held_is_the_sum();
  CHECK(hak_usable_size(block) == 9 * HAK_MIB, "it is as it was");
  hak_limit_met = false;
  hak_limit_set(0, NULL, NULL);
  CHECK(hak_mmap_resize_mt(block, 20 * HAK_MIB) == block, "what was put back is still there");
  held_is_the_sum();
  hak_free(block);
  hak_options.mmap_cache_kib = cache_kib;
}

/* As if a purge had not come to its end: its slices are neither free nor used, and were counted as dirty. */
static void the_child_of_a_fork_counts_anew(void **state) {
  (void)state;
  bool zeroed;
  char *base = hak_segment_take_mt(8, &zeroed);
  CHECK(base != NULL, "slices");
  hak_segment_give_mt(base, 8);
  hak_segment_t *segment = hak_segment_of(base);
  (void)hak_and_relaxed(&segment->xfree, ~hak_slices_mask(hak_slice_of(base), 8));
  hak_segment_recount_dirty();
  held_is_the_sum();
  hak_segment_return_mt(segment, hak_slices_mask(hak_slice_of(base), 8));
  hak_segment_recount_dirty();
  held_is_the_sum();
}

/* A refusal that another place made good for is none of the request's. */
static void used_memory_needs_no_room(void **state) {
  (void)state;
  bool zeroed;
  hak_collect(1);
  char *base = hak_segment_take_mt(4, &zeroed);
  hak_segment_give_mt(base, 4);
  hak_limit_set(1, NULL, NULL);
  CHECK(hak_segment_take_mt(4, &zeroed) == base && !zeroed && !hak_limit_met, "what is dirty");
  uint32_t segments = hak_segment_count_mt();
  CHECK(hak_segment_take_mt(4, &zeroed) == NULL && hak_limit_met, "what is not");
  CHECK(hak_segment_count_mt() == segments, "no segment is mapped in vain");
  hak_limit_met = false;
  hak_limit_set(0, NULL, NULL);
  char *fresh = hak_segment_take_mt(4, &zeroed);
  CHECK(fresh != NULL && hak_segment_count_mt() == segments, "a segment that was refused is found again");
  hak_segment_give_mt(fresh, 4);
  hak_segment_give_mt(base, 4);
  held_is_the_sum();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_mapping_that_fails_is_not_counted),
      cmocka_unit_test(a_mapping_that_cannot_grow_is_counted_as_it_was),
      cmocka_unit_test(a_mapping_that_grows_in_place_asks_for_what_is_clean),
      cmocka_unit_test(the_child_of_a_fork_counts_anew),
      cmocka_unit_test(used_memory_needs_no_room),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
