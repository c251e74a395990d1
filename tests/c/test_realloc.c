/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * realloc through all tiers in both directions keeps the content, and a failing one keeps the block.
 */
#include <pthread.h>

#include "testing.h"

static unsigned char byte_at(size_t offset) { return (unsigned char)(offset * 131 + (offset >> 8) * 7 + 3); }

static void write_range(unsigned char *block, size_t from, size_t to) {
  for (size_t i = from; i < to; i++) {
    block[i] = byte_at(i);
  }
}

static void check_range(const unsigned char *block, size_t from, size_t to, size_t size) {
  for (size_t i = from; i < to; i++) {
    CHECK(block[i] == byte_at(i), "resized to %zu: byte %zu is lost", size, i);
  }
}

static unsigned char *resize(unsigned char *block, size_t from, size_t to) {
  unsigned char *moved = hak_realloc(block, to);
  CHECK(moved != NULL, "realloc from %zu to %zu: errno %d", from, to, errno);
  CHECK((uintptr_t)moved % 16 == 0, "realloc to %zu: %p", to, (void *)moved);
  CHECK(hak_usable_size(moved) >= to, "realloc to %zu: usable %zu", to, hak_usable_size(moved));
  return moved;
}

/* One by one through tiny, then in growing steps through every tier and back; all content is read at each step of the
 * small sizes and, above 64 KiB, both ends. */
static void grow_and_shrink_through_all_tiers(void **state) {
  (void)state;
  size_t size = 1;
  unsigned char *block = hak_malloc(size);
  CHECK(block != NULL, "1 byte");
  write_range(block, 0, size);
  while (size < 5 * MIB) {
    size_t next = size < 2000 ? size + 1 : size + size / 37;
    block = resize(block, size, next);
    if (next <= 64 * KIB) {
      check_range(block, 0, size, next);
    } else {
      check_range(block, 0, 4096, next);
      check_range(block, size - 4096, size, next);
    }
    write_range(block, size, next);
    size = next;
  }
  check_range(block, 0, size, size);
  while (size > 1) {
    size_t next = size <= 2000 ? size - 1 : size - size / 37;
    block = resize(block, size, next);
    if (next <= 64 * KIB) {
      check_range(block, 0, next, next);
    } else {
      check_range(block, 0, 4096, next);
      check_range(block, next - 4096, next, next);
    }
    size = next;
  }
  hak_free(block);
}

static void from_every_tier_to_every_tier(void **state) {
  (void)state;
  for (int from = 0; from < HAK_TIER_COUNT; from++) {
    for (int to = 0; to < HAK_TIER_COUNT; to++) {
      /* Neighbours on both sides, so that growing in place has something to run into. */
      void *before = hak_malloc(tier_sizes[from]);
      unsigned char *block = hak_malloc(tier_sizes[from]);
      void *after = hak_malloc(tier_sizes[from]);
      CHECK(before != NULL && block != NULL && after != NULL, "tier %d", from);
      pattern_fill(before, tier_sizes[from], 1);
      pattern_fill(after, tier_sizes[from], 2);
      write_range(block, 0, tier_sizes[from]);
      block = resize(block, tier_sizes[from], tier_sizes[to]);
      size_t kept = tier_sizes[from] < tier_sizes[to] ? tier_sizes[from] : tier_sizes[to];
      check_range(block, 0, kept, tier_sizes[to]);
      memset(block, 0xff, hak_usable_size(block));
      CHECK(pattern_check(before, tier_sizes[from], 1) == tier_sizes[from], "neighbour before, tier %d to %d", from,
            to);
      CHECK(pattern_check(after, tier_sizes[from], 2) == tier_sizes[from], "neighbour after, tier %d to %d", from, to);
      hak_free(before);
      hak_free(block);
      hak_free(after);
    }
  }
}

/* Shrinking must not keep a large block for a small one for ever: at most the design's eighth, or half in place. */
static void shrinking_gives_memory_back(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  enum { COUNT = 32 };
  unsigned char *blocks[COUNT];
  size_t before = resident_bytes();
  for (size_t i = 0; i < COUNT; i++) {
    blocks[i] = hak_malloc(8 * MIB);
    CHECK(blocks[i] != NULL, "block %zu", i);
    memset(blocks[i], 1, 8 * MIB);
    blocks[i] = hak_realloc(blocks[i], 100);
    CHECK(blocks[i] != NULL, "block %zu", i);
  }
  hak_collect(1);
  size_t grown = growth(before, resident_bytes());
  for (size_t i = 0; i < COUNT; i++) {
    CHECK(hak_usable_size(blocks[i]) < 4 * MIB, "100 bytes keep %zu", hak_usable_size(blocks[i]));
    hak_free(blocks[i]);
  }
  CHECK(grown <= 32 * MIB, "32 blocks of 100 bytes keep %zu KiB", grown / KIB);
}

static void same_class_stays_in_place(void **state) {
  (void)state;
  for (size_t size = 1; size <= 4 * MIB; size = next_class(size)) {
    void *block = hak_malloc(size);
    CHECK(block != NULL, "%zu bytes", size);
    uintptr_t address = (uintptr_t)block;
    block = hak_realloc(block, hak_good_size(size));
    CHECK((uintptr_t)block == address, "%zu to %zu moved", size, hak_good_size(size));
    hak_free(block);
  }
}

/* Into what is free behind them, and back. */
static void large_blocks_stay_in_place(void **state) {
  (void)state;
  static const size_t steps[] = {300 * KIB, 600 * KIB, 2 * MIB, MIB, 2 * MIB, 500 * KIB};
  hak_config_t config = {.size = sizeof config};
  CHECK(hak_config_get(&config) == 1, "config");
  bool plain = config.secure == 0 && config.valgrind == 0;
  for (size_t sized = 0; sized < 2; sized++) {
    hak_collect(1);
    char *room =
        hak_malloc(2 * MIB); /* where nothing is in the way: a block begins at the lowest free address that fits */
    CHECK(room != NULL, "room");
    hak_free(room);
    hak_collect(1);
    char *block = hak_malloc(2 * MIB);
    uintptr_t address = (uintptr_t)block;
    CHECK(block != NULL && (!plain || block == room), "%p, not %p", (void *)block, (void *)room);
    size_t size = 2 * MIB;
    memset(block, 1, size);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
      size_t kept = size < steps[i] ? size : steps[i];
      block = sized ? hak_realloc_aligned_sized(block, 16, size, steps[i]) : hak_realloc(block, steps[i]);
      CHECK(block != NULL && (!plain || (uintptr_t)block == address), "%zu to %zu bytes: moved", size, steps[i]);
      CHECK(block[0] == 1 && block[kept - 1] == 1, "%zu to %zu bytes: content", size, steps[i]);
      size = steps[i];
      CHECK(hak_usable_size(block) >= size && hak_usable_size(block) <= 2 * size, "%zu bytes: %zu", size,
            hak_usable_size(block));
      memset(block, 1, size);
    }
    hak_free_sized(block, size);
  }
}

static void null_allocates(void **state) {
  (void)state;
  for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
    void *block = hak_realloc(NULL, tier_sizes[tier]);
    CHECK(block != NULL && hak_tier_of(block) == tier, "tier %d: %p", tier, block);
    memset(block, 1, tier_sizes[tier]);
    hak_free(block);
  }
  void *block = hak_realloc(NULL, 0);
  CHECK(block != NULL && hak_tier_of(block) == HAK_TIER_TINY, "realloc(NULL, 0) is %p", block);
  hak_free(block);
  errno = 0;
  block = hak_realloc(NULL, opaque_size(SIZE_MAX));
  CHECK(block == NULL && errno == ENOMEM, "realloc(NULL, SIZE_MAX) is %p, errno %d", block, errno);
}

static void zero_shrinks_and_does_not_free(void **state) {
  (void)state;
  for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
    void *block = hak_malloc(tier_sizes[tier]);
    CHECK(block != NULL, "tier %d", tier);
    block = hak_realloc(block, 0);
    CHECK(block != NULL, "tier %d: realloc to 0 is NULL", tier);
    CHECK(hak_tier_of(block) != HAK_TIER_NONE, "tier %d: the block is not live", tier);
    CHECK(hak_usable_size(block) <= 2 * tier_sizes[tier], "tier %d: usable %zu", tier, hak_usable_size(block));
    memset(block, 1, hak_usable_size(block));
    hak_free(block);
  }
}

static void doubling_to_64_mib(void **state) {
  (void)state;
  size_t size = 16;
  unsigned char *block = hak_malloc(size);
  CHECK(block != NULL, "16 bytes");
  write_range(block, 0, size);
  while (size < 64 * MIB) {
    block = resize(block, size, size * 2);
    check_range(block, size - 16, size, size * 2);
    check_range(block, 0, 16, size * 2);
    write_range(block, size, size * 2);
    size *= 2;
  }
  check_range(block, 0, size, size);
  hak_free(block);
}

static void failing_realloc_keeps_the_block(void **state) {
  (void)state;
  static const size_t impossible[] = {PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 1, SIZE_MAX - 4096, SIZE_MAX};
  for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
    unsigned char *block = hak_malloc(tier_sizes[tier]);
    CHECK(block != NULL, "tier %d", tier);
    write_range(block, 0, tier_sizes[tier]);
    for (size_t i = 0; i < 4; i++) {
      errno = 0;
      void *moved = hak_realloc(opaque_pointer(block), opaque_size(impossible[i]));
      CHECK(moved == NULL && errno == ENOMEM, "tier %d: %p, errno %d", tier, moved, errno);
      check_range(block, 0, tier_sizes[tier], tier_sizes[tier]);
      CHECK(hak_tier_of(block) == tier, "tier %d: no longer live", tier);
    }
    hak_free(block);
  }
}

/* A block of another thread may be resized too. */
static void *resize_foreign(void *argument) {
  unsigned char **blocks = argument;
  for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
    size_t old_size = tier_sizes[tier];
    size_t new_size = tier_sizes[(tier + 2) % HAK_TIER_COUNT];
    blocks[tier] = resize(blocks[tier], old_size, new_size);
    check_range(blocks[tier], 0, old_size < new_size ? old_size : new_size, new_size);
  }
  return NULL;
}

static void by_another_thread(void **state) {
  (void)state;
  for (size_t round = 0; round < 20; round++) {
    unsigned char *blocks[HAK_TIER_COUNT];
    for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
      blocks[tier] = hak_malloc(tier_sizes[tier]);
      CHECK(blocks[tier] != NULL, "tier %d", tier);
      write_range(blocks[tier], 0, tier_sizes[tier]);
    }
    pthread_t thread;
    int error = pthread_create(&thread, NULL, resize_foreign, blocks);
    CHECK(error == 0, "pthread_create: %d", error);
    pthread_join(thread, NULL);
    for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
      hak_free(blocks[tier]);
    }
  }
}

/* With an alignment that only mappings have. */
static void a_large_alignment_shrinks(void **state) {
  (void)state;
  static const size_t alignments[] = {64 * KIB, 128 * KIB, 4 * MIB};
  for (size_t i = 0; i < sizeof alignments / sizeof alignments[0]; i++) {
    size_t alignment = alignments[i], size = 64 * MIB;
    unsigned char *block = hak_aligned_alloc(alignment, size);
    CHECK(block != NULL, "errno %d", errno);
    write_range(block, 0, 1000);
    static const size_t smaller[] = {40 * MIB, 3 * MIB, 1000, 0};
    for (size_t j = 0; j < sizeof smaller / sizeof smaller[0]; j++) {
      block = hak_realloc_aligned_sized(block, alignment, size, smaller[j]);
      CHECK(block != NULL && (uintptr_t)block % alignment == 0, "%p", (void *)block);
      size = smaller[j];
      check_range(block, 0, size < 1000 ? size : 1000, size);
      CHECK(hak_usable_size(block) <= size + 128 * KIB, "%zu keeps %zu", size, hak_usable_size(block));
    }
    hak_free_aligned_sized(block, alignment, size);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(grow_and_shrink_through_all_tiers), cmocka_unit_test(from_every_tier_to_every_tier),
      cmocka_unit_test(shrinking_gives_memory_back),       cmocka_unit_test(same_class_stays_in_place),
      cmocka_unit_test(large_blocks_stay_in_place),        cmocka_unit_test(null_allocates),
      cmocka_unit_test(zero_shrinks_and_does_not_free),    cmocka_unit_test(doubling_to_64_mib),
      cmocka_unit_test(failing_realloc_keeps_the_block),   cmocka_unit_test(by_another_thread),
      cmocka_unit_test(a_large_alignment_shrinks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
