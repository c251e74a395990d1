/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * core/purge: the bound on free memory that stays resident, the number of calls it costs, the age at which the rest
 * goes, and what happens when the system refuses. Calls are counted by allowing so many before the first would fail.
 */
#include "unit.h"

/* Injected failures do not begin before so many calls; how many were made since. */
#define COUNT_FROM 1000000u

static void count_calls(void) { hak_os_fail_calls(COUNT_FROM, 1); }

static int64_t calls(void) { return (int64_t)COUNT_FROM - hak_load_relaxed(&os_xfail_after); }

static int64_t dirty(void) { return hak_load_relaxed(hak_segment_dirty_slices()); }

static uint64_t purged(void) { return hak_load_relaxed(hak_purge_bytes()); }

static void set_bound(int64_t slices) {
  hak_options_init();
  hak_options.dirty_kib = slices * 64;
  hak_options.dirty_percent = 0;
  hak_options.purge_delay_ms = INT64_MAX / 2;
}

static char *take(unsigned slices) {
  bool zeroed;
  char *base = hak_segment_take_mt(slices, &zeroed);
  CHECK(base != NULL, "%u slices", slices);
  CHECK(!zeroed || first_nonzero(base, slices * HAK_SLICE_BYTES) == slices * HAK_SLICE_BYTES, "%u slices: not zero",
        slices);
  memset(base, 0xa5, slices * HAK_SLICE_BYTES);
  return base;
}

static bool is_resident(const char *page) {
  unsigned char resident = 0;
  CHECK(mincore((void *)hak_align_down((uintptr_t)page, hak_os_page_bytes()), 1, &resident) == 0, "errno %d", errno);
  return (resident & 1) != 0;
}

/* ---- The bound --------------------------------------------------------------------------------------------------- */

/* As slabs and spans do it: give, then keep the bound. Runs of any length, in any order, leave gaps. */
static void bounded(size_t least) {
  enum { RUNS = 150 };
  static char *runs[RUNS];
  static unsigned slices[RUNS];
  rng_t rng = {test_seed()};
  set_bound((int64_t)least);
  CHECK(purge_bound_slices() == (int64_t)least, "%lld", (long long)purge_bound_slices());
  for (size_t step = 0; step < test_work(4000); step++) {
    size_t i = rng_below(&rng, RUNS);
    if (runs[i] == NULL) {
      slices[i] = rng_below(&rng, 4) == 0 ? (unsigned)rng_between(&rng, 2, 16) : 1;
      runs[i] = take(slices[i]);
      continue;
    }
    int64_t before = dirty() + slices[i];
    uint64_t purged_before = purged();
    hak_segment_give_mt(runs[i], slices[i]);
    CHECK(dirty() == before, "%lld dirty, not %lld", (long long)dirty(), (long long)before);
    int64_t bound = purge_bound_slices(); /* it may have risen, as what was purged is used again */
    CHECK(bound >= (int64_t)least, "%lld, not %zu", (long long)bound, least);
    count_calls();
    errno = 55;
    hak_purge_bound_mt(slices[i]);
    CHECK(errno == 55, "errno %d", errno);
    int64_t made = calls();
    CHECK(made >= 0 && made <= (int64_t)HAK_PURGE_CALLS, "%lld calls", (long long)made);
    CHECK((made != 0) == (before > bound), "%lld dirty of %lld, %lld calls", (long long)before, (long long)bound,
          (long long)made);
    int64_t least_purged = made == (int64_t)HAK_PURGE_CALLS ? made : slices[i] + (int64_t)HAK_PURGE_SLICES;
    CHECK(dirty() <= bound || before - dirty() >= least_purged, "%lld dirty of %lld after %lld calls",
          (long long)dirty(), (long long)bound, (long long)made);
    CHECK(slices[i] > HAK_PURGE_CALLS || before - slices[i] > bound || dirty() <= bound,
          "%lld dirty of %lld, from %lld", (long long)dirty(), (long long)bound, (long long)before);
    CHECK(purged() - purged_before == (uint64_t)(before - dirty()) * HAK_SLICE_BYTES, "counted");
    runs[i] = NULL;
  }
}

static void share(size_t unused) {
  (void)unused;
  set_bound(2);
  hak_options.dirty_percent = 10;
  static char *runs[200];
  for (size_t i = 0; i < 200; i++) {
    runs[i] = take(1);
  }
  for (size_t i = 0; i < 190; i++) { /* the larger of 2 slices and a tenth of what is in use */
    hak_segment_give_mt(runs[i], 1);
    hak_purge_bound_mt(1);
    int64_t active = 199 - (int64_t)i, bound = active / 10 > 2 ? active / 10 : 2;
    CHECK(dirty() <= bound, "%lld dirty, %lld in use", (long long)dirty(), (long long)active);
    CHECK(i >= 18 || dirty() == (int64_t)i + 1, "%lld dirty after %zu: too early", (long long)dirty(), i + 1);
  }
}

/* However much there is, one slow path gives back no more than it may. */
static void budget(size_t unused) {
  (void)unused;
  set_bound(1000);
  hak_options.purge_delay_ms = 0;
  char *runs[4];
  for (size_t i = 0; i < 4; i++) {
    runs[i] = take(63);
  }
  for (size_t i = 0; i < 4; i++) {
    hak_segment_give_mt(runs[i], 63);
  }
  hak_options.dirty_kib = 0;
  hak_purge_bound_mt(5);
  CHECK(dirty() == 4 * 63 - 5 - (int64_t)HAK_PURGE_SLICES, "%lld dirty", (long long)dirty());
  hak_purge_bound_mt(63 - 5 - 2 * (unsigned)HAK_PURGE_SLICES); /* goes on where it stopped */
  CHECK(dirty() == 3 * 63 && !is_resident(runs[0]) && is_resident(runs[1]), "%lld dirty", (long long)dirty());
  hak_options.dirty_kib = 1000 * 64;
  for (int64_t left = 3 * 63 - (int64_t)HAK_PURGE_OLD_SLICES; left > 0; left -= HAK_PURGE_OLD_SLICES) {
    hak_purge_old_mt();
    CHECK(dirty() == left, "%lld dirty, not %lld", (long long)dirty(), (long long)left);
  }
  hak_purge_old_mt();
  CHECK(dirty() == 0, "%lld dirty", (long long)dirty());
  for (size_t i = 0; i < 4; i++) {
    CHECK(take(63) == runs[i], "and all of it is zero"); /* take looks */
  }
}

static void test_bound(void **state) {
  (void)state;
  child_passes(bounded, 0);
  child_passes(bounded, 10);
  child_passes(bounded, 100);
  child_passes(share, 0);
  child_passes(budget, 0);
}

/* ---- What goes, and what stays ----------------------------------------------------------------------------------- */

static void pages(size_t unused) {
  (void)unused;
  set_bound(1000);
  char *a = take(3), *b = take(2), *c = take(4);
  hak_segment_give_mt(a, 3);
  hak_segment_give_mt(c, 4);
  hak_purge_bound_mt(4);
  CHECK(is_resident(a) && is_resident(c), "within the bound");
  count_calls();
  hak_purge_all_mt(false, 0);
  CHECK(calls() == 0 && dirty() == 7, "it is young");
  hak_purge_all_mt(true, 0);
  CHECK(calls() == 2 && dirty() == 0 && purged() == 7 * HAK_SLICE_BYTES, "%lld calls", (long long)calls());
  CHECK(TEST_ASAN || TEST_TSAN || (!is_resident(a) && !is_resident(c + 4 * HAK_SLICE_BYTES - 1)), "resident");
  CHECK(b[0] == (char)0xa5 && b[2 * HAK_SLICE_BYTES - 1] == (char)0xa5, "in use");
  hak_purge_all_mt(true, 0);
  CHECK(calls() == 2, "nothing is left");
  CHECK(take(3) == a && take(4) == c, "and it is zero"); /* take looks */
}

/* Some are to stay: those that are taken next. */
static void kept(size_t unused) {
  (void)unused;
  set_bound(1000);
  char *a = take(5), *b = take(1), *c = take(4);
  hak_segment_give_mt(a, 5);
  hak_segment_give_mt(c, 4);
  hak_purge_all_mt(true, 9 * HAK_SLICE_BYTES);
  hak_purge_all_mt(true, SIZE_MAX);
  CHECK(dirty() == 9, "all of them stay, not %lld", (long long)dirty());
  hak_purge_all_mt(true, 6 * HAK_SLICE_BYTES + 1); /* is seven slices */
  CHECK(dirty() == 7, "seven stay, not %lld", (long long)dirty());
  hak_purge_all_mt(true, 2 * HAK_SLICE_BYTES);
  CHECK(dirty() == 2, "two stay, not %lld", (long long)dirty());
  hak_purge_all_mt(true, 0);
  CHECK(dirty() == 0 && b[0] == (char)0xa5, "none stays");
}

static void refused(size_t unused) {
  (void)unused;
  set_bound(3);
  char *a = take(8), *between = take(1), *b = take(8);
  hak_log_enable(true);
  hak_os_fail_calls(0, FAIL_ALWAYS);
  hak_segment_give_mt(a, 8);
  hak_segment_give_mt(b, 8);
  errno = 55;
  hak_purge_bound_mt(8);
  CHECK(errno == 55 && dirty() == 16 && purged() == 0, "%lld dirty", (long long)dirty());
  CHECK(hak_load_relaxed(&os_xfail_count) == (int64_t)FAIL_ALWAYS - 1, "it goes on after a failure");
  hak_os_fail_calls(0, 0);
  bool zeroed = true;
  CHECK(hak_segment_take_mt(8, &zeroed) == a && !zeroed && a[0] == (char)0xa5, "not known to be zero");
  hak_segment_give_mt(a, 8);
  hak_purge_bound_mt(8);
  CHECK(dirty() <= 3, "%lld dirty after that", (long long)dirty());
  hak_segment_give_mt(between, 1);
}

static void test_pages(void **state) {
  (void)state;
  child_passes(pages, 0);
  child_passes(kept, 0);
  child_t child = child_run(refused, 0);
  CHECK(child.status == 0, "status 0x%x:\n%s", (unsigned)child.status, child.output);
  CHECK(strcmp(child.output, "[PURGE] madvise FAILED: segment=0, slices=8\n") == 0, "%s", child.output);
}

/* ---- Age --------------------------------------------------------------------------------------------------------- */

/* Time is what the segments say they were freed at: nothing waits here. */
static void make_older(uint32_t segment, uint64_t ms) {
  hak_segment_t *s = hak_segment_at_mt(segment);
  hak_store_relaxed(&s->xfreed_ms, hak_os_now_ms() - ms);
}

static void age(size_t unused) {
  (void)unused;
  set_bound(100000);
  hak_options.purge_delay_ms = 1000000;
  char *runs[3][21];
  for (size_t s = 0; s < 3; s++) {
    for (size_t i = 0; i < 21; i++) {
      runs[s][i] = take(3);
    }
  }
  CHECK(hak_segment_count_mt() == 3, "%u segments", hak_segment_count_mt());
  for (size_t s = 0; s < 3; s++) {
    for (size_t i = 0; i < 20; i += 2) { /* ten runs that do not touch */
      hak_segment_give_mt(runs[s][i], 3);
    }
  }
  count_calls();
  hak_purge_old_mt();
  CHECK(calls() == 0 && dirty() == 90, "all are young");
  make_older(1, 1000001);
  hak_purge_old_mt();
  CHECK(calls() == 0, "it looks only once in a quarter of the delay");
  hak_store_relaxed(&purge_xlook_ms, 0);
  hak_purge_old_mt();
  CHECK(calls() == (int64_t)HAK_PURGE_CALLS && dirty() == 90 - 3 * 4, "%lld calls", (long long)calls());
  hak_purge_old_mt(); /* there was more to do: it does not wait */
  CHECK(calls() == 8 && dirty() == 90 - 3 * 8, "%lld calls", (long long)calls());
  hak_purge_old_mt();
  CHECK(calls() == 10 && dirty() == 60, "%lld calls", (long long)calls());
  hak_purge_old_mt();
  CHECK(calls() == 10, "now it waits");
  hak_store_relaxed(&purge_xlook_ms, 0);
  hak_purge_old_mt();
  CHECK(calls() == 10 && dirty() == 60, "the others are young");
  make_older(0, 999000); /* a second is missing */
  make_older(2, 1000001);
  hak_purge_all_mt(false, 0);
  CHECK(calls() == 20 && dirty() == 30 && is_resident(runs[0][0]), "%lld calls", (long long)calls());
  /* Freed after this thread looked at the clock: young, not very old. */
  make_older(0, (uint64_t)-5000);
  hak_purge_all_mt(false, 0);
  CHECK(calls() == 20 && dirty() == 30, "from the future");
}

/* Slow paths come by: what is old goes while a thread does something else. */
static void ticks(size_t unused) {
  (void)unused;
  void *big = hak_malloc(MIB);
  memset(big, 1, MIB);
  hak_options.purge_delay_ms = 0;
  hak_free(big);
  hak_theap_flush(hak_tls.heap);
  CHECK(dirty() > 0, "%lld dirty", (long long)dirty());
  for (size_t i = 0; i < 1000 && dirty() > 0; i++) {
    hak_theap_tick(hak_tls.heap);
  }
  CHECK(dirty() == 0, "%lld dirty", (long long)dirty());
}

/* What each public call costs at most when nothing may stay dirty: four calls to keep the bound, however many slabs and spans it
 * released, and four more when it is the one that looks for what is old; 150 slabs at once, too. Never in the guard or under a
 * lock. */
static bool purge_was_locked;

static void watch_purge(void) {
  const hak_theap_t *heap = hak_tls.heap;
  purge_was_locked |= heap != NULL && (hak_load_relaxed(&heap->xbusy) || hak_load_relaxed(&heap->xclaim) != 0);
  purge_was_locked |= hak_load_relaxed(&hak_segment_lock.xstate) != 0 || hak_load_relaxed(&hak_mmap_lock.xstate) != 0 ||
                      hak_load_relaxed(&hak_registry_lock.xstate) != 0;
}

static void many_at_once(size_t unused) {
  (void)unused;
  hak_free(hak_malloc(1)); /* the options */
  hak_options.dirty_kib = 0;
  hak_options.dirty_percent = 0;
  os_on_purge = watch_purge;
  hak_theap_t *heap = hak_tls.heap;
  /* One block of each slab in a bin: what keeps 150 slabs from being empty. */
  enum { SLABS = 150, EACH = 64 };
  unsigned class_number = hak_slab_class_of(1024);
  static char *all[SLABS * EACH];
  for (size_t i = 0; i < COUNT_OF(all); i++) all[i] = hak_malloc(1024);
  hak_theap_flush(heap);
  hak_guard_enter(heap);
  hak_tls.bin[class_number].room = SLABS;
  for (size_t i = 0; i < COUNT_OF(all); i++) {
    hak_block_t *block = (hak_block_t *)(void *)all[i];
    block->key = hak_freed_key(block);
    if (hak_slice_of(block) == 0) continue;
    if (i % EACH != 0) hak_slab_give(heap, block);
  }
  for (size_t i = 0; i < COUNT_OF(all); i += EACH) {
    hak_block_t *block = (hak_block_t *)(void *)all[i];
    block->next = hak_tls.bin[class_number].head;
    hak_tls.bin[class_number].head = block;
  }
  hak_guard_leave(heap);
  int64_t before = dirty();
  count_calls();
  heap->lean_ms = heap->looked_ms = 0;
  hak_theap_tick_now(heap); /* nothing uses the bin, so it goes back once it was seen twice */
  heap->looked_ms = 0;
  hak_theap_tick_now(heap);
  CHECK(calls() > 0 && calls() <= 4 * (int64_t)HAK_PURGE_CALLS, "%lld calls in two ticks", (long long)calls());
  CHECK(dirty() + 8 * 64 > before + SLABS / 2, "the slabs were released at once: %lld dirty", (long long)dirty());
  CHECK(!purge_was_locked, "a purge in the guard or under a lock");
}

static void slow_paths(size_t unused) {
  (void)unused;
  hak_free(hak_malloc(1)); /* the options */
  hak_options.dirty_kib = 0;
  hak_options.dirty_percent = 0;
  hak_options.purge_delay_ms = 0;
  os_on_purge = watch_purge;
  enum { BLOCKS = 400 };
  static const size_t sizes[] = {64, 5000, 16 * KIB, 200 * KIB, 2 * MIB};
  static void *blocks[BLOCKS];
  rng_t rng = {test_seed()};
  int64_t most = 0, all = 0;
  for (size_t step = 0; step < test_work(40000); step++) {
    size_t i = rng_below(&rng, BLOCKS);
    uint64_t mapped = hak_segment_bytes_mt();
    count_calls();
    if (blocks[i] == NULL) {
      blocks[i] = hak_malloc(sizes[rng_below(&rng, COUNT_OF(sizes))]);
    } else {
      hak_free(blocks[i]);
      blocks[i] = NULL;
    }
    int64_t made = calls();
    if (hak_segment_bytes_mt() == mapped) { /* else it mapped as well */
      all += made;
      if (made > most) most = made;
    }
  }
  CHECK(all > 0 && most <= 2 * (int64_t)HAK_PURGE_CALLS, "%lld calls at most", (long long)most);
  CHECK(!purge_was_locked, "a purge in the guard or under a lock");
}

static void test_slow_paths(void **state) {
  (void)state;
  child_passes(slow_paths, 0);
  child_passes(many_at_once, 0);
}

static void test_age(void **state) {
  (void)state;
  child_passes(age, 0);
  child_passes(ticks, 0);
}

/* A page that a program locked and forgot cannot be given back; the segments behind it can. */
static void locked_page(size_t unused) {
  (void)unused;
  set_bound(1000);
  char *runs[8];
  for (size_t i = 0; i < COUNT_OF(runs); i++) runs[i] = take(63); /* a segment each */
  for (size_t i = 0; i < COUNT_OF(runs); i++) memset(runs[i], 1, 63 * HAK_SLICE_BYTES);
  if (mlock(runs[0], hak_os_page_bytes()) != 0) return; /* not allowed here */
  for (size_t i = 0; i < COUNT_OF(runs); i++) hak_segment_give_mt(runs[i], 63);
  set_bound(0);
  for (size_t i = 0; i < 2000 && dirty() > 63; i++) hak_purge_bound_mt(63);
  CHECK(dirty() <= 63, "%lld dirty of 8 segments", (long long)dirty());
}

static void test_locked_page(void **state) {
  (void)state;
  child_passes(locked_page, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bound),      cmocka_unit_test(test_pages),       cmocka_unit_test(test_age),
      cmocka_unit_test(test_slow_paths), cmocka_unit_test(test_locked_page),
  };
  return cmocka_run_group_tests_name("purge", tests, NULL, NULL);
}
