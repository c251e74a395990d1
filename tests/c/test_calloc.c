/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * calloc is zero whatever the memory held before, in each tier, and its product may not overflow.
 */
#include <pthread.h>

#include "testing.h"

static void check_zero(const void *block, size_t size, const char *when) {
  CHECK(block != NULL, "%zu bytes %s: no block", size, when);
  size_t zeros = first_nonzero(block, size);
  CHECK(zeros == size, "%zu bytes %s: byte %zu is not zero", size, when, zeros);
}

/* The next class; above 2 MiB, where a class is a page, in larger steps. */
static size_t next_size(size_t size) { return size > ACE_LIMIT ? size + 300001 : next_class(size); }

/* Every class: dirty some blocks to the end, free them in one of three orders, and ask again. */
static void zero_after_dirty_reuse(void **state) {
  (void)state;
  enum { MOST = 40 };
  void *blocks[MOST];
  for (size_t size = 1; size <= 4 * MIB; size = next_size(size)) {
    size_t bytes = hak_good_size(size);
    size_t count = bytes > 256 * KIB ? 3 : MOST;
    for (size_t round = 0; round < 3; round++) {
      for (size_t i = 0; i < count; i++) {
        blocks[i] = hak_calloc(1, round == 0 ? bytes : size);
        check_zero(blocks[i], round == 0 ? bytes : size, round == 0 ? "at first" : "again");
        memset(blocks[i], 0xa5, hak_usable_size(blocks[i]));
      }
      for (size_t i = 0; i < count; i++) {
        size_t at = round == 0 ? i : round == 1 ? count - 1 - i : (i * 7) % count;
        if (round == 2 && count % 7 == 0) {
          at = i;
        }
        hak_free(blocks[at]);
      }
      if (round == 1) {
        hak_collect(1); /* what the system took back comes zeroed; what it did not, does not */
      }
    }
  }
}

/* Dirty memory of one tier becomes zero memory of another. */
static void zero_after_reuse_by_another_tier(void **state) {
  (void)state;
  for (size_t round = 0; round < 3; round++) {
    for (int from = 0; from < HAK_TIER_COUNT; from++) {
      enum { COUNT = 64 };
      void *blocks[COUNT];
      size_t count = from >= HAK_TIER_ACE ? 12 : COUNT;
      for (size_t i = 0; i < count; i++) {
        blocks[i] = hak_malloc(tier_sizes[from]);
        CHECK(blocks[i] != NULL, "tier %d", from);
        memset(blocks[i], 0xff, hak_usable_size(blocks[i]));
      }
      for (size_t i = 0; i < count; i++) {
        hak_free(blocks[i]);
      }
      for (int to = 0; to < HAK_TIER_COUNT; to++) {
        size_t to_count = to >= HAK_TIER_ACE ? 6 : COUNT;
        for (size_t i = 0; i < to_count; i++) {
          blocks[i] = hak_calloc(tier_sizes[to] / 4, 4);
          check_zero(blocks[i], tier_sizes[to] / 4 * 4, "in another tier");
        }
        for (size_t i = 0; i < to_count; i++) {
          memset(blocks[i], 0xff, tier_sizes[to]);
          hak_free(blocks[i]);
        }
      }
    }
  }
}

/* A block that shrank and grew again, or was part of a larger one, still counts as dirty. */
static void zero_after_realloc(void **state) {
  (void)state;
  for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
    size_t size = tier_sizes[tier];
    char *block = hak_calloc(1, size);
    check_zero(block, size, "fresh");
    block = hak_realloc(block, size * 3);
    CHECK(block != NULL, "tier %d", tier);
    memset(block, 0xff, size * 3);
    block = hak_realloc(block, size / 2 + 1);
    CHECK(block != NULL, "tier %d", tier);
    memset(block, 0xff, size / 2 + 1);
    void *other = hak_calloc(3, size);
    check_zero(other, 3 * size, "beside a shrunk block");
    memset(other, 0xff, 3 * size);
    hak_free(block);
    hak_free(other);
    for (size_t i = 1; i <= 4; i++) {
      other = hak_calloc(i, size);
      check_zero(other, i * size, "after it");
      hak_free(other);
    }
  }
}

static void overflow_is_enomem(void **state) {
  (void)state;
  static const size_t pairs[][2] = {{SIZE_MAX, 2},
                                    {2, SIZE_MAX},
                                    {SIZE_MAX / 2 + 1, 2},
                                    {SIZE_MAX / 16 + 1, 16},
                                    {(size_t)1 << 32, (size_t)1 << 32},
                                    {SIZE_MAX, SIZE_MAX},
                                    {((size_t)1 << 33) + 1, (size_t)1 << 31},
                                    {PTRDIFF_MAX, 2},
                                    {1, (size_t)PTRDIFF_MAX + 1},
                                    {SIZE_MAX, 1}};
  for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
    size_t count = opaque_size(pairs[i][0]);
    size_t size = opaque_size(pairs[i][1]);
    errno = 0;
    void *block = hak_calloc(count, size);
    CHECK(block == NULL && errno == ENOMEM, "calloc(%zu, %zu) is %p, errno %d", count, size, block, errno);
  }
}

static void zero_factors_are_a_smallest_block(void **state) {
  (void)state;
  static const size_t pairs[][2] = {{0, 0}, {0, 1}, {1, 0}, {0, SIZE_MAX}, {SIZE_MAX, 0}};
  for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
    void *block = hak_calloc(opaque_size(pairs[i][0]), opaque_size(pairs[i][1]));
    CHECK(block != NULL, "calloc(%zu, %zu)", pairs[i][0], pairs[i][1]);
    CHECK(hak_tier_of(block) == HAK_TIER_TINY, "tier %d", hak_tier_of(block));
    hak_free(block);
  }
}

/* 256 MiB of zeros come from the system; neither zeroing nor reading a part of them may make the rest resident. */
static void large_fresh_memory_is_not_touched(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  size_t before = resident_bytes();
  char *block = hak_calloc(256, MIB);
  CHECK(block != NULL, "256 MiB: errno %d", errno);
  for (size_t offset = 0; offset < 256 * MIB; offset += 16 * MIB) {
    CHECK(block[offset] == 0 && block[offset + 4095] == 0, "offset %zu", offset);
  }
  size_t grown = growth(before, resident_bytes());
  CHECK(grown <= 64 * MIB, "grew by %zu KiB", grown / KIB);
  hak_free(block);
}

static void large_blocks_are_zero_after_dirty_reuse(void **state) {
  (void)state;
  for (size_t size = 2 * MIB; size <= 64 * MIB; size *= 2) {
    char *block = hak_malloc(size + 12345);
    CHECK(block != NULL, "%zu bytes", size);
    memset(block, 0xff, hak_usable_size(block));
    hak_free(block);
    block = hak_calloc(1, size);
    check_zero(block, size, "after a dirty larger one");
    hak_free(block);
  }
}

/* Blocks freed dirty by another thread come back zeroed too. */
static void *dirty_and_free(void *argument) {
  void **blocks = argument;
  for (size_t i = 0; i < 64; i++) {
    memset(blocks[i], 0xff, hak_usable_size(blocks[i]));
    hak_free(blocks[i]);
  }
  return NULL;
}

static void zero_after_remote_free(void **state) {
  (void)state;
  static const size_t sizes[] = {16, 100, 1000, 4000, 20 * KIB, 50 * KIB, 100 * KIB};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    for (size_t round = 0; round < 5; round++) {
      void *blocks[64];
      for (size_t k = 0; k < 64; k++) {
        blocks[k] = hak_calloc(sizes[i], 1);
        check_zero(blocks[k], sizes[i], "with remote frees");
      }
      pthread_t thread;
      int error = pthread_create(&thread, NULL, dirty_and_free, blocks);
      CHECK(error == 0, "pthread_create: %d", error);
      pthread_join(thread, NULL);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(zero_after_dirty_reuse),
      cmocka_unit_test(zero_after_reuse_by_another_tier),
      cmocka_unit_test(zero_after_realloc),
      cmocka_unit_test(zero_after_remote_free),
      cmocka_unit_test(overflow_is_enomem),
      cmocka_unit_test(zero_factors_are_a_smallest_block),
      cmocka_unit_test(large_fresh_memory_is_not_touched),
      cmocka_unit_test(large_blocks_are_zero_after_dirty_reuse),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
