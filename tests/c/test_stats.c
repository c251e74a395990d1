/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The statistics count what happens, their structure may only have a known size, and both printed reports name every
 * tier. This program has its own process, so the counters start near zero.
 */
#include <pthread.h>

#include "testing.h"

static void unknown_sizes_are_refused(void **state) {
  (void)state;
  static const size_t sizes[] = {
      0, 1, sizeof(size_t), sizeof(hak_stats_t) - 1, sizeof(hak_stats_t) + 1, sizeof(hak_stats_t) + 64, SIZE_MAX};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    struct {
      hak_stats_t stats;
      unsigned char behind[256];
    } area, copy;
    memset(&area, 0xee, sizeof area);
    area.stats.size = sizes[i];
    memcpy(&copy, &area, sizeof area);
    CHECK(hak_stats_get(&area.stats) == 0, "size %zu is accepted", sizes[i]);
    CHECK(memcmp(&copy, &area, sizeof area) == 0, "size %zu is refused, but something was written", sizes[i]);
  }
}

static void nothing_is_written_behind_the_structure(void **state) {
  (void)state;
  struct {
    hak_stats_t stats;
    unsigned char behind[256];
  } area;
  memset(&area, 0xee, sizeof area);
  area.stats.size = sizeof area.stats;
  CHECK(hak_stats_get(&area.stats) == 1, "refused");
  for (size_t i = 0; i < sizeof area.behind; i++) {
    CHECK(area.behind[i] == 0xee, "byte %zu behind the structure", i);
  }
}

/* Each tier counts what it serves; enough blocks at a time that the caches of a thread cannot hide them. */
static void every_tier_counts(void **state) {
  (void)state;
  static const size_t counts[HAK_TIER_COUNT] = {20000, 5000, 2000, 200, 20};
  for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
    hak_stats_t before = stats_now();
    void **blocks = calloc(counts[tier], sizeof(void *));
    for (size_t i = 0; i < counts[tier]; i++) {
      blocks[i] = hak_malloc(tier_sizes[tier]);
      CHECK(blocks[i] != NULL, "tier %d", tier);
    }
    hak_stats_t full = stats_now();
    uint64_t refills = full.tier[tier].refills - before.tier[tier].refills;
    uint64_t served = full.tier[tier].served - before.tier[tier].served;
    CHECK(refills > 0 && refills <= counts[tier] + 1, "%s: %llu refills for %zu blocks", hak_tier_name(tier),
          (unsigned long long)refills, counts[tier]);
    CHECK(served >= counts[tier] * 9 / 10 && served <= counts[tier] * 4, "%s: %llu served for %zu blocks",
          hak_tier_name(tier), (unsigned long long)served, counts[tier]);
    for (int other = 0; other < HAK_TIER_COUNT; other++) {
      if (other != tier) {
        uint64_t extra = full.tier[other].served - before.tier[other].served;
        CHECK(extra == 0, "%s served %llu blocks of %s", hak_tier_name(other), (unsigned long long)extra,
              hak_tier_name(tier));
      }
      CHECK(full.tier[other].failed == 0, "%s: failures", hak_tier_name(other));
      CHECK(full.tier[other].fell_through == 0, "%s: fell through", hak_tier_name(other));
    }
    for (size_t i = 0; i < counts[tier]; i++) {
      hak_free(blocks[i]);
    }
    free(blocks);
    hak_collect(1);
    hak_stats_t after = stats_now();
    uint64_t returned = after.tier[tier].returned - before.tier[tier].returned;
    CHECK(returned >= counts[tier] * 9 / 10, "%s: %llu returned of %zu blocks", hak_tier_name(tier),
          (unsigned long long)returned, counts[tier]);
  }
}

static void bytes_follow_the_live_blocks(void **state) {
  (void)state;
  hak_collect(1);
  hak_stats_t before = stats_now();
  void *mapped[4];
  for (size_t i = 0; i < 4; i++) {
    mapped[i] = hak_malloc(8 * MIB);
    CHECK(mapped[i] != NULL, "8 MiB");
    touch_pages(mapped[i], 8 * MIB);
  }
  enum { COUNT = 2000 };
  static void *blocks[COUNT];
  for (size_t i = 0; i < COUNT; i++) {
    blocks[i] = hak_malloc(20 * KIB);
    CHECK(blocks[i] != NULL, "20 KiB");
    touch_pages(blocks[i], 20 * KIB);
  }
  hak_stats_t live = stats_now();
  uint64_t mmap_grown = live.mmap_bytes - before.mmap_bytes;
  CHECK(mmap_grown >= 32 * MIB && mmap_grown <= 33 * MIB, "mmap_bytes grew by %llu", (unsigned long long)mmap_grown);
  uint64_t active_grown = live.active_bytes - before.active_bytes;
  CHECK(active_grown >= 39 * MIB && active_grown <= 80 * MIB, "active_bytes grew by %llu for 39 MiB",
        (unsigned long long)active_grown);
  CHECK(live.segment_bytes >= live.active_bytes, "%llu of %llu bytes active", (unsigned long long)live.active_bytes,
        (unsigned long long)live.segment_bytes);
  for (size_t i = 0; i < 4; i++) {
    hak_free(mapped[i]);
  }
  hak_stats_t freed = stats_now();
  CHECK(freed.mmap_bytes == before.mmap_bytes, "mmap_bytes is %llu, was %llu", (unsigned long long)freed.mmap_bytes,
        (unsigned long long)before.mmap_bytes);
  for (size_t i = 0; i < COUNT; i++) {
    hak_free(blocks[i]);
  }
  hak_collect(1);
  hak_stats_t after = stats_now();
  CHECK(after.mmap_cached_bytes == 0, "%llu bytes of mappings are cached after a forced collect",
        (unsigned long long)after.mmap_cached_bytes);
  CHECK(after.purged_bytes - before.purged_bytes >= 64 * MIB, "%llu bytes purged of 71 MiB",
        (unsigned long long)(after.purged_bytes - before.purged_bytes));
  CHECK(after.active_bytes <= before.active_bytes + 4 * MIB, "active_bytes is %llu, was %llu",
        (unsigned long long)after.active_bytes, (unsigned long long)before.active_bytes);
  CHECK(after.dirty_bytes <= 4 * MIB, "%llu bytes are dirty after a forced collect",
        (unsigned long long)after.dirty_bytes);
}

static void *allocate_for_others(void *argument) {
  void **blocks = argument;
  for (size_t i = 0; i < 1000; i++) {
    blocks[i] = hak_malloc(64);
    CHECK(blocks[i] != NULL, "block %zu", i);
  }
  return NULL;
}

static void heaps_and_remote_frees_are_counted(void **state) {
  (void)state;
  static void *blocks[1000];
  hak_free(hak_malloc(1));
  hak_stats_t before = stats_now();
  CHECK(before.heaps >= 1, "no heap for the main thread");
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, allocate_for_others, blocks) == 0, "thread");
  pthread_join(thread, NULL);
  hak_stats_t ended = stats_now();
  CHECK(ended.heaps >= 2 && ended.heaps <= before.heaps + 1, "%llu heaps", (unsigned long long)ended.heaps);
  CHECK(ended.heaps_parked >= 1 && ended.heaps_parked < ended.heaps, "%llu of %llu heaps parked",
        (unsigned long long)ended.heaps_parked, (unsigned long long)ended.heaps);
  for (size_t i = 0; i < 1000; i++) {
    hak_free(blocks[i]);
  }
  hak_collect(0);
  hak_stats_t after = stats_now();
  uint64_t posts = after.remote_posts - before.remote_posts;
  uint64_t posted = after.remote_blocks - before.remote_blocks;
  CHECK(posted == 1000, "%llu blocks posted of 1000", (unsigned long long)posted);
  CHECK(posts >= 1 && posts <= 64, "1000 blocks were posted in %llu messages", (unsigned long long)posts);
}

/* ---- Reports -------------------------------------------------------------------------------------------------------- */

typedef struct capture {
  int fd;
  char *text;
  size_t length;
} capture_t;

static void *capture_run(void *argument) {
  capture_t *capture = argument;
  capture->text = calloc(1, MIB);
  for (;;) {
    ssize_t length = read(capture->fd, capture->text + capture->length, MIB - 1 - capture->length);
    if (length <= 0) {
      return NULL;
    }
    capture->length += (size_t)length;
  }
}

static char *captured(void (*print)(int)) {
  int pipes[2];
  CHECK(pipe(pipes) == 0, "pipe: errno %d", errno);
  capture_t capture = {.fd = pipes[0]};
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, capture_run, &capture) == 0, "thread");
  print(pipes[1]);
  close(pipes[1]);
  pthread_join(thread, NULL);
  close(pipes[0]);
  CHECK(capture.length > 0 && capture.text[capture.length - 1] == '\n', "%zu bytes printed", capture.length);
  return capture.text;
}

static void expect_word(const char *text, const char *word) {
  CHECK(strstr(text, word) != NULL, "\"%s\" is not in:\n%s", word, text);
}

static void stats_print_names_every_tier_and_figure(void **state) {
  (void)state;
  char *text = captured(hak_stats_print);
  for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
    expect_word(text, hak_tier_name(tier));
  }
  static const char *const figures[] = {"segment_bytes",     "active_bytes",  "dirty_bytes", "mmap_bytes",
                                        "mmap_cached_bytes", "purged_bytes",  "heaps",       "heaps_parked",
                                        "remote_posts",      "remote_blocks", "refills",     "served",
                                        "returned",          "fell_through",  "failed"};
  for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
    expect_word(text, figures[i]);
  }
  free(text);
}

/* Two threads of opposite roles: what one does is told, and what it may keep. */
static void *allocates_and_frees(void *unused) {
  (void)unused;
  enum { BLOCKS = 60 };
  void *blocks[BLOCKS];
  for (int round = 0; round < 300; round++) {
    for (int i = 0; i < BLOCKS; i++) blocks[i] = hak_malloc(10 * 1024);
    for (int i = 0; i < BLOCKS; i++) hak_free(blocks[i]);
  }
  return NULL;
}

static void the_engine_tells_what_it_decides(void **state) {
  (void)state;
  SKIP_IN_SECURE_BUILD(); /* few of the blocks that are freed reach the magazines, which are of another class */
  hak_ace_snapshot_t before = {.size = sizeof before}, after = before, unknown = {.size = sizeof unknown - 8};
  CHECK(hak_ace_snapshot(&unknown) == 0 && unknown.budget_bytes == 0, "an unknown size is refused");
  CHECK(hak_ace_snapshot(&before) == 1 && before.size == sizeof before, "size %zu", before.size);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, allocates_and_frees, NULL) == 0, "no thread");
  pthread_join(thread, NULL);
  allocates_and_frees(NULL);
  CHECK(hak_ace_snapshot(&after) == 1, "after");
  const hak_ace_class_t *of = &after.classes[1], *was = &before.classes[1];
  CHECK(of->block_bytes == 10 * 1024 && of->capacity_start == 6, "%lu, %u", (unsigned long)of->block_bytes,
        of->capacity_start);
  CHECK(of->misses >= was->misses + 2 && of->overflows >= was->overflows + 2, "%lu and %lu", (unsigned long)of->misses,
        (unsigned long)of->overflows);
  CHECK(of->threads == 1, "%u: the other has ended", of->threads);
  CHECK(of->capacity_least == of->capacity_most && of->capacity_most > of->capacity_start, "%u", of->capacity_most);
  uint64_t grown = 0;
  for (int c = 0; c < HAK_ACE_SNAPSHOT_CLASSES; c++) {
    const hak_ace_class_t *mine = &after.classes[c];
    CHECK(mine->threads <= 1, "%u threads run", mine->threads);
    if (mine->capacity_most > mine->capacity_start) {
      grown += (mine->capacity_most - mine->capacity_start) * mine->block_bytes;
    }
  }
  CHECK(after.grown_bytes == grown, "%lu grown", (unsigned long)after.grown_bytes);
  CHECK(after.grown_bytes <= after.budget_bytes, "%lu", (unsigned long)after.budget_bytes);
  for (int c = 1; c < HAK_ACE_SNAPSHOT_CLASSES; c++) {
    CHECK(after.classes[c].block_bytes > after.classes[c - 1].block_bytes, "class %d", c);
    CHECK(hak_good_size((size_t)after.classes[c].block_bytes) == after.classes[c].block_bytes, "class %d", c);
  }
  char *text = captured(hak_stats_print);
  expect_word(text, "ace.10240: threads=1, capacity=");
  free(text);
}

static void config_print_names_tiers_limits_and_options(void **state) {
  (void)state;
  char *text = captured(hak_config_print);
  for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
    expect_word(text, hak_tier_name(tier));
  }
  static const char *const words[] = {"0.1.0", "HAKMEM_POOL", "HAKMEM_TINY", "HAKMEM_MID", "HAKMEM_ACE", "HAKMEM_LOG"};
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
    expect_word(text, words[i]);
  }
  free(text);
}

/* A descriptor that cannot be written to must neither hang nor end the process. */
static void reports_to_a_closed_descriptor(void **state) {
  (void)state;
  hak_stats_print(-1);
  hak_config_print(-1);
  int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
  if (fd >= 0) {
    hak_stats_print(fd);
    hak_config_print(fd);
    close(fd);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(unknown_sizes_are_refused),
      cmocka_unit_test(nothing_is_written_behind_the_structure),
      cmocka_unit_test(every_tier_counts),
      cmocka_unit_test(bytes_follow_the_live_blocks),
      cmocka_unit_test(heaps_and_remote_frees_are_counted),
      cmocka_unit_test(stats_print_names_every_tier_and_figure),
      cmocka_unit_test(the_engine_tells_what_it_decides),
      cmocka_unit_test(config_print_names_tiers_limits_and_options),
      cmocka_unit_test(reports_to_a_closed_descriptor),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
