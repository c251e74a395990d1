/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * core/segment: taking and giving against a model of every slice, what is said about zeroes, exhaustion, growth when
 * the system refuses, and the address space that goes back.
 */
#include "unit.h"

/* ---- A model: every slice of every segment ----------------------------------------------------------------------- */

enum { MODEL_SEGMENTS = 64, MODEL_RUNS = 400 };

static bool model_free[MODEL_SEGMENTS][HAK_SLICES], model_dirty[MODEL_SEGMENTS][HAK_SLICES];
static uint32_t model_count;

typedef struct {
  char *base;
  unsigned slices;
} run_t;

static bool model_has(uint32_t segment, unsigned first, unsigned slices, bool dirty) {
  for (unsigned i = first; i < first + slices; i++) {
    if (i >= HAK_SLICES || !model_free[segment][i] || (dirty && !model_dirty[segment][i])) {
      return false;
    }
  }
  return true;
}

static bool model_find_in(uint32_t segment, unsigned slices, bool dirty, unsigned *first) {
  for (*first = 1; *first + slices <= HAK_SLICES; ++*first) {
    if (model_has(segment, *first, slices, dirty)) return true;
  }
  return false;
}

/* The lowest run of used slices of the first segments that the hints name; else the lowest run in the first segment that has
 * any. Which hints are set, the model does not know: they may be wrong that way. */
static bool model_find(unsigned slices, uint32_t *segment, unsigned *first) {
  unsigned kind = hak_hint_of_run(hak_hint_run_within(slices)), looks = SEGMENT_DIRTY_LOOKS;
  for (uint32_t i = 0; looks != 0 && (i = hak_hint_next(kind, i, model_count)) < model_count; i++, looks--) {
    *segment = i;
    if (model_find_in(i, slices, true, first)) return true;
  }
  for (*segment = 0; *segment < model_count; ++*segment) {
    if (model_find_in(*segment, slices, true, first) || model_find_in(*segment, slices, false, first)) return true;
  }
  return false;
}

static void model_learn(void) {
  for (uint32_t count = hak_segment_count_mt(); model_count < count; model_count++) {
    CHECK(model_count < MODEL_SEGMENTS, "%u segments", count);
    const hak_segment_t *segment = hak_segment_at_mt(model_count);
    CHECK(segment->index == model_count && (uintptr_t)segment->base % HAK_SEGMENT_BYTES == 0, "segment %u",
          model_count);
    CHECK(hak_segment_of(segment->base + HAK_SEGMENT_BYTES - 1) == segment, "segment %u", model_count);
    CHECK((char *)(segment + 1) <= segment->base + HAK_SLICE_BYTES, "segment %u", model_count);
    for (unsigned i = 1; i < HAK_SLICES; i++) {
      model_free[model_count][i] = true;
    }
  }
}

static void model_check(void) {
  int64_t active = 0, dirty = 0;
  for (uint32_t s = 0; s < model_count; s++) {
    const hak_segment_t *segment = hak_segment_at_mt(s);
    for (unsigned i = 0; i < HAK_SLICES; i++) {
      CHECK((hak_load_relaxed(&segment->xfree) >> i & 1) == model_free[s][i], "segment %u, slice %u", s, i);
      CHECK((hak_load_relaxed(&segment->xdirty) >> i & 1) == model_dirty[s][i], "segment %u, slice %u", s, i);
      active += i != 0 && !model_free[s][i];
      dirty += model_free[s][i] && model_dirty[s][i];
    }
  }
  CHECK(active == hak_load_relaxed(hak_segment_active_slices()), "%lld in use, not %lld",
        (long long)hak_load_relaxed(hak_segment_active_slices()), (long long)active);
  CHECK(dirty == hak_load_relaxed(hak_segment_dirty_slices()), "%lld dirty, not %lld",
        (long long)hak_load_relaxed(hak_segment_dirty_slices()), (long long)dirty);
  CHECK(hak_segment_bytes_mt() == model_count * HAK_SEGMENT_BYTES, "%zu bytes", hak_segment_bytes_mt());
}

/* ---- Taking and giving ------------------------------------------------------------------------------------------- */

/* Writes at the ends of every slice, where mark_check looks, and at its start. */
static void run_write(run_t run, unsigned char value) {
  for (size_t i = 0; i < run.slices; i++) {
    char *slice = run.base + i * HAK_SLICE_BYTES;
    memset(slice, value, 64);
    memset(slice + HAK_SLICE_BYTES - 64, value, 64);
  }
}

static bool run_holds(run_t run, unsigned char value) {
  for (size_t i = 0; i < run.slices; i++) {
    const unsigned char *slice = (unsigned char *)run.base + i * HAK_SLICE_BYTES;
    for (size_t at = 0; at < 64; at++) {
      if (slice[at] != value || slice[HAK_SLICE_BYTES - 1 - at] != value) {
        return false;
      }
    }
  }
  return true;
}

static run_t take(unsigned slices) {
  uint32_t segment;
  unsigned first;
  bool here = model_find(slices, &segment, &first);
  bool zeroed = slices % 2 == 0;
  run_t run = {hak_segment_take_mt(slices, &zeroed), slices};
  CHECK(run.base != NULL, "%u slices", slices);
  model_learn();
  if (!here) {
    CHECK(model_find(slices, &segment, &first), "%u slices in new segments", slices);
  }
  char *expected = hak_segment_at_mt(segment)->base + first * HAK_SLICE_BYTES;
  CHECK(run.base == expected, "%u slices: at slice %u of segment %u, not %u of %u", slices, hak_slice_of(run.base),
        hak_segment_of(run.base)->index, first, segment);
  bool clean = true;
  for (unsigned i = first; i < first + slices; i++) {
    clean = clean && !model_dirty[segment][i];
    model_free[segment][i] = false;
  }
  CHECK(zeroed == clean, "%u slices: zeroed %d", slices, zeroed);
  CHECK(!zeroed || run_holds(run, 0), "%u slices are not zero", slices);
  run_write(run, (unsigned char)(1 + ((uintptr_t)run.base >> HAK_SLICE_SHIFT) % 255));
  return run;
}

static void give(run_t run) {
  CHECK(run_holds(run, (unsigned char)(1 + ((uintptr_t)run.base >> HAK_SLICE_SHIFT) % 255)), "%u slices", run.slices);
  uint32_t segment = hak_segment_of(run.base)->index;
  unsigned first = hak_slice_of(run.base);
  errno = 55;
  hak_segment_give_mt(run.base, run.slices);
  CHECK(errno == 55, "errno %d", errno);
  for (unsigned i = first; i < first + run.slices; i++) {
    CHECK(hak_tagmap_get_mt(hak_segment_at_mt(segment)->base + i * HAK_SLICE_BYTES) == HAK_TAG_FREED, "slice %u", i);
    model_free[segment][i] = model_dirty[segment][i] = true;
  }
}

static unsigned random_slices(rng_t *rng) {
  static const unsigned usual[] = {1, 1, 1, 1, 8, 8, 16, 16, 2, 3, 5, 9, 31, 32, 33, 63};
  return rng_below(rng, 3) == 0 ? (unsigned)rng_between(rng, 1, 63) : usual[rng_below(rng, COUNT_OF(usual))];
}

/* All that is free goes back: clean and zero from then on. */
static void purge(bool succeeds) {
  hak_os_fail_calls(0, succeeds ? 0 : FAIL_ALWAYS);
  hak_purge_all_mt(true, 0);
  hak_os_fail_calls(0, 0);
  for (uint32_t s = 0; succeeds && s < model_count; s++) {
    for (unsigned i = 1; i < HAK_SLICES; i++) {
      model_dirty[s][i] = model_dirty[s][i] && !model_free[s][i];
    }
  }
}

static void modelled(size_t steps) {
  static run_t runs[MODEL_RUNS];
  size_t count = 0, wanted = 20;
  rng_t rng = {test_seed()};
  hak_options_init();
  for (size_t step = 0; step < steps; step++) {
    if (step % 200 == 0) {
      wanted = rng_below(&rng, 70);
    }
    if (count == 0 || (count < MODEL_RUNS && rng_below(&rng, wanted + 10) + 5 > count)) {
      runs[count++] = take(random_slices(&rng));
    } else {
      size_t i = rng_below(&rng, count);
      give(runs[i]);
      runs[i] = runs[--count];
    }
    if (step % 53 == 0) {
      purge(step % 2 == 0);
    }
    if (step % 10 == 0) {
      model_check();
    }
  }
  while (count != 0) {
    give(runs[--count]);
  }
  model_check();
  for (uint32_t s = 0; s < model_count; s++) { /* nothing is lost: every segment can be had whole */
    runs[s] = take(HAK_SLICES - 1);
  }
  model_check();
}

static void test_model(void **state) {
  (void)state;
  child_passes(modelled, test_work(6000));
}

/* ---- Exhaustion and growth --------------------------------------------------------------------------------------- */

static unsigned take_all(unsigned slices) {
  unsigned runs = 0;
  bool zeroed;
  while (hak_segment_take_mt(slices, &zeroed) != NULL) {
    runs++;
  }
  return runs;
}

static void exhaust(size_t unused) {
  (void)unused;
  bool zeroed;
  hak_os_fail_calls(0, FAIL_ALWAYS);
  CHECK(hak_segment_take_mt(1, &zeroed) == NULL && hak_segment_failures_mt() == 1, "without a segment");
  hak_os_fail_calls(0, 0);
  char *five = hak_segment_take_mt(5, &zeroed), *one = hak_segment_take_mt(1, &zeroed);
  CHECK(five != NULL && one == five + 5 * HAK_SLICE_BYTES, "the first runs");
  hak_os_fail_calls(0, FAIL_ALWAYS);
  CHECK(take_all(40) == 1 && take_all(16) == 1, "57 slices are left");
  CHECK(take_all(2) == 0 && take_all(1) == 1 && take_all(1) == 0, "one slice is left");
  uint64_t failures = hak_segment_failures_mt();
  CHECK(failures == 6, "%llu failures", (unsigned long long)failures);
  hak_segment_give_mt(five, 5); /* found although the search before it found nothing */
  CHECK(take_all(6) == 0 && take_all(4) == 1 && take_all(1) == 1, "5 slices are back");
  hak_segment_give_mt(one, 1);
  CHECK(take_all(1) == 1, "1 slice is back");
  hak_os_fail_calls(0, 0);
  CHECK(hak_segment_take_mt(63, &zeroed) != NULL && zeroed && hak_segment_count_mt() == 3, "after that");
}

static void test_exhaustion(void **state) {
  (void)state;
  child_passes(exhaust, 0);
}

static void take_segments(uint32_t *total, uint32_t n) {
  bool zeroed;
  for (; n != 0; n--) {
    CHECK(hak_segment_take_mt(HAK_SLICES - 1, &zeroed) != NULL && zeroed, "segment %u", *total);
    ++*total;
  }
}

/* All segments so far are in use; the next one comes with `expected` in all, of which all are then taken. */
static void grow(uint32_t *total, uint32_t expected) {
  uint32_t before = *total;
  CHECK(hak_segment_count_mt() == before, "%u segments, %u of them in use", hak_segment_count_mt(), before);
  take_segments(total, 1);
  CHECK(hak_segment_count_mt() - before == expected, "grew by %u, not %u", hak_segment_count_mt() - before, expected);
  take_segments(total, expected - 1);
}

static void growth_levels(size_t unused) {
  (void)unused;
  uint32_t total = 0;
  grow(&total, 1);
  grow(&total, 2);
  grow(&total, 4);
  grow(&total, 8);
  grow(&total, 16);
  grow(&total, 16);
  hak_log_enable(true);
  hak_os_fail_calls(0, 1); /* 64 MiB fail, 32 MiB do not */
  grow(&total, 8);
  hak_os_fail_calls(0, 4); /* only 4 MiB are left */
  grow(&total, 1);
  hak_os_fail_calls(0, 2); /* level 1 comes next: fails, and so does level 0 */
  bool zeroed;
  CHECK(hak_segment_take_mt(1, &zeroed) == NULL, "both levels fail");
  hak_os_fail_calls(0, 0);
  grow(&total, 2);
  grow(&total, 4);
}

static void test_growth(void **state) {
  (void)state;
  child_t child = child_run(growth_levels, 0);
  CHECK(child.status == 0, "status 0x%x:\n%s", (unsigned)child.status, child.output);
  static const char expected[] = "[POOL_ARENA] mmap FAILED: new_size=64 MB, growth_level=4, errno=12\n"
                                 "[POOL_ARENA] mmap FAILED: new_size=64 MB, growth_level=4, errno=12\n"
                                 "[POOL_ARENA] mmap FAILED: new_size=32 MB, growth_level=3, errno=12\n"
                                 "[POOL_ARENA] mmap FAILED: new_size=16 MB, growth_level=2, errno=12\n"
                                 "[POOL_ARENA] mmap FAILED: new_size=8 MB, growth_level=1, errno=12\n"
                                 "[POOL_ARENA] mmap FAILED: new_size=8 MB, growth_level=1, errno=12\n"
                                 "[POOL_ARENA] mmap FAILED: new_size=4 MB, growth_level=0, errno=12\n";
  CHECK(strcmp(child.output, expected) == 0, "\n%s", child.output);
}

/* ---- Address space back ------------------------------------------------------------------------------------------ */

static bool is_mapped(const void *p) {
  unsigned char resident;
  return mincore((void *)hak_align_down((uintptr_t)p, hak_os_page_bytes()), 1, &resident) == 0;
}

static void unmap(size_t unused) {
  (void)unused;
  uint32_t total = 0;
  grow(&total, 1);
  grow(&total, 2);
  grow(&total, 4);
  const size_t part = (HAK_SLICES - 1) * HAK_SLICE_BYTES;
  CHECK(hak_segment_unmap_free_mt() == 0, "all are in use");
  for (uint32_t s = 0; s < 7; s += 2) { /* segments 0, 2, 4, 6; but one slice of 4 stays in use */
    char *first = hak_segment_at_mt(s)->base + HAK_SLICE_BYTES;
    touch_pages(first, part);
    hak_segment_give_mt(first, s == 4 ? 62 : 63);
  }
  errno = 55;
  size_t bytes = hak_segment_unmap_free_mt();
  CHECK(bytes == 3 * part && errno == 55, "%zu bytes, errno %d", bytes, errno);
  CHECK(hak_segment_bytes_mt() == 7 * HAK_SEGMENT_BYTES - 3 * part, "%zu bytes left", hak_segment_bytes_mt());
  CHECK(hak_load_relaxed(hak_segment_dirty_slices()) == 62, "dirty: segment 4");
  for (uint32_t s = 0; s < 7; s++) {
    const hak_segment_t *segment = hak_segment_at_mt(s);
    bool gone = s % 2 == 0 && s != 4;
    CHECK(segment->index == s && is_mapped(segment), "segment %u keeps its metadata", s);
    for (unsigned i = 1; i < HAK_SLICES; i++) {
      CHECK(is_mapped(segment->base + i * HAK_SLICE_BYTES) == !gone, "segment %u, slice %u", s, i);
      CHECK(!gone || hak_tagmap_get_mt(segment->base + i * HAK_SLICE_BYTES) == 0, "segment %u, slice %u", s, i);
    }
  }
  CHECK(hak_segment_unmap_free_mt() == 0, "a second time");
  bool zeroed;
  hak_os_fail_calls(0, FAIL_ALWAYS);
  char *last = hak_segment_take_mt(62, &zeroed);
  CHECK(last == hak_segment_at_mt(4)->base + HAK_SLICE_BYTES && !zeroed, "segment 4 still serves");
  CHECK(hak_segment_take_mt(1, &zeroed) == NULL, "the others do not");
  hak_os_fail_calls(0, 0);
  grow(&total, 8);
  CHECK(hak_segment_bytes_mt() == 15 * HAK_SEGMENT_BYTES - 3 * part, "%zu bytes at the end", hak_segment_bytes_mt());
}

static void test_unmap(void **state) {
  (void)state;
  child_passes(unmap, 0);
}

/* ---- Threads ----------------------------------------------------------------------------------------------------- */

static _Atomic uint32_t shadow[MODEL_SEGMENTS][HAK_SLICES];

static void *taker(void *argument) {
  uint32_t id = 1 + (uint32_t)(uintptr_t)argument;
  rng_t rng = {test_seed() + id};
  run_t runs[12];
  size_t count = 0, steps = test_work(20000);
  for (size_t step = 0; step < steps || count != 0; step++) {
    if (step < steps && count < COUNT_OF(runs) && rng_below(&rng, 2) == 0) {
      run_t run = {.slices = random_slices(&rng)};
      bool zeroed;
      run.base = hak_segment_take_mt(run.slices, &zeroed);
      CHECK(run.base != NULL && (!zeroed || run_holds(run, 0)), "%u slices", run.slices);
      for (unsigned i = 0; i < run.slices; i++) {
        uint32_t other = atomic_exchange(&shadow[hak_segment_of(run.base)->index][hak_slice_of(run.base) + i], id);
        CHECK(other == 0, "threads %u and %u have the same slice", id, other);
      }
      run_write(run, (unsigned char)id);
      runs[count++] = run;
    } else if (count != 0) {
      size_t at = rng_below(&rng, count);
      run_t run = runs[at];
      CHECK(run_holds(run, (unsigned char)id), "%u slices", run.slices);
      for (unsigned i = 0; i < run.slices; i++) {
        atomic_store(&shadow[hak_segment_of(run.base)->index][hak_slice_of(run.base) + i], 0);
      }
      hak_segment_give_mt(run.base, run.slices);
      runs[at] = runs[--count];
    }
    if (step % 97 == 0) {
      hak_purge_bound_mt(4);
    }
  }
  return NULL;
}

static void stress(size_t unused) {
  (void)unused;
  hak_options_init();
  hak_options.dirty_kib = 2048;
  hak_options.dirty_percent = 0;
  pthread_t threads[4];
  for (uintptr_t i = 0; i < COUNT_OF(threads); i++) {
    threads[i] = thread_start(taker, (void *)i);
  }
  for (size_t i = 0; i < COUNT_OF(threads); i++) {
    thread_join(threads[i]);
  }
  for (uint32_t s = 0; s < hak_segment_count_mt(); s++) {
    CHECK(hak_load_relaxed(&hak_segment_at_mt(s)->xfree) == SEGMENT_ALL_FREE, "segment %u", s);
  }
  CHECK(hak_load_relaxed(hak_segment_active_slices()) == 0, "slices in use");
}

static void test_stress(void **state) {
  (void)state;
  child_passes(stress, 0);
}

/* ---- Huge pages -------------------------------------------------------------------------------------------------- */

/* Whether the mapping with an address has a flag, as /proc/self/smaps says. */
static bool has_flag(const void *p, const char *flag) {
  FILE *file = fopen("/proc/self/smaps", "r");
  CHECK(file != NULL, "errno %d", errno);
  char line[1024];
  bool here = false, found = false;
  while (fgets(line, sizeof line, file) != NULL) {
    unsigned long from, to;
    if (sscanf(line, "%lx-%lx ", &from, &to) == 2) here = (uintptr_t)p - from < to - from;
    if (here && strncmp(line, "VmFlags:", 8) == 0) found = strstr(line, flag) != NULL;
  }
  fclose(file);
  return found;
}

static void huge_pages(size_t option) {
  hak_options_init();
  hak_options.huge_pages = (int64_t)option;
  size_t segments = 12;
  for (size_t i = 0; i < segments; i++) {
    bool zeroed;
    CHECK(hak_segment_take_mt(63, &zeroed) != NULL, "segment %zu", i);
  }
  for (uint32_t i = 0; i < segments; i++) { /* the first 4, 8 and 16 MiB are mappings of their own */
    const hak_segment_t *segment = hak_segment_at_mt(i);
    CHECK(has_flag(segment->base, " hg") == (option == 2 && i >= 7), "option %zu, segment %u", option, i);
    CHECK(has_flag(segment->base, " nh") == (i != 0 && (option == 1 || i < 7)), "option %zu, segment %u", option, i);
  }
}

/* An emulator need not pass the advice on. */
static bool advice_shows(void) {
  size_t bytes = 4 * MIB;
  void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(base != MAP_FAILED, "errno %d", errno);
  bool shows = madvise(base, bytes, MADV_NOHUGEPAGE) == 0 && has_flag(base, " nh");
  munmap(base, bytes);
  return shows;
}

static void test_huge_pages(void **state) {
  (void)state;
  if (!advice_shows()) skip();
  for (size_t option = 0; option < 3; option++) child_passes(huge_pages, option);
}

/* Who gave slices back and was ended by a fork before it set the hints. */
static void lost_hints(size_t unused) {
  (void)unused;
  bool zeroed;
  hak_options_init();
  char *run = hak_segment_take_mt(30, &zeroed);
  hak_segment_t *segment = hak_segment_of(run);
  (void)hak_or_seq(&segment->xfree, hak_slices_mask(hak_slice_of(run), 30));
  for (unsigned r = 0; r < HAK_HINT_RUNS; r++) hak_hint_clear(hak_hint_of_run(r), segment->index);
  hak_segment_recount_dirty();
  CHECK(hak_segment_take_mt(30, &zeroed) == run, "not found");
}

static void test_lost_hints(void **state) {
  (void)state;
  child_passes(lost_hints, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_model),      cmocka_unit_test(test_exhaustion), cmocka_unit_test(test_growth),
      cmocka_unit_test(test_unmap),      cmocka_unit_test(test_stress),     cmocka_unit_test(test_huge_pages),
      cmocka_unit_test(test_lost_hints),
  };
  return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
