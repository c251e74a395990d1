/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Aligned blocks: every power of two from 1 B to 1 GiB with every kind of size, the three ways to free them, resizing,
 * zeroing after dirty reuse, and the errors.
 */
#include "testing.h"

#define LARGEST_ALIGNMENT GIB

static bool is_aligned(const void *block, size_t alignment) {
  return (uintptr_t)block % (alignment > 16 ? alignment : 16) == 0;
}

/* Pages in the middle of a big block stay untouched: alignments up to 1 GiB must not cost memory. */
static void write_ends(char *block, size_t size, uint64_t seed) {
  size_t usable = hak_usable_size(block);
  CHECK(usable >= size, "%zu bytes have %zu usable", size, usable);
  pattern_fill_ends(block, usable, seed);
}

static void check_ends(const char *block, size_t alignment, size_t size, uint64_t seed) {
  CHECK(pattern_check_ends(block, hak_usable_size(block), seed), "block of %zu bytes at alignment %zu lost its content",
        size, alignment);
}

static void release(void *block, size_t alignment, size_t size, size_t way) {
  if (way % 2 == 0) {
    hak_free(block);
  } else {
    hak_free_aligned_sized(block, alignment, size);
  }
}

static void every_alignment_and_size(void **state) {
  (void)state;
  size_t turn = 0;
  for (size_t alignment = 1; alignment <= LARGEST_ALIGNMENT; alignment *= 2) {
    const size_t sizes[] = {0,
                            1,
                            8,
                            16,
                            24,
                            100,
                            TINY_LIMIT,
                            TINY_LIMIT + 1,
                            MID_LIMIT,
                            MID_LIMIT + 1,
                            POOL_LIMIT,
                            POOL_LIMIT + 1,
                            ACE_LIMIT,
                            ACE_LIMIT + 1,
                            5 * MIB,
                            alignment / 2,
                            alignment - 1,
                            alignment,
                            alignment + 1,
                            3 * alignment};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
      if (sizes[i] > 64 * MIB) {
        continue;
      }
      /* Several at once: the second must not be aligned by luck or lie in the first. */
      enum { LIVE = 3 };
      char *blocks[LIVE];
      for (size_t k = 0; k < LIVE; k++) {
        errno = 0;
        blocks[k] = hak_aligned_alloc(alignment, sizes[i]);
        CHECK(blocks[k] != NULL, "alignment %zu, size %zu, block %zu, errno %d", alignment, sizes[i], k, errno);
        CHECK(is_aligned(blocks[k], alignment), "%p for alignment %zu, size %zu", (void *)blocks[k], alignment,
              sizes[i]);
        CHECK(hak_tier_of(blocks[k]) != HAK_TIER_NONE, "alignment %zu, size %zu: no tier", alignment, sizes[i]);
        write_ends(blocks[k], sizes[i], k);
      }
      for (size_t k = 0; k < LIVE; k++) {
        check_ends(blocks[k], alignment, sizes[i], k);
        release(blocks[k], alignment, sizes[i], turn++);
      }
    }
  }
}

/* Two-power sizes are where a class is aligned by itself; the sizes between are where it is not. */
static void small_alignments_with_every_small_size(void **state) {
  (void)state;
  for (size_t alignment = 16; alignment <= 4096; alignment *= 2) {
    void *live[32] = {0};
    size_t live_size[32] = {0};
    size_t slot = 0;
    for (size_t size = 1; size <= 70000; size += size < 2000 ? 1 : 61) {
      release(live[slot], alignment, live_size[slot], size);
      live[slot] = hak_aligned_alloc(alignment, size);
      live_size[slot] = size;
      CHECK(live[slot] != NULL && is_aligned(live[slot], alignment), "%p for alignment %zu, size %zu", live[slot],
            alignment, size);
      CHECK(hak_usable_size(live[slot]) >= size, "usable %zu of %zu", hak_usable_size(live[slot]), size);
      slot = (slot + 1) % 32;
    }
    for (size_t i = 0; i < 32; i++) {
      release(live[i], alignment, live_size[i], i);
    }
  }
}

static void zalloc_is_zero_after_dirty_reuse(void **state) {
  (void)state;
  static const size_t sizes[] = {1, 100, 1024, 4000, 20 * KIB, 50 * KIB, 300 * KIB, 3 * MIB};
  for (size_t alignment = 8; alignment <= 64 * KIB; alignment *= 8) {
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
      enum { COUNT = 6 };
      char *blocks[COUNT];
      for (size_t round = 0; round < 2; round++) {
        for (size_t k = 0; k < COUNT; k++) {
          blocks[k] = hak_aligned_zalloc(alignment, sizes[i]);
          CHECK(blocks[k] != NULL && is_aligned(blocks[k], alignment), "%p for %zu", (void *)blocks[k], alignment);
          size_t zeros = first_nonzero(blocks[k], sizes[i]);
          CHECK(zeros == sizes[i], "alignment %zu, size %zu, round %zu: byte %zu is not zero", alignment, sizes[i],
                round, zeros);
          memset(blocks[k], 0xff, hak_usable_size(blocks[k]));
        }
        for (size_t k = 0; k < COUNT; k++) {
          release(blocks[k], alignment, sizes[i], k);
        }
      }
    }
  }
}

static void expect_refused(size_t alignment, size_t size, int error) {
  errno = 0;
  void *block = hak_aligned_alloc(alignment, size);
  CHECK(block == NULL && errno == error, "aligned_alloc(%zu, %zu) is %p, errno %d", alignment, size, block, errno);
  errno = 0;
  block = hak_aligned_zalloc(alignment, size);
  CHECK(block == NULL && errno == error, "aligned_zalloc(%zu, %zu) is %p, errno %d", alignment, size, block, errno);
}

static void bad_alignments_are_einval(void **state) {
  (void)state;
  static const size_t alignments[] = {0, 3, 5, 6, 7, 12, 24, 48, 100, 4095, 4097, 3 * MIB, 2 * GIB, SIZE_MAX};
  for (size_t i = 0; i < sizeof alignments / sizeof alignments[0]; i++) {
    for (size_t size = 0; size <= 3 * MIB; size = size * 16 + 1) {
      expect_refused(opaque_size(alignments[i]), size, EINVAL);
    }
  }
}

static void impossible_sizes_are_enomem(void **state) {
  (void)state;
  static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 4096, SIZE_MAX - GIB, (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    for (size_t alignment = 1; alignment <= LARGEST_ALIGNMENT; alignment *= 2) {
      expect_refused(alignment, opaque_size(sizes[i]), ENOMEM);
    }
  }
}

static void posix_memalign_as_posix_says(void **state) {
  (void)state;
  for (size_t alignment = sizeof(void *); alignment <= LARGEST_ALIGNMENT; alignment *= 2) {
    void *block = NULL;
    errno = 12345;
    int result = hak_posix_memalign(&block, alignment, 1000);
    CHECK(result == 0 && block != NULL && is_aligned(block, alignment), "alignment %zu: %d, %p", alignment, result,
          block);
    CHECK(errno == 12345, "errno is %d", errno);
    memset(block, 1, 1000);
    hak_free(block);
  }
  static const size_t bad[] = {0, 1, 2, 4, 3, 9, 24, 4097, 2 * GIB};
  int anchor;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    void *block = &anchor;
    errno = 12345;
    int result = hak_posix_memalign(&block, opaque_size(bad[i]), 1000);
    CHECK(result == EINVAL, "alignment %zu: %d", bad[i], result);
    CHECK(block == (void *)&anchor && errno == 12345, "alignment %zu: out %p, errno %d", bad[i], block, errno);
  }
  void *block = &anchor;
  errno = 12345;
  int result = hak_posix_memalign(&block, 4096, opaque_size(SIZE_MAX - 100));
  CHECK(result == ENOMEM && block == (void *)&anchor && errno == 12345, "result %d, out %p, errno %d", result, block,
        errno);
}

static void realloc_aligned_sized_keeps_alignment_and_content(void **state) {
  (void)state;
  static const size_t sizes[] = {1,      200,     1000,    5000, 9000, 52000, 60000,
                                 700000, 3000000, 5000000, 2000, 100,  70000, 10};
  for (size_t alignment = 1; alignment <= 4 * MIB; alignment *= 4) {
    size_t size = 64;
    unsigned char *block = hak_aligned_alloc(alignment, size);
    CHECK(block != NULL, "alignment %zu", alignment);
    pattern_fill(block, size, alignment);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
      unsigned char *moved = hak_realloc_aligned_sized(block, alignment, size, sizes[i]);
      CHECK(moved != NULL && is_aligned(moved, alignment), "%p for alignment %zu, %zu to %zu", (void *)moved, alignment,
            size, sizes[i]);
      size_t kept = (size < sizes[i] ? size : sizes[i]) / 8 * 8;
      size_t good = pattern_check(moved, kept, alignment);
      CHECK(good == kept, "alignment %zu, %zu to %zu: byte %zu is lost", alignment, size, sizes[i], good);
      block = moved;
      size = sizes[i];
      CHECK(hak_usable_size(block) >= size, "usable %zu of %zu", hak_usable_size(block), size);
      pattern_fill(block, size, alignment);
    }
    unsigned char *failed = hak_realloc_aligned_sized(block, alignment, size, opaque_size(PTRDIFF_MAX));
    CHECK(failed == NULL && errno == ENOMEM, "%p, errno %d", (void *)failed, errno);
    CHECK(pattern_check(block, size, alignment) == size, "alignment %zu: lost by a failing realloc", alignment);
    hak_free_aligned_sized(block, alignment, size);
  }
}

/* hak_realloc knows nothing of the alignment, but the block must be as good as any. */
static void plain_realloc_of_aligned_blocks(void **state) {
  (void)state;
  static const size_t sizes[] = {10, 500, 3000, 30000, 400000, 3000000};
  for (size_t alignment = 8; alignment <= 8 * MIB; alignment *= 8) {
    for (size_t from = 0; from < 6; from++) {
      for (size_t to = 0; to < 6; to++) {
        char *block = hak_aligned_alloc(alignment, sizes[from]);
        CHECK(block != NULL, "alignment %zu, size %zu", alignment, sizes[from]);
        pattern_fill(block, sizes[from], 7);
        char *moved = hak_realloc(block, sizes[to]);
        CHECK(moved != NULL, "alignment %zu, %zu to %zu", alignment, sizes[from], sizes[to]);
        size_t kept = (sizes[from] < sizes[to] ? sizes[from] : sizes[to]) / 8 * 8;
        size_t good = pattern_check(moved, kept, 7);
        CHECK(good == kept, "alignment %zu, %zu to %zu: byte %zu is lost", alignment, sizes[from], sizes[to], good);
        memset(moved, 1, hak_usable_size(moved));
        hak_free(moved);
      }
    }
  }
}

/* Memory skipped to reach an alignment must not be lost: 2000 rounds of 2 MiB alignment would show. */
static void alignment_does_not_leak(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  static const size_t sizes[] = {64, 20 * KIB, 300 * KIB, 3 * MIB};
  for (size_t i = 0; i < 4; i++) {
    size_t before = 0;
    size_t rounds = test_work(2000);
    for (size_t round = 0; round < rounds; round++) {
      void *block = hak_aligned_alloc(2 * MIB, sizes[i]);
      CHECK(block != NULL, "size %zu round %zu", sizes[i], round);
      touch_pages(block, sizes[i]);
      hak_free(block);
      if (round == rounds / 10) {
        before = resident_bytes();
      }
    }
    size_t grown = growth(before, resident_bytes());
    CHECK(grown <= 24 * MIB, "size %zu: grew by %zu KiB", sizes[i], grown / KIB);
  }
}

static void null_is_ignored(void **state) {
  (void)state;
  hak_free_aligned_sized(NULL, 64, 100);
  hak_free_sized(NULL, 100);
  hak_free(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_alignment_and_size),
      cmocka_unit_test(small_alignments_with_every_small_size),
      cmocka_unit_test(zalloc_is_zero_after_dirty_reuse),
      cmocka_unit_test(bad_alignments_are_einval),
      cmocka_unit_test(impossible_sizes_are_enomem),
      cmocka_unit_test(posix_memalign_as_posix_says),
      cmocka_unit_test(realloc_aligned_sized_keeps_alignment_and_content),
      cmocka_unit_test(plain_realloc_of_aligned_blocks),
      cmocka_unit_test(alignment_does_not_leak),
      cmocka_unit_test(null_is_ignored),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
