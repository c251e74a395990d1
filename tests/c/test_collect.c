/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Memory goes back to the system: all of it on hak_collect(1), and all but a bound by itself, whoever frees it.
 */
#include <pthread.h>

#include "testing.h"

#define TOTAL (160 * MIB)
/* What may stay by default: free slices of segments (HAKMEM_DIRTY_KIB), and cached mappings (HAKMEM_MMAP_CACHE_KIB). */
#define DIRTY_BOUND (32 * MIB)
#define MAPPING_BOUND (64 * MIB)
#define SLACK (12 * MIB)

static const size_t collect_sizes[] = {64, 1000, 5000, 16 * KIB, 50 * KIB, 256 * KIB, 2 * MIB, 4 * MIB};
#define COLLECT_SIZES (sizeof collect_sizes / sizeof collect_sizes[0])

typedef struct crowd {
  void **blocks;
  size_t count, size;
} crowd_t;

static void *crowd_allocate(void *argument) {
  crowd_t *crowd = argument;
  for (size_t i = 0; i < crowd->count; i++) {
    crowd->blocks[i] = hak_malloc(crowd->size);
    CHECK(crowd->blocks[i] != NULL, "block %zu of %zu bytes", i, crowd->size);
    touch_pages(crowd->blocks[i], crowd->size);
  }
  return NULL;
}

static void *crowd_free(void *argument) {
  crowd_t *crowd = argument;
  for (size_t i = 0; i < crowd->count; i++) {
    hak_free(crowd->blocks[i]);
  }
  return NULL;
}

static void *collect_in_thread(void *argument) {
  hak_collect(1);
  return argument;
}

static void in_thread(void *(*run)(void *), crowd_t *crowd) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, run, crowd) == 0, "thread");
  pthread_join(thread, NULL);
}

static crowd_t crowd_make(size_t size) {
  crowd_t crowd = {.count = TOTAL / size, .size = size};
  crowd.blocks = calloc(crowd.count, sizeof(void *));
  memset(crowd.blocks, 0xff, crowd.count * sizeof(void *));
  return crowd;
}

enum { BY_OWNER, BY_ANOTHER, AFTER_EXIT, FREED_IN_THREAD, WAYS };
static const char *const way_names[] = {"by its owner", "by another thread", "after its thread's exit",
                                        "by a thread that ends"};

static void allocate_and_free(crowd_t *crowd, int way) {
  switch (way) {
  case BY_OWNER:
    crowd_allocate(crowd);
    crowd_free(crowd);
    break;
  case BY_ANOTHER:
    crowd_allocate(crowd);
    in_thread(crowd_free, crowd);
    break;
  case AFTER_EXIT:
    in_thread(crowd_allocate, crowd);
    crowd_free(crowd);
    break;
  default:
    in_thread(crowd_allocate, crowd);
    in_thread(crowd_free, crowd);
    break;
  }
}

static void forced_collect_returns_everything(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  for (size_t i = 0; i < COLLECT_SIZES; i++) {
    for (int way = 0; way < WAYS; way++) {
      crowd_t crowd = crowd_make(collect_sizes[i]);
      size_t before = resident_bytes();
      allocate_and_free(&crowd, way);
      hak_collect(1);
      size_t grown = growth(before, resident_bytes());
      free(crowd.blocks);
      CHECK(grown <= SLACK, "160 MiB of %zu bytes freed %s: %zu KiB stay after a forced collect", collect_sizes[i],
            way_names[way], grown / KIB);
    }
  }
}

/* Without any call: a little activity of the kind every program has, and the bound must hold. */
static void by_itself_all_but_the_bound(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  for (size_t i = 0; i < COLLECT_SIZES; i++) {
    for (int way = 0; way < WAYS; way++) {
      hak_collect(1);
      crowd_t crowd = crowd_make(collect_sizes[i]);
      size_t before = resident_bytes();
      allocate_and_free(&crowd, way);
      rng_t rng = {1};
      for (size_t k = 0; k < 20000; k++) {
        void *block = hak_malloc(rng_between(&rng, 1, 60000));
        CHECK(block != NULL, "light activity");
        hak_free(block);
      }
      size_t grown = growth(before, resident_bytes());
      free(crowd.blocks);
      size_t bound = (collect_sizes[i] > ACE_LIMIT ? MAPPING_BOUND : DIRTY_BOUND) + SLACK;
      CHECK(grown <= bound, "160 MiB of %zu bytes freed %s: %zu KiB stay", collect_sizes[i], way_names[way],
            grown / KIB);
    }
  }
}

/* One live block in sixteen must not keep all the others: it may keep those of its span, four at most of these sizes. */
static void large_free_blocks_between_live_ones_go_back(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  static const size_t sizes[] = {256 * KIB, MIB, 4 * MIB};
  for (size_t i = 0; i < 3; i++) {
    hak_collect(1);
    crowd_t crowd = crowd_make(sizes[i]);
    size_t before = resident_bytes();
    crowd_allocate(&crowd);
    for (size_t k = 0; k < crowd.count; k++) {
      if (k % 16 != 0) {
        hak_free(crowd.blocks[k]);
      }
    }
    hak_collect(1);
    size_t grown = growth(before, resident_bytes());
    for (size_t k = 0; k < crowd.count; k += 16) {
      hak_free(crowd.blocks[k]);
    }
    free(crowd.blocks);
    CHECK(grown <= TOTAL / 16 * 4 + SLACK, "%zu bytes: %zu KiB stay for 10 MiB", sizes[i], grown / KIB);
  }
}

/* Slabs of every class, made of used memory, keep no more of it than their blocks need: a page or two instead of 64 KiB. */
static void forced_collect_leaves_slabs_what_they_use(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  SKIP_IN_SECURE_BUILD(); /* another thread's collection leaves the quarantine of this one */
  enum { BLOCKS = 16 * MIB / 4000 };
  static void *blocks[BLOCKS], *one[HAK_FREE_SIZED_MIN / 16];
  for (int other_thread = 0; other_thread < 2; other_thread++) {
    hak_collect(1);
    size_t before = resident_bytes(), classes = 0;
    for (size_t i = 0; i < BLOCKS; i++) touch_pages(blocks[i] = hak_malloc(4000), 4000);
    for (size_t i = 0; i < BLOCKS; i++) hak_free(blocks[i]);
    for (size_t size = 1; size < HAK_FREE_SIZED_MIN; size = next_class(size)) {
      touch_pages(one[classes++] = hak_malloc(size), size);
    }
    crowd_t nothing = {0};
    if (other_thread) {
      in_thread(collect_in_thread, &nothing);
    } else {
      hak_collect(1);
    }
    size_t after = resident_bytes(), grown = after > before ? after - before : 0;
    for (size_t i = 0; i < classes; i++) hak_free(one[i]);
    CHECK(classes > 40, "only %zu classes", classes);
    CHECK(grown <= classes * 16 * KIB + 256 * KIB, "%zu KiB stay for %zu blocks", grown / KIB, classes);
  }
}

static void collect_keeps_live_blocks(void **state) {
  (void)state;
  enum { COUNT = 600 };
  void *blocks[COUNT];
  for (size_t i = 0; i < COUNT; i++) {
    size_t size = tier_sizes[i % HAK_TIER_COUNT];
    blocks[i] = i < 500 || i % HAK_TIER_COUNT < HAK_TIER_ACE ? hak_malloc(size) : NULL;
    if (blocks[i] != NULL) {
      pattern_fill_ends(blocks[i], size, i);
    }
  }
  for (size_t round = 0; round < 6; round++) {
    for (size_t i = round; i < COUNT; i += 7) {
      hak_free(blocks[i]);
      blocks[i] = NULL;
    }
    hak_collect((int)(round % 2));
    for (size_t i = 0; i < COUNT; i++) {
      CHECK(blocks[i] == NULL || pattern_check_ends(blocks[i], tier_sizes[i % HAK_TIER_COUNT], i),
            "block %zu lost its content in round %zu", i, round);
    }
  }
  for (size_t i = 0; i < COUNT; i++) {
    hak_free(blocks[i]);
  }
}

static void collect_before_anything_is_allocated_and_twice(void **state) {
  (void)state;
  hak_collect(0);
  hak_collect(1);
  hak_collect(1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(collect_before_anything_is_allocated_and_twice),
      cmocka_unit_test(collect_keeps_live_blocks),
      cmocka_unit_test(forced_collect_returns_everything),
      cmocka_unit_test(forced_collect_leaves_slabs_what_they_use),
      cmocka_unit_test(by_itself_all_but_the_bound),
      cmocka_unit_test(large_free_blocks_between_live_ones_go_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
