/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * hak_tier_of answers for live blocks only, and for any pointer at all without ending the process.
 */
#include <sys/mman.h>

#include "testing.h"

static int global_variable;

static void expect_none(const void *pointer, const char *what) {
  CHECK(hak_tier_of(pointer) == HAK_TIER_NONE, "%s (%p) is said to be in %s", what, pointer,
        hak_tier_name(hak_tier_of(pointer)));
}

static void names(void **state) {
  (void)state;
  static const char *const expected[HAK_TIER_COUNT] = {"tiny", "mid", "pool", "ace", "mmap"};
  for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
    CHECK(strcmp(hak_tier_name(tier), expected[tier]) == 0, "tier %d is called %s", tier, hak_tier_name(tier));
  }
  static const int others[] = {HAK_TIER_NONE, HAK_TIER_COUNT, 1000, -1000, INT_MAX, INT_MIN};
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
    CHECK(strcmp(hak_tier_name(others[i]), "none") == 0, "tier %d is called %s", others[i], hak_tier_name(others[i]));
  }
}

static void foreign_pointers_are_in_no_tier(void **state) {
  (void)state;
  int local = 0;
  expect_none(NULL, "NULL");
  expect_none(&local, "stack");
  expect_none(&global_variable, "global");
  expect_none((void *)(uintptr_t)names, "code");
  expect_none((void *)(uintptr_t)1, "1");
  expect_none((void *)(uintptr_t)0x10000, "0x10000");
  expect_none((void *)(uintptr_t)0x00007ffffffff000, "end of user space");
  expect_none((void *)(uintptr_t)0x0000800000000000, "first address beyond user space");
  expect_none((void *)(uintptr_t)0xffffffff80000000, "kernel");
  expect_none((void *)UINTPTR_MAX, "last address");
  void *foreign = malloc(100);
  expect_none(foreign, "block of libc");
  free(foreign);
  char *mapping = mmap(NULL, 16 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(mapping != MAP_FAILED, "mmap: errno %d", errno);
  for (size_t offset = 0; offset < 16 * MIB; offset += 64 * KIB) {
    expect_none(mapping + offset, "mapping of our own");
  }
  munmap(mapping, 16 * MIB);
  expect_none(mapping, "unmapped");
}

static void random_pointers_are_in_no_tier(void **state) {
  (void)state;
  rng_t rng = {test_seed()};
  for (size_t i = 0; i < test_work(1000000); i++) {
    /* Odd, so that it cannot be a block by chance. */
    expect_none((void *)(uintptr_t)((rng_next(&rng) >> rng_below(&rng, 64)) | 1), "random");
  }
}

static void only_the_start_of_a_live_block_counts(void **state) {
  (void)state;
  for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
    size_t size = tier_sizes[tier];
    char *block = hak_malloc(size);
    CHECK(hak_tier_of(block) == tier, "%zu bytes are in %s", size, hak_tier_name(hak_tier_of(block)));
    size_t usable = hak_usable_size(block);
    expect_none(block + 1, "start plus 1");
    expect_none(block + 8, "start plus 8");
    expect_none(block + 16, "start plus 16");
    expect_none(block + usable - 1, "last byte");
    for (size_t offset = 4096; offset < usable; offset += 4096) {
      expect_none(block + offset, "page inside");
    }
    hak_free(block);
    expect_none(block, "freed block");
  }
}

/* Also when the block is freed among others, and by a realloc that moved it. */
static void freed_blocks_are_in_no_tier(void **state) {
  (void)state;
  for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
    enum { COUNT = 50 };
    void *blocks[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
      blocks[i] = hak_malloc(tier_sizes[tier]);
      CHECK(blocks[i] != NULL, "tier %d", tier);
    }
    for (size_t i = 0; i < COUNT; i += 2) {
      hak_free(blocks[i]);
    }
    for (size_t i = 0; i < COUNT; i++) {
      int expected = i % 2 == 0 ? HAK_TIER_NONE : tier;
      CHECK(hak_tier_of(blocks[i]) == expected, "tier %d, block %zu: %d", tier, i, hak_tier_of(blocks[i]));
    }
    for (size_t i = 1; i < COUNT; i += 2) {
      hak_free(blocks[i]);
    }
    for (size_t i = 0; i < COUNT; i++) {
      expect_none(blocks[i], "freed block");
    }
  }
}

static void usable_size_of_null_is_zero(void **state) {
  (void)state;
  CHECK(hak_usable_size(NULL) == 0, "%zu", hak_usable_size(NULL));
}

static void version_is_the_header_s(void **state) {
  (void)state;
  CHECK(hak_version() == HAK_VERSION, "%d", hak_version());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names),
      cmocka_unit_test(version_is_the_header_s),
      cmocka_unit_test(usable_size_of_null_is_zero),
      cmocka_unit_test(foreign_pointers_are_in_no_tier),
      cmocka_unit_test(random_pointers_are_in_no_tier),
      cmocka_unit_test(only_the_start_of_a_live_block_counts),
      cmocka_unit_test(freed_blocks_are_in_no_tier),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
