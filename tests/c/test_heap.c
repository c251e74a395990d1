/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Blocks of heaps of a program's own: every size and alignment, zeros, resizing, whose a block is, and sized frees
 * that do not know of heaps.
 */
#include "test_heap.h"

/* ---- Sizes and alignments ---------------------------------------------------------------------------------------- */

static void every_size(void **state) {
  (void)state;
  hak_heap_t *heap = heap_new();
  size_t live = 0, blocks = 0;
  void *kept[4096];
  for (size_t size = 0; size <= 8 * MIB; size += size < 2048 ? 1 : size / 61 + 1) {
    void *block = hak_heap_malloc(heap, size);
    check_block(heap, block, size, 16);
    CHECK(hak_tier_of(block) == tier_for(size), "%zu bytes: tier %d", size, hak_tier_of(block));
    CHECK(hak_usable_size(block) == hak_good_size(size), "%zu bytes: %zu usable", size, hak_usable_size(block));
    pattern_fill_ends(block, hak_usable_size(block), size);
    if (size % 3 != 0 && blocks < 4096) { /* the others are freed at once */
      kept[blocks++] = block;
      live += hak_usable_size(block);
    } else {
      CHECK(pattern_check_ends(block, hak_usable_size(block), size), "%zu bytes", size);
      hak_heap_free(heap, block);
    }
    expect_live(heap, live, blocks);
  }
  blocks = 0;
  for (size_t size = 0; size <= 8 * MIB; size += size < 2048 ? 1 : size / 61 + 1) {
    if (size % 3 == 0 || blocks == 4096) {
      continue;
    }
    void *block = kept[blocks++];
    CHECK(pattern_check_ends(block, hak_usable_size(block), size), "%zu bytes: overlap", size);
    switch (size % 4) {
    case 0:
      hak_free(block);
      break;
    case 1:
      hak_heap_free(heap, block);
      break;
    default:
      hak_heap_free_sized(heap, block, 1, size);
      break;
    }
  }
  expect_live(heap, 0, 0);
  hak_heap_destroy(heap);
}

static void every_alignment(void **state) {
  (void)state;
  hak_heap_t *heap = heap_new();
  for (size_t alignment = 1; alignment <= MIB; alignment *= 2) {
    for (size_t size = 1; size <= 3 * MIB; size = size * 3 + 1) {
      void *dirty = hak_heap_aligned_alloc(heap, alignment, size);
      check_block(heap, dirty, size, alignment < 16 ? 16 : alignment);
      memset(dirty, 0xee, size);
      void *other = hak_heap_aligned_alloc(heap, alignment, size);
      check_block(heap, other, size, alignment);
      hak_heap_free_sized(heap, dirty, alignment, size);
      void *zero = hak_heap_aligned_zalloc(heap, alignment, size);
      check_block(heap, zero, size, alignment);
      CHECK(first_nonzero(zero, size) == size, "%zu bytes at %zu: not zero", size, alignment);
      pattern_fill_ends(zero, size, size);
      void *moved = hak_realloc_aligned_sized(zero, alignment, size, size * 2);
      check_block(heap, moved, size * 2, alignment);
      if (size <= 256) {
        CHECK(pattern_check_ends(moved, size, size), "%zu bytes at %zu: content", size, alignment);
      }
      hak_free(moved);
      hak_free(other);
    }
  }
  expect_live(heap, 0, 0);
  errno = 0;
  CHECK(hak_heap_aligned_alloc(heap, opaque_size(48), 100) == NULL && errno == EINVAL, "48 is no alignment: errno %d",
        errno);
  CHECK(hak_heap_aligned_alloc(heap, opaque_size(0), 100) == NULL && errno == EINVAL, "0 is no alignment: errno %d",
        errno);
  errno = 0;
  CHECK(hak_heap_malloc(heap, opaque_size(SIZE_MAX)) == NULL && errno == ENOMEM, "errno %d", errno);
  CHECK(hak_heap_malloc(heap, opaque_size(PTRDIFF_MAX)) == NULL && errno == ENOMEM, "errno %d", errno);
  hak_heap_destroy(heap);
}

/* Also of memory that was in use, in this heap before a free, before a reset, and in another heap. */
static void zero_is_zero(void **state) {
  (void)state;
  static const size_t sizes[] = {16, 100, 3000, 8 * KIB, 9 * KIB, 40 * KIB, 300 * KIB, 2 * MIB, 3 * MIB};
  hak_collect(1); /* the system's zeros are what may be taken for granted too often */
  hak_heap_t *heap = heap_new();
  for (size_t round = 0; round < 6; round++) {
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
      void *kept = NULL;
      for (size_t n = 0; n < 20; n++) {
        void *block = hak_heap_zalloc(heap, sizes[i]);
        check_block(heap, block, sizes[i], 16);
        CHECK(first_nonzero(block, sizes[i]) == sizes[i], "round %zu, %zu bytes, block %zu", round, sizes[i], n);
        memset(block, 0xff, sizes[i]);
        if (n % 2 == round % 2) {
          hak_free(kept);
          kept = block;
        }
      }
    }
    if (round % 2 == 0) {
      hak_heap_reset(heap);
    } else {
      hak_heap_destroy(heap);
      heap = heap_new();
    }
  }
  hak_heap_destroy(heap);
}

/* ---- Resizing ---------------------------------------------------------------------------------------------------- */

static void realloc_stays_in_its_heap(void **state) {
  (void)state;
  hak_heap_t *heap = heap_new();
  rng_t rng = {test_seed()};
  void *block[16] = {0};
  size_t size[16] = {0};
  for (size_t i = 0; i < test_work(20000); i++) {
    size_t at = rng_below(&rng, 16), want = random_size(&rng);
    unsigned char before[64] = {0};
    size_t kept = size[at] < want ? size[at] : want;
    kept = kept < sizeof before ? kept : sizeof before;
    if (block[at] != NULL) {
      memcpy(before, block[at], kept);
    }
    void *resized;
    switch (block[at] == NULL ? 0 : rng_below(&rng, 3)) {
    case 0:
      resized = hak_heap_realloc(heap, block[at], want);
      break;
    case 1:
      resized = hak_realloc(block[at], want);
      break;
    default:
      resized = hak_realloc_aligned_sized(block[at], 16, size[at], want);
      break;
    }
    check_block(heap, resized, want, 16);
    CHECK(memcmp(before, resized, kept) == 0, "%zu to %zu bytes: content", size[at], want);
    pattern_fill_ends(resized, want, i);
    block[at] = resized;
    size[at] = want;
  }
  size_t live = 0, blocks = 0;
  for (size_t i = 0; i < 16; i++) {
    live += hak_usable_size(block[i]);
    blocks += block[i] != NULL;
  }
  expect_live(heap, live, blocks);
  for (size_t i = 0; i < 16; i++) {
    hak_free(block[i]);
  }
  expect_live(heap, 0, 0);
  hak_heap_destroy(heap);
}

/* ---- Whose a block is -------------------------------------------------------------------------------------------- */

static void ordinary_blocks_have_no_heap(void **state) {
  (void)state;
  hak_heap_t *heap = heap_new();
  for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
    char *ordinary = hak_malloc(tier_sizes[tier]), *own = hak_heap_malloc(heap, tier_sizes[tier]);
    CHECK(hak_heap_of(ordinary) == NULL && hak_heap_of(own) == heap, "tier %d", tier);
    CHECK(hak_heap_of(own + 16) == NULL && hak_tier_of(own + 16) == HAK_TIER_NONE, "tier %d: inside", tier);
    hak_free(own);
    CHECK(hak_heap_of(own) == NULL && hak_tier_of(own) == HAK_TIER_NONE, "tier %d: freed", tier);
    hak_free(ordinary);
  }
  CHECK(hak_heap_of(NULL) == NULL && hak_heap_of(&heap) == NULL, "no blocks");
  hak_heap_destroy(heap);
}

/* ---- Sized frees that do not know of heaps ----------------------------------------------------------------------- */

/* Of other sizes they look at the block. */
static void sized_frees_of_small_and_large(void **state) {
  (void)state;
  hak_heap_t *heap = heap_new();
  static const size_t sizes[] = {1, 100, 1024, 8 * KIB, 53 * KIB, 400 * KIB, 3 * MIB};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    hak_free_sized(hak_heap_malloc(heap, sizes[i]), sizes[i]);
    hak_free_aligned_sized(hak_heap_aligned_alloc(heap, 128 * KIB, sizes[i]), 128 * KIB, sizes[i]);
    expect_live(heap, 0, 0);
  }
  hak_heap_destroy(heap);
}

/* Of a pool size, against the rules: as long as the heap lives, the block comes back to it, through a magazine. */
static void sized_frees_of_pool_sizes(void **state) {
  (void)state;
  SKIP_IN_SECURE_BUILD(); /* there every block goes home at once */
  enum { BLOCKS = 100 };
  hak_heap_t *heap = heap_new();
  void *block[BLOCKS];
  for (size_t i = 0; i < BLOCKS; i++) {
    block[i] = hak_heap_malloc(heap, 20 * KIB);
  }
  for (size_t i = 0; i < BLOCKS; i++) {
    hak_free_sized(block[i], 20 * KIB);
  }
  void *handed_out = hak_malloc(20 * KIB); /* one of them */
  CHECK(hak_heap_of(handed_out) == heap, "not the block that was freed last");
  hak_free(handed_out);
  hak_collect(1);
  expect_live(heap, 0, 0);
  hak_heap_destroy(heap);
}

/* When the heap goes first, what the thread that destroys it freed so is not handed out any more. */
static void sized_frees_and_destroy(void **state) {
  (void)state;
  void *ordinary = hak_malloc(20 * KIB);
  for (int reset = 0; reset < 2; reset++) {
    hak_heap_t *heap = heap_new();
    for (size_t i = 0; i < 5; i++) {
      hak_free_sized(hak_heap_malloc(heap, 20 * KIB), 20 * KIB);
      hak_free(ordinary); /* between them in the magazine */
      ordinary = hak_malloc(20 * KIB);
      CHECK(hak_heap_of(ordinary) == NULL, "the block freed last");
    }
    void *live = hak_heap_malloc(heap, 20 * KIB);
    CHECK(live != NULL, "errno %d", errno);
    if (reset == 1) {
      hak_heap_reset(heap);
    }
    hak_heap_destroy(heap);
    void *block[20];
    for (size_t i = 0; i < 20; i++) {
      block[i] = hak_malloc(20 * KIB);
      CHECK(hak_tier_of(block[i]) == HAK_TIER_POOL && hak_heap_of(block[i]) == NULL, "block %zu", i);
      memset(block[i], 1, 20 * KIB);
    }
    for (size_t i = 0; i < 20; i++) {
      hak_free(block[i]);
    }
  }
  hak_free(ordinary);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_size),
      cmocka_unit_test(every_alignment),
      cmocka_unit_test(zero_is_zero),
      cmocka_unit_test(realloc_stays_in_its_heap),
      cmocka_unit_test(ordinary_blocks_have_no_heap),
      cmocka_unit_test(sized_frees_of_small_and_large),
      cmocka_unit_test(sized_frees_of_pool_sizes),
      cmocka_unit_test(sized_frees_and_destroy),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
