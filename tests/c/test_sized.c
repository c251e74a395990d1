/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Sized free, the path of Rust's dealloc and C23's free_sized: with the right size it does what free does, for blocks of
 * every function that allows it, by any thread.
 */
#include <pthread.h>

#include "testing.h"

static void allocate_and_free(void *(*allocate)(size_t)) {
  void *live[16] = {0};
  size_t live_size[16] = {0};
  size_t slot = 0;
  for (size_t size = 0; size <= 4 * MIB; size += size < 10000 ? 1 : size / 97) {
    if (live[slot] != NULL) {
      CHECK(pattern_check_ends(live[slot], live_size[slot], live_size[slot]), "block of %zu bytes", live_size[slot]);
    }
    hak_free_sized(live[slot], live_size[slot]);
    live[slot] = allocate(size);
    live_size[slot] = size;
    CHECK(live[slot] != NULL, "%zu bytes", size);
    pattern_fill_ends(live[slot], size, size);
    slot = (slot + 1) % 16;
  }
  for (size_t i = 0; i < 16; i++) {
    hak_free_sized(live[i], live_size[i]);
  }
}

static void *by_malloc(size_t size) { return hak_malloc(size); }
static void *by_alloc_at(size_t size) { return hak_alloc_at(size, NULL); }
static void *by_calloc(size_t size) { return size % 4 == 0 ? hak_calloc(size / 4, 4) : hak_calloc(1, size); }
static void *by_realloc_up(size_t size) { return hak_realloc(hak_malloc(size / 3), size); }
static void *by_realloc_down(size_t size) { return hak_realloc(hak_malloc(size * 2 + 40), size); }

static void blocks_of_malloc(void **state) {
  (void)state;
  allocate_and_free(by_malloc);
}
static void blocks_of_alloc_at(void **state) {
  (void)state;
  allocate_and_free(by_alloc_at);
}
static void blocks_of_calloc(void **state) {
  (void)state;
  allocate_and_free(by_calloc);
}
/* realloc may leave a block in a larger class than its size: the sized free has to cope with what realloc made. */
static void blocks_of_a_growing_realloc(void **state) {
  (void)state;
  allocate_and_free(by_realloc_up);
}
static void blocks_of_a_shrinking_realloc(void **state) {
  (void)state;
  allocate_and_free(by_realloc_down);
}

/* A sized free into the wrong class would be served again as a block too small. */
static void what_was_freed_comes_back_large_enough(void **state) {
  (void)state;
  rng_t rng = {test_seed()};
  enum { LIVE = 300 };
  static unsigned char *block[LIVE];
  static size_t size[LIVE];
  for (size_t i = 0; i < test_work(300000); i++) {
    size_t at = rng_below(&rng, LIVE);
    if (block[at] != NULL) {
      CHECK(pattern_check_ends(block[at], size[at], at), "block of %zu bytes", size[at]);
    }
    hak_free_sized(block[at], size[at]);
    size[at] = random_size(&rng);
    if (rng_below(&rng, 4) == 0) {
      block[at] = hak_realloc(hak_malloc(random_size(&rng)), size[at]);
    } else {
      block[at] = hak_malloc(size[at]);
    }
    CHECK(block[at] != NULL && hak_usable_size(block[at]) >= size[at], "%zu bytes", size[at]);
    pattern_fill_ends(block[at], size[at], at);
  }
  for (size_t i = 0; i < LIVE; i++) {
    hak_free_sized(block[i], size[i]);
    block[i] = NULL;
  }
}

/* ---- Across threads --------------------------------------------------------------------------------------------------- */

#define SLOTS 512

static struct {
  pthread_mutex_t lock;
  void *block[SLOTS];
  size_t size[SLOTS];
} exchange = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *exchange_run(void *argument) {
  rng_t rng = {(uint64_t)(uintptr_t)argument};
  for (size_t i = 0; i < test_work(150000); i++) {
    size_t size = random_size(&rng);
    void *block = hak_malloc(size);
    CHECK(block != NULL, "%zu bytes", size);
    pattern_fill_ends(block, size, size);
    size_t at = rng_below(&rng, SLOTS);
    pthread_mutex_lock(&exchange.lock);
    void *taken = exchange.block[at];
    size_t taken_size = exchange.size[at];
    exchange.block[at] = block;
    exchange.size[at] = size;
    pthread_mutex_unlock(&exchange.lock);
    if (taken != NULL) {
      CHECK(pattern_check_ends(taken, taken_size, taken_size), "block of %zu bytes", taken_size);
    }
    if (rng_below(&rng, 4) == 0) {
      hak_free(taken);
    } else {
      hak_free_sized(taken, taken_size);
    }
  }
  return NULL;
}

static void by_other_threads(void **state) {
  (void)state;
  pthread_t thread[4];
  for (size_t i = 0; i < 4; i++) {
    CHECK(pthread_create(&thread[i], NULL, exchange_run, (void *)(uintptr_t)(i + 1)) == 0, "thread %zu", i);
  }
  for (size_t i = 0; i < 4; i++) {
    pthread_join(thread[i], NULL);
  }
  for (size_t i = 0; i < SLOTS; i++) {
    hak_free_sized(exchange.block[i], exchange.size[i]);
  }
}

/* All freed by size, all back: no growth over rounds. */
static void sized_frees_do_not_leak(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  size_t before = 0;
  for (size_t round = 0; round < 40; round++) {
    for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
      size_t count = 16 * MIB / tier_sizes[tier];
      void **blocks = calloc(count, sizeof(void *));
      for (size_t i = 0; i < count; i++) {
        blocks[i] = hak_malloc(tier_sizes[tier]);
        CHECK(blocks[i] != NULL, "tier %d", tier);
        touch_pages(blocks[i], tier_sizes[tier]);
      }
      for (size_t i = 0; i < count; i++) {
        hak_free_sized(blocks[i], tier_sizes[tier]);
      }
      free(blocks);
    }
    if (round == 4) {
      before = resident_bytes();
    }
  }
  size_t grown = growth(before, resident_bytes());
  CHECK(grown <= 16 * MIB, "grew by %zu KiB", grown / KIB);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(blocks_of_malloc),
      cmocka_unit_test(blocks_of_alloc_at),
      cmocka_unit_test(blocks_of_calloc),
      cmocka_unit_test(blocks_of_a_growing_realloc),
      cmocka_unit_test(blocks_of_a_shrinking_realloc),
      cmocka_unit_test(what_was_freed_comes_back_large_enough),
      cmocka_unit_test(by_other_threads),
      cmocka_unit_test(sized_frees_do_not_leak),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
