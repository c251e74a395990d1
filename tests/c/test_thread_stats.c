/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What hak_thread_stats_get says of the calling thread: the blocks in its bins, magazines and rings, against what was freed;
 * and, in a build with HAK_STATS, every block that went to it and came back.
 */
#include <pthread.h>

#include "testing.h"

static hak_thread_stats_t mine(void) {
  hak_thread_stats_t stats = {.size = sizeof stats};
  CHECK(hak_thread_stats_get(&stats) == 1, "thread stats");
  return stats;
}

static bool counts_hits(void) {
  hak_config_t config = {.size = sizeof config};
  CHECK(hak_config_get(&config) == 1, "config");
  return config.counts_hits != 0;
}

/* Each test in a thread of its own, whose caches are empty. */
static void in_a_thread(void *(*run)(void *), void *argument) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, run, argument) == 0, "thread");
  pthread_join(thread, NULL);
}

static void *without_a_heap(void *unused) {
  (void)unused;
  hak_thread_stats_t stats = mine(), zero = {.size = sizeof stats};
  CHECK(memcmp(&stats, &zero, sizeof stats) == 0, "a thread that did nothing holds nothing");
  stats.size--;
  stats.bin_blocks = 77;
  CHECK(hak_thread_stats_get(&stats) == 0 && stats.bin_blocks == 77, "another size");
  return NULL;
}

static void a_thread_without_a_heap_holds_nothing(void **state) {
  (void)state;
  in_a_thread(without_a_heap, NULL);
}

enum { BLOCKS = 8 };

static void *frees_its_own(void *unused) {
  (void)unused;
  static const size_t sizes[] = {100, 5000, 20 * KIB, 60 * KIB};
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
    void *blocks[BLOCKS];
    bool in_bin = sizes[s] <= MID_LIMIT;
    for (size_t i = 0; i < BLOCKS; i++) CHECK((blocks[i] = hak_malloc(sizes[s])) != NULL, "%zu bytes", sizes[s]);
    size_t usable = hak_usable_size(blocks[0]);
    hak_thread_stats_t before = mine();
    uint64_t blocks_before = in_bin ? before.bin_blocks : before.magazine_blocks;
    uint64_t bytes_before = in_bin ? before.bin_bytes : before.magazine_bytes;
    hak_free(blocks[0]);
    hak_free(blocks[1]);
    hak_thread_stats_t after = mine();
    CHECK((in_bin ? after.bin_blocks : after.magazine_blocks) == blocks_before + 2, "%zu bytes: 2 more", sizes[s]);
    CHECK((in_bin ? after.bin_bytes : after.magazine_bytes) == bytes_before + 2 * usable, "%zu bytes", sizes[s]);
    void *again = hak_malloc(sizes[s]);
    after = mine();
    CHECK((in_bin ? after.bin_blocks : after.magazine_blocks) == blocks_before + 1, "%zu bytes: 1 less", sizes[s]);
    hak_free(again);
    for (size_t i = 2; i < BLOCKS; i++) hak_free(blocks[i]);
  }
  hak_collect(1);
  hak_thread_stats_t empty = mine();
  CHECK(empty.bin_blocks + empty.bin_bytes + empty.magazine_blocks + empty.magazine_bytes == 0, "all was given back");
  return NULL;
}

static void bins_and_magazines_are_counted(void **state) {
  (void)state;
  in_a_thread(frees_its_own, NULL);
}

/* ---- Rings ---------------------------------------------------------------------------------------------------------- */

/* So few that nothing is posted on the way. */
enum { FOREIGN = 20 };

static void *frees_those_of_another(void *argument) {
  void **blocks = argument;
  hak_free(hak_malloc(1)); /* its heap */
  hak_collect(1);
  uint64_t bytes = 0;
  for (size_t i = 0; i < FOREIGN; i++) {
    size_t usable = hak_usable_size(blocks[i]);
    hak_free(blocks[i]);
    bytes += usable;
    hak_thread_stats_t stats = mine();
    CHECK(stats.ring_blocks == i + 1 && stats.ring_bytes == bytes, "after %zu: %zu blocks, %zu bytes", i + 1,
          (size_t)stats.ring_blocks, (size_t)stats.ring_bytes);
  }
  hak_collect(0);
  hak_thread_stats_t sent = mine();
  CHECK(sent.ring_blocks == 0 && sent.ring_bytes == 0, "they were sent home");
  return NULL;
}

static void rings_and_the_inbox_are_counted(void **state) {
  (void)state;
  void *blocks[FOREIGN];
  hak_collect(1);
  for (size_t i = 0; i < FOREIGN; i++) {
    /* too small to travel; and some that the other thread has no bin for, before which a carrier is not full */
    size_t size = i % 5 == 4 ? 4000 : i % 3 == 0 ? 48 : 32;
    blocks[i] = hak_malloc(size);
    CHECK(blocks[i] != NULL, "block %zu", i);
    memset(blocks[i], 0x55, size);
  }
  uint64_t before = mine().inbox_posts;
  in_a_thread(frees_those_of_another, blocks);
  CHECK(before == 0, "%zu posts before", (size_t)before);
  /* The other thread's hak_collect may have served this heap, too, where the kernel helps: then nothing is left. */
  CHECK(mine().inbox_posts <= 1, "%zu posts", (size_t)mine().inbox_posts);
  hak_collect(0);
  CHECK(mine().inbox_posts == 0, "taken in");
}

/* ---- Hits ----------------------------------------------------------------------------------------------------------- */

static void *counts_its_own(void *unused) {
  (void)unused;
  bool counts = counts_hits();
  rng_t rng = {test_seed()};
  uint64_t allocated[HAK_TIER_COUNT] = {0}, freed[HAK_TIER_COUNT] = {0};
  void *live[64] = {NULL};
  hak_free(hak_malloc(1));
  allocated[HAK_TIER_TINY] = freed[HAK_TIER_TINY] = 1;
  for (size_t i = 0; i < test_work(20000); i++) {
    size_t slot = rng_below(&rng, 64), size = random_size(&rng) % (2 * MIB);
    if (live[slot] != NULL) {
      freed[hak_tier_of(live[slot])]++;
      hak_free(live[slot]);
    }
    switch (rng_below(&rng, 4)) {
    case 0:
      live[slot] = hak_calloc(1, size);
      break;
    case 1:
      CHECK(hak_posix_memalign(&live[slot], 32, size) == 0, "aligned");
      break;
    default:
      live[slot] = hak_malloc(size);
    }
    CHECK(live[slot] != NULL, "%zu bytes", size);
    allocated[hak_tier_of(live[slot])]++;
  }
  void *moved = hak_malloc(100);
  moved = hak_realloc(moved, 100000); /* one goes, one comes */
  allocated[HAK_TIER_TINY]++, freed[HAK_TIER_TINY]++, allocated[HAK_TIER_ACE]++;
  hak_free_sized(moved, 100000);
  freed[HAK_TIER_ACE]++;
  moved = hak_malloc(20000);
  hak_free_sized(moved, 20000);
  allocated[HAK_TIER_POOL]++, freed[HAK_TIER_POOL]++;
  hak_thread_stats_t stats = mine();
  for (int tier = 0; tier < HAK_TIER_MMAP; tier++) {
    uint64_t expected_allocated = counts ? allocated[tier] : 0, expected_freed = counts ? freed[tier] : 0;
    CHECK(stats.allocated[tier] == expected_allocated && stats.freed[tier] == expected_freed,
          "%s: %zu and %zu, not %zu and %zu", hak_tier_name(tier), (size_t)stats.allocated[tier],
          (size_t)stats.freed[tier], (size_t)expected_allocated, (size_t)expected_freed);
  }
  for (size_t i = 0; i < 64; i++) hak_free(live[i]);
  return NULL;
}

static void blocks_that_come_and_go_are_counted_in_builds_for_it(void **state) {
  (void)state;
  hak_stats_t before = stats_now();
  in_a_thread(counts_its_own, NULL);
  in_a_thread(counts_its_own, NULL); /* the second has the heap of the first, but not its counts */
  hak_stats_t after = stats_now();
  for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
    uint64_t allocated = after.tier[tier].allocated - before.tier[tier].allocated;
    uint64_t freed = after.tier[tier].freed - before.tier[tier].freed;
    CHECK(allocated == freed, "%s: %zu came, %zu went", hak_tier_name(tier), (size_t)allocated, (size_t)freed);
    if (tier != HAK_TIER_MMAP)
      CHECK((allocated != 0) == counts_hits(), "%s: %zu", hak_tier_name(tier), (size_t)allocated);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_thread_without_a_heap_holds_nothing),
      cmocka_unit_test(bins_and_magazines_are_counted),
      cmocka_unit_test(rings_and_the_inbox_are_counted),
      cmocka_unit_test(blocks_that_come_and_go_are_counted_in_builds_for_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
