/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Threads come and go by the thousand. Blocks outlive the thread that made them, whoever frees them; what a finished
 * thread leaves is used by the others, and nothing grows.
 */
#include <pthread.h>

#include "testing.h"

#define TOGETHER 8
#define SURVIVORS 24

typedef struct visit {
  void *survivor[SURVIVORS];
  size_t size[SURVIVORS];
  uint64_t seed;
} visit_t;

static void start(pthread_t *thread, void *(*run)(void *), void *argument) {
  int error = pthread_create(thread, NULL, run, argument);
  CHECK(error == 0, "pthread_create: %d", error);
}

static size_t visit_size(rng_t *rng) {
  size_t size = random_size(rng);
  return size > 256 * KIB ? size % (256 * KIB) : size;
}

/* Frees what a finished thread left, then allocates, frees some of its own and leaves the rest. */
static void *visit_run(void *argument) {
  visit_t *visit = argument;
  rng_t rng = {visit->seed};
  for (size_t i = 0; i < SURVIVORS; i++) {
    if (visit->survivor[i] != NULL) {
      CHECK(pattern_check_ends(visit->survivor[i], visit->size[i], visit->seed - TOGETHER + i),
            "survivor %p of %zu bytes", visit->survivor[i], visit->size[i]);
      hak_free(visit->survivor[i]);
    }
  }
  for (size_t i = 0; i < 64; i++) {
    size_t size = visit_size(&rng);
    void *block = hak_malloc(size);
    CHECK(block != NULL, "%zu bytes", size);
    pattern_fill_ends(block, size, visit->seed + i);
    if (i < SURVIVORS) {
      visit->survivor[i] = block;
      visit->size[i] = size;
    } else {
      hak_free(block);
    }
  }
  return NULL;
}

static void thousands_of_threads(void **state) {
  (void)state;
  static visit_t visits[TOGETHER];
  size_t rounds = test_work(500);
  size_t before = 0;
  for (size_t round = 0; round < rounds; round++) {
    pthread_t thread[TOGETHER];
    for (size_t i = 0; i < TOGETHER; i++) {
      visits[i].seed = round * TOGETHER + i;
      start(&thread[i], visit_run, &visits[i]);
    }
    for (size_t i = 0; i < TOGETHER; i++) {
      pthread_join(thread[i], NULL);
    }
    if (round == rounds / 10) {
      before = resident_bytes();
    }
  }
  if (!TEST_ASAN && !TEST_TSAN) {
    size_t grown = growth(before, resident_bytes());
    CHECK(grown <= 32 * MIB, "%zu threads: grew by %zu KiB", rounds * TOGETHER, grown / KIB);
  }
  for (size_t i = 0; i < TOGETHER; i++) {
    for (size_t k = 0; k < SURVIVORS; k++) {
      hak_free(visits[i].survivor[k]);
    }
  }
}

/* The heaps ever made follow the threads alive at a time, not the threads ever started. */
static void heaps_are_reused(void **state) {
  (void)state;
  uint64_t before = stats_now().heaps;
  static visit_t visit;
  size_t threads = test_work(2000);
  for (size_t i = 0; i < threads; i++) {
    pthread_t thread;
    visit.seed = i * TOGETHER;
    start(&thread, visit_run, &visit);
    pthread_join(thread, NULL);
  }
  hak_stats_t stats = stats_now();
  CHECK(stats.heaps > 0, "no heap was ever made");
  CHECK(stats.heaps - before <= 16, "%zu threads one after the other made %llu heaps", threads,
        (unsigned long long)(stats.heaps - before));
  for (size_t k = 0; k < SURVIVORS; k++) {
    hak_free(visit.survivor[k]);
  }
}

/* ---- What a finished thread leaves is used by the others ---------------------------------------------------------- */

typedef struct hoard {
  void **blocks;
  size_t count, size;
  bool free_all; /* the thread frees its blocks itself, right before it ends */
} hoard_t;

static void *hoard_run(void *argument) {
  hoard_t *hoard = argument;
  for (size_t i = 0; i < hoard->count; i++) {
    hoard->blocks[i] = hak_malloc(hoard->size);
    CHECK(hoard->blocks[i] != NULL, "block %zu", i);
    touch_pages(hoard->blocks[i], hoard->size);
  }
  for (size_t i = 0; hoard->free_all && i < hoard->count; i++) {
    hak_free(hoard->blocks[i]);
  }
  return NULL;
}

static hoard_t hoard_make(size_t size, bool free_all) {
  hoard_t hoard = {.count = 80 * MIB / size, .size = size, .free_all = free_all};
  hoard.blocks = calloc(hoard.count, sizeof(void *));
  memset(hoard.blocks, 0xff, hoard.count * sizeof(void *)); /* resident from the start */
  return hoard;
}

static void memory_of_a_finished_thread_is_reused(bool by_thread, bool free_all) {
  static const size_t sizes[] = {64, 1000, 5000, 30 * KIB, 500 * KIB, 3 * MIB};
  enum { COUNT = sizeof sizes / sizeof sizes[0] };
  for (size_t first = 0; first < COUNT; first++) {
    /* Again the same size, and the next one: memory must cross classes and tiers. */
    for (size_t other = 0; other < 2; other++) {
      size_t second = (first + other) % COUNT;
      hak_collect(1);
      hoard_t hoard = hoard_make(sizes[first], free_all);
      hoard_t again = hoard_make(sizes[second], false);
      size_t start_bytes = resident_bytes();
      pthread_t thread;
      start(&thread, hoard_run, &hoard);
      pthread_join(thread, NULL);
      for (size_t i = 0; !free_all && i < hoard.count; i++) {
        hak_free(hoard.blocks[i]);
      }
      if (by_thread) {
        start(&thread, hoard_run, &again);
        pthread_join(thread, NULL);
      } else {
        hoard_run(&again);
      }
      size_t grown = growth(start_bytes, resident_bytes());
      for (size_t i = 0; i < again.count; i++) {
        hak_free(again.blocks[i]);
      }
      free(hoard.blocks);
      free(again.blocks);
      /* 80 MiB are live; what the first thread left may add the dirty bound of 32 MiB, or 64 MiB of cached mappings. */
      size_t bound = (80 + (sizes[first] > ACE_LIMIT ? 76 : 44)) * MIB;
      CHECK(grown <= bound, "%zu, then %zu bytes: %zu KiB resident for 80 MiB", sizes[first], sizes[second],
            grown / KIB);
    }
  }
}

static void main_reuses_what_a_thread_freed(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  memory_of_a_finished_thread_is_reused(false, true);
}

static void main_reuses_what_it_freed_for_a_finished_thread(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  memory_of_a_finished_thread_is_reused(false, false);
}

static void a_thread_reuses_what_another_freed(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  memory_of_a_finished_thread_is_reused(true, true);
}

static void a_thread_reuses_what_was_freed_for_another(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  memory_of_a_finished_thread_is_reused(true, false);
}

/* ---- Allocating late in a thread's life ---------------------------------------------------------------------------- */

static pthread_key_t late_key;
static size_t late_calls;

/* A destructor of thread-specific data runs before or after the allocator's own, and again in up to four rounds
 * (PTHREAD_DESTRUCTOR_ITERATIONS); 700 bytes use them all. Each must work, and the last leave nothing behind. */
static void late_destructor(void *value) {
  for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
    void *block = hak_malloc(tier_sizes[tier]);
    CHECK(block != NULL, "tier %d", tier);
    memset(block, 1, tier_sizes[tier]);
    hak_free(block);
  }
  uintptr_t left = (uintptr_t)hak_usable_size(value);
  hak_free(value);
  __atomic_fetch_add(&late_calls, 1, __ATOMIC_RELAXED);
  if (left > 100) {
    pthread_setspecific(late_key, hak_malloc(left / 2)); /* and once more in the next round of destructors */
  }
}

static void *late_run(void *argument) {
  pthread_setspecific(late_key, hak_malloc((size_t)(uintptr_t)argument));
  return NULL;
}

static void allocation_in_destructors_of_threads(void **state) {
  (void)state;
  CHECK(pthread_key_create(&late_key, late_destructor) == 0, "key");
  size_t before = resident_bytes();
  size_t threads = test_work(3000);
  for (size_t i = 0; i < threads; i++) {
    pthread_t thread;
    start(&thread, late_run, (void *)(uintptr_t)(i % 2 == 0 ? 16 : 700));
    pthread_join(thread, NULL);
  }
  /* atomic, for a sanitizer that thinks a thread is over before its destructors ran */
  size_t calls = __atomic_load_n(&late_calls, __ATOMIC_RELAXED);
  CHECK(calls >= threads, "%zu calls", calls);
  if (!TEST_ASAN && !TEST_TSAN) {
    size_t grown = growth(before, resident_bytes());
    CHECK(grown <= 32 * MIB, "%zu threads: grew by %zu KiB", threads, grown / KIB);
  }
  pthread_key_delete(late_key);
}

/* A detached thread that ends while others free its blocks. */
static void *race_run(void *argument) {
  void **blocks = argument;
  for (size_t i = 0; i < 256; i++) {
    void *block = hak_malloc(16 + i * 9);
    CHECK(block != NULL, "block %zu", i);
    memset(block, 3, 16 + i * 9);
    __atomic_store_n(&blocks[i], block, __ATOMIC_RELEASE);
  }
  return NULL;
}

static void frees_race_with_thread_exit(void **state) {
  (void)state;
  size_t rounds = test_work(1000);
  for (size_t round = 0; round < rounds; round++) {
    void *blocks[256] = {0};
    pthread_t thread;
    start(&thread, race_run, blocks);
    for (size_t i = 0; i < 256; i++) {
      void *block;
      while ((block = __atomic_load_n(&blocks[i], __ATOMIC_ACQUIRE)) == NULL) {
        usleep(0);
      }
      CHECK(((unsigned char *)block)[15 + i * 9] == 3, "round %zu, block %zu", round, i);
      hak_free(block);
    }
    pthread_join(thread, NULL);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(thousands_of_threads),
      cmocka_unit_test(heaps_are_reused),
      cmocka_unit_test(main_reuses_what_a_thread_freed),
      cmocka_unit_test(main_reuses_what_it_freed_for_a_finished_thread),
      cmocka_unit_test(a_thread_reuses_what_another_freed),
      cmocka_unit_test(a_thread_reuses_what_was_freed_for_another),
      cmocka_unit_test(allocation_in_destructors_of_threads),
      cmocka_unit_test(frees_race_with_thread_exit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
