/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Every size from 1 B to 4 MiB is served by the tier that the documentation names, aligned to 16 bytes, as large as
 * hak_good_size promised, and writable to its end. (The predecessor lost a whole tier to a build flag and nobody saw.)
 */
#include "testing.h"

#define LAST_SIZE (4 * MIB)

static void check_block(const void *block, size_t size) {
  CHECK(block != NULL, "no block of %zu bytes", size);
  CHECK((uintptr_t)block % 16 == 0, "block of %zu bytes at %p", size, block);
  int tier = hak_tier_of(block);
  CHECK(tier == tier_for(size), "%zu bytes were served by %s, not by %s", size, hak_tier_name(tier),
        hak_tier_name(tier_for(size)));
  size_t usable = hak_usable_size(block);
  CHECK(usable >= size, "%zu bytes have %zu usable", size, usable);
  CHECK(usable == hak_good_size(size), "%zu bytes: usable %zu, good size %zu", size, usable, hak_good_size(size));
}

/* All 4 Mi sizes, untouched. */
static void every_size_comes_from_its_tier(void **state) {
  (void)state;
  size_t step = test_is_short() ? 61 : 1;
  for (size_t size = 1; size <= LAST_SIZE; size += step) {
    void *block = hak_malloc(size);
    check_block(block, size);
    hak_free(block);
  }
}

/* A block that stays while the next sizes come, so that it is not always the same address. */
static void every_size_comes_from_its_tier_among_live_blocks(void **state) {
  (void)state;
  void *live[64] = {0};
  size_t slot = 0;
  for (size_t size = 1; size <= LAST_SIZE; size += size <= 64 * KIB ? 1 : 509) {
    hak_free(live[slot]);
    live[slot] = hak_malloc(size);
    check_block(live[slot], size);
    slot = (slot + 1) % 64;
  }
  for (size_t i = 0; i < 64; i++) {
    hak_free(live[i]);
  }
}

static void write_and_free(size_t size) {
  unsigned char *block = hak_malloc(size);
  check_block(block, size);
  size_t usable = hak_usable_size(block);
  if (usable <= 64 * KIB) {
    pattern_fill(block, usable, size);
    CHECK(pattern_check(block, usable, size) == usable, "block of %zu bytes lost its content", size);
  } else {
    touch_pages(block, usable);
    pattern_fill_ends(block, usable, size);
    CHECK(pattern_check_ends(block, usable, size), "block of %zu bytes lost its content", size);
  }
  hak_free(block);
}

static void small_sizes_are_writable_to_the_end(void **state) {
  (void)state;
  size_t step = test_is_short() ? 97 : 1;
  for (size_t size = 1; size <= 64 * KIB; size += step) {
    write_and_free(size);
  }
}

/* Each page boundary and each boundary of a size class up to 4 MiB, and the sizes beside it. */
static void edges_are_writable_to_the_end(void **state) {
  (void)state;
  for (size_t size = 64 * KIB; size < LAST_SIZE; size += test_is_short() ? 65536 : 4096) {
    write_and_free(size - 1);
    write_and_free(size);
    write_and_free(size + 1);
  }
  for (size_t class_size = hak_good_size(1); class_size < LAST_SIZE;
       class_size = hak_good_size(next_class(class_size))) {
    CHECK(class_size < hak_good_size(class_size + 1), "no class after %zu", class_size);
    write_and_free(class_size);
    write_and_free(class_size + 1);
  }
}

/* Rounding up never shrinks, keeps order, changes nothing a second time, and wastes at most an eighth and a page. */
static void good_size_is_a_rounding(void **state) {
  (void)state;
  size_t last = 0;
  for (size_t size = 0; size <= LAST_SIZE; size++) {
    size_t good = hak_good_size(size);
    CHECK(good >= size && good > 0, "good size of %zu is %zu", size, good);
    CHECK(good >= last, "good size of %zu is %zu, of one byte less %zu", size, good, last);
    CHECK(good <= size + size / 8 + (size > POOL_LIMIT ? 4096 : 16), "good size of %zu is %zu", size, good);
    CHECK(good == last || hak_good_size(good) == good, "good size of %zu is %zu, and of that %zu", size, good,
          hak_good_size(good));
    CHECK(tier_for(good) == tier_for(size), "good size of %zu is in another tier: %zu", size, good);
    last = good;
  }
}

static void limits_are_class_sizes(void **state) {
  (void)state;
  static const size_t limits[] = {16, TINY_LIMIT, MID_LIMIT, 40 * KIB, POOL_LIMIT, ACE_LIMIT, 4 * MIB};
  for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
    CHECK(hak_good_size(limits[i]) == limits[i], "good size of %zu is %zu", limits[i], hak_good_size(limits[i]));
  }
}

static void too_large_has_no_good_size(void **state) {
  (void)state;
  static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 4096, (size_t)PTRDIFF_MAX + 1, SIZE_MAX / 2 + 2};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    CHECK(hak_good_size(opaque_size(sizes[i])) == 0, "good size of %zu is %zu", sizes[i], hak_good_size(sizes[i]));
    errno = 0;
    void *block = hak_malloc(opaque_size(sizes[i]));
    CHECK(block == NULL && errno == ENOMEM, "malloc(%zu) is %p, errno %d", sizes[i], block, errno);
  }
}

static void zero_bytes_yield_distinct_smallest_blocks(void **state) {
  (void)state;
  void *blocks[100];
  for (size_t i = 0; i < 100; i++) {
    blocks[i] = hak_malloc(0);
    CHECK(blocks[i] != NULL, "block %zu", i);
    CHECK(hak_usable_size(blocks[i]) == hak_good_size(1), "usable %zu", hak_usable_size(blocks[i]));
    CHECK(hak_tier_of(blocks[i]) == HAK_TIER_TINY, "tier %d", hak_tier_of(blocks[i]));
    pattern_fill(blocks[i], hak_usable_size(blocks[i]), i);
  }
  for (size_t i = 0; i < 100; i++) {
    size_t usable = hak_usable_size(blocks[i]);
    CHECK(pattern_check(blocks[i], usable, i) == usable, "block %zu shares memory", i);
    hak_free(blocks[i]);
  }
}

static void alloc_at_takes_the_same_chain(void **state) {
  (void)state;
  for (size_t size = 1; size <= LAST_SIZE; size += size / 7 + 1) {
    void *block = hak_alloc_at(size, size % 2 == 0 ? NULL : (const void *)every_size_comes_from_its_tier);
    check_block(block, size);
    hak_free(block);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(limits_are_class_sizes),
      cmocka_unit_test(good_size_is_a_rounding),
      cmocka_unit_test(too_large_has_no_good_size),
      cmocka_unit_test(zero_bytes_yield_distinct_smallest_blocks),
      cmocka_unit_test(small_sizes_are_writable_to_the_end),
      cmocka_unit_test(edges_are_writable_to_the_end),
      cmocka_unit_test(every_size_comes_from_its_tier),
      cmocka_unit_test(every_size_comes_from_its_tier_among_live_blocks),
      cmocka_unit_test(alloc_at_takes_the_same_chain),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
