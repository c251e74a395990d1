/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * heap/background and what brings threads by without it: when the thread is made and when not, what it does for heaps whose
 * threads sleep, the wake-up; bins that stay closed while memory waits. The life of the thread is in tests/process.
 */
#include <semaphore.h>

#include "unit.h"

static void use_option(void) { CHECK(setenv("HAKMEM_BACKGROUND", "1", 1) == 0, "errno %d", errno); }

static uint32_t threads(void) {
  char text[4096];
  int fd = open("/proc/self/status", O_RDONLY);
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  CHECK(length > 0, "errno %d", errno);
  text[length] = 0;
  return (uint32_t)strtoul(strstr(text, "Threads:") + 8, NULL, 10);
}

/* ---- When it is made ---------------------------------------------------------------------------------------------- */

static void is_made_once(size_t unused) {
  (void)unused;
  use_option();
  uint32_t before = threads();
  void *block = hak_malloc(MIB);
  CHECK(threads() == before + 1 && !hak_load_relaxed(&hak_background_xwanted), "%u threads", threads());
  hak_free(hak_malloc(2 * MIB));
  hak_free(block);
  CHECK(threads() == before + 1, "%u threads", threads());
}

static void is_not_made(size_t unused) {
  (void)unused;
  uint32_t before = threads();
  hak_free(hak_malloc(MIB));
  CHECK(threads() == before && hak_load_relaxed(&hak_purge_xsleeper) == HAK_SLEEPER_NONE, "without the option");
}

static void is_made_when_it_may(size_t unused) {
  (void)unused;
  use_option();
  uint32_t before = threads();
  hak_store_relaxed(&os_xlibc_ready, false); /* before the first constructor */
  hak_free(hak_malloc(MIB));
  CHECK(threads() == before && hak_load_relaxed(&hak_background_xwanted), "too early");
  hak_store_relaxed(&os_xlibc_ready, true);
  hak_locks_begin_mine(); /* around a fork */
  hak_free(hak_malloc(2 * MIB));
  hak_locks_end_mine();
  CHECK(threads() == before && hak_load_relaxed(&hak_background_xwanted), "between the handlers of a fork");
  void *block = hak_malloc(3 * MIB);
  CHECK(threads() == before + 1, "%u threads", threads());
  hak_free(block);
}

static void is_refused(size_t unused) {
  (void)unused;
  use_option();
  CHECK(setenv("HAKMEM_LOG", "1", 1) == 0, "errno %d", errno);
  hak_free(hak_malloc(100)); /* the options */
  hak_store_relaxed(&hak_background_xwanted, true);
  hak_store_relaxed(&os_thread.xstate, OS_THREAD_NONE);
  uint32_t before = threads();
  hak_os_fail_calls(0, 1);
  errno = 55;
  hak_background_start_mt();
  hak_os_fail_calls(0, 0);
  CHECK(errno == 55 && threads() == before && !hak_load_relaxed(&hak_background_xwanted),
        "no thread, and no more tries");
  void *block = hak_malloc(MIB);
  CHECK(block != NULL, "life goes on");
  hak_free(block);
}

static void test_making(void **state) {
  (void)state;
  child_passes(is_made_once, 0);
  child_passes(is_not_made, 0);
  child_passes(is_made_when_it_may, 0);
  child_t child = child_run(is_refused, 0);
  CHECK(child.status == 0 && strcmp(child.output, "[BACKGROUND] pthread_create FAILED\n") == 0, "0x%x: %s",
        (unsigned)child.status, child.output);
}

/* ---- What it does ------------------------------------------------------------------------------------------------- */

static sem_t ready, go_on;
static void *blocks[3000];

static void *allocate_and_sleep(void *argument) {
  for (size_t i = 0; i < COUNT_OF(blocks); i++) blocks[i] = hak_malloc(32);
  sem_post(&ready);
  sem_wait(&go_on);
  return argument;
}

/* Without a thread: the passes are made here. A heap with mail is looked at when it lay there since the pass before. */
static void helps_sleepers(size_t unused) {
  (void)unused;
  sem_init(&ready, 0, 0);
  sem_init(&go_on, 0, 0);
  pthread_t thread = thread_start(allocate_and_sleep, NULL);
  sem_wait(&ready);
  hak_theap_t *owner = hak_registry_heap(hak_tag_heap_id(hak_tagmap_get_mt(blocks[0])));
  for (size_t i = 0; i < COUNT_OF(blocks); i++) hak_free(blocks[i]);
  hak_remote_post_all(hak_tls.heap);
  CHECK(owner != hak_tls.heap && hak_load_relaxed(&owner->xinbox) != 0, "mail");
  CHECK(background_pass(), "something is left");
  CHECK(hak_load_relaxed(&owner->xinbox) != 0, "its owner may come yet");
  background_pass();
  CHECK(hak_load_relaxed(&owner->xinbox) == 0 && owner->pending == NULL && owner->spare == NULL, "taken in");
  CHECK(owner->seen_idle && !background_help(owner), "done");
  hak_options.purge_delay_ms = 0;
  for (int i = 0; i < 3 && background_pass(); i++) {
  }
  CHECK(!background_pass() && hak_load_relaxed(hak_segment_dirty_slices()) == 0, "all is clean");
  sem_post(&go_on);
  thread_join(thread);
}

static void wakes(size_t way) {
  hak_free(hak_malloc(100));
  hak_theap_flush(hak_tls.heap);
  bool zeroed;
  void *run = hak_segment_take_mt(2, &zeroed), *large = hak_malloc(5 * MIB);
  hak_store_seq(&hak_purge_xsleeper, way == 2 ? HAK_SLEEPER_AWAKE : HAK_SLEEPER_ASLEEP);
  if (way == 1) {
    hak_free(large);
  } else {
    hak_segment_give_mt(run, 2);
  }
  CHECK(hak_load_seq(&hak_purge_xsleeper) == HAK_SLEEPER_AWAKE, "%zu: %u", way, hak_load_seq(&hak_purge_xsleeper));
}

static void test_passes(void **state) {
  (void)state;
  child_passes(helps_sleepers, 0);
  for (size_t way = 0; way < 3; way++) child_passes(wakes, way);
}

/* ---- Lean threads ------------------------------------------------------------------------------------------------- */

static bool is_closed(size_t size) {
  const hak_bin_t *bin = &hak_tls.bin[hak_slab_class_of(size)];
  return bin->head == NULL && bin->room == 0;
}

static void lean(size_t size) {
  hak_free(hak_malloc(size));
  CHECK(!is_closed(size), "a bin in use");
  bool zeroed;
  void *run = hak_segment_take_mt(HAK_LEAN_SLICES + 1, &zeroed);
  hak_segment_give_mt(run, HAK_LEAN_SLICES + 1);
  hak_theap_t *heap = hak_tls.heap;
  heap->lean_ms = hak_os_now_ms() - (uint64_t)hak_options.purge_delay_ms;
  hak_theap_tick_now(heap);
  CHECK(is_closed(size) && heap->lean_calls == HAK_LEAN_CALLS, "%u", heap->lean_calls);
  hak_theap_tick_now(heap);
  CHECK(heap->lean_calls == HAK_LEAN_CALLS, "not twice at a time");
  /* Each allocation is a slow path now, whatever is freed between. */
  enum { LIVE = 40 };
  char *live[LIVE] = {0};
  rng_t rng = {test_seed()};
  uint32_t calls = heap->slow_calls, allocations = 0;
  for (int i = 0; i < 1000; i++) {
    size_t k = rng_below(&rng, LIVE);
    if (live[k] != NULL) {
      CHECK(pattern_check_ends(live[k], size, k), "overwritten");
      hak_free(live[k]);
      live[k] = NULL;
    } else {
      allocations++;
      live[k] = hak_malloc(size);
      pattern_fill_ends(live[k], size, k);
    }
    CHECK(is_closed(size), "open after %d", i);
    CHECK(hak_slab_is_valid(heap, hak_slab_class_of(size)), "slabs after %d", i);
  }
  CHECK(heap->slow_calls - calls >= allocations, "%u of %u", heap->slow_calls - calls, allocations);
  CHECK(heap->lean_calls == HAK_LEAN_CALLS - allocations, "%u left", heap->lean_calls);
  heap->lean_calls = 0;
  for (size_t k = 0; k < LIVE; k++) hak_free(live[k]);
  live[0] = hak_malloc(size);
  CHECK(!is_closed(size), "open again");
  hak_free(live[0]);
}

static void not_lean(size_t unused) {
  (void)unused;
  hak_free(hak_malloc(64));
  hak_theap_t *heap = hak_tls.heap;
  heap->lean_ms = 0;
  hak_theap_tick_now(heap);
  CHECK(heap->lean_calls == 0, "nothing waits");
  hak_free(hak_malloc(5 * MIB)); /* a mapping waits; and the free of one comes by at once */
  CHECK(heap->lean_calls == HAK_LEAN_CALLS && is_closed(64), "%u", heap->lean_calls);
}

static void test_lean(void **state) {
  (void)state;
  static const size_t sizes[] = {16, 64, 1000, 8000};
  for (size_t i = 0; i < COUNT_OF(sizes); i++) child_passes(lean, sizes[i]);
  child_passes(not_lean, 0);
}

/* ---- Old mappings ------------------------------------------------------------------------------------------------- */

static void mappings(size_t unused) {
  (void)unused;
  hak_options_init();
  hak_options.purge_delay_ms = 1000000;
  void *large[10];
  bool zeroed;
  for (size_t i = 0; i < COUNT_OF(large); i++) large[i] = hak_mmap_alloc_mt(MIB, 16, &zeroed);
  for (size_t i = 0; i < COUNT_OF(large); i += 2) CHECK(hak_mmap_free_mt(large[i]), "free"); /* none touches another */
  CHECK(hak_load_relaxed(hak_mmap_cache_extents()) == 5, "%u extents", hak_load_relaxed(hak_mmap_cache_extents()));
  hak_mmap_old_mt();
  CHECK(cache_count == 5, "they are young");
  for (unsigned i = 0; i < cache_count; i++) cache[i].freed_ms -= cache[i].freed_ms; /* long ago */
  hak_options.purge_delay_ms = 1;
  hak_mmap_old_mt();
  CHECK(cache_count == 5, "it looks only once in a quarter of the delay");
  mmap_xlook_ms = 0;
  errno = 55;
  hak_mmap_old_mt();
  CHECK(hak_mmap_cache_bytes_locked() == 11 * MIB && errno == 55, "%zu bytes left of 15 MiB: 4 MiB at a time",
        hak_mmap_cache_bytes_locked());
  for (int i = 0; i < 3; i++) hak_mmap_old_mt();
  CHECK(cache_count == 0 && !hak_mmap_waits_mt(), "there was more to do: it does not wait");
}

static void test_mappings(void **state) {
  (void)state;
  child_passes(mappings, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_making),
      cmocka_unit_test(test_passes),
      cmocka_unit_test(test_lean),
      cmocka_unit_test(test_mappings),
  };
  return cmocka_run_group_tests_name("background", tests, NULL, NULL);
}
