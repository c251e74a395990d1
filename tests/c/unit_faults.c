/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Every call of the system that can fail, failed: a scenario with all tiers, threads, resizing and collection runs
 * again and again, each time in a new process in which the n-th call fails, or all from the n-th on, until a run gets
 * through without reaching the n-th. Whatever fails, a request yields NULL with ENOMEM or a good block, all blocks keep
 * their content, and afterwards everything works.
 */
#include "unit.h"

enum { LIVE = 96 };

typedef struct {
  unsigned char *block;
  size_t bytes, alignment;
  uint64_t seed;
} item_t;

static item_t live[LIVE];
static bool failing; /* failures are wanted; otherwise no request may fail */
static uint64_t seeds;

static void verify(void) {
  for (size_t i = 0; i < LIVE; i++) {
    CHECK(live[i].block == NULL || pattern_check_ends(live[i].block, live[i].bytes, live[i].seed),
          "%zu bytes were changed", live[i].bytes);
  }
}

/* Takes in the result of a request: all are intact after a failure. */
static bool got(item_t *item, void *block, size_t bytes, size_t alignment) {
  if (block == NULL) {
    CHECK(failing, "%zu bytes: no memory, errno %d", bytes, errno);
    CHECK(errno == ENOMEM, "%zu bytes: errno %d", bytes, errno);
    verify();
    return false;
  }
  CHECK((uintptr_t)block % alignment == 0, "%zu bytes at %p", bytes, block);
  CHECK(hak_usable_size(block) >= bytes, "%zu bytes: %zu usable", bytes, hak_usable_size(block));
  *item = (item_t){block, bytes, alignment, ++seeds};
  pattern_fill_ends(block, bytes, item->seed);
  return true;
}

static void request(item_t *item, size_t bytes) {
  errno = 0;
  got(item, hak_malloc(bytes), bytes, 16);
}

static void request_zero(item_t *item, size_t bytes) {
  errno = 0;
  void *block = hak_calloc(1, bytes);
  CHECK(block == NULL || first_nonzero(block, bytes) == bytes, "%zu bytes: not zero at %zu", bytes,
        first_nonzero(block, bytes));
  if (got(item, block, bytes, 16)) {
    memset(block, 0x5a, bytes); /* for whoever gets it next */
    pattern_fill_ends(block, bytes, item->seed);
  }
}

static void request_aligned(item_t *item, size_t alignment, size_t bytes) {
  errno = 0;
  void *block = bytes % 2 == 0 ? hak_aligned_alloc(alignment, bytes) : hak_aligned_zalloc(alignment, bytes);
  CHECK(block == NULL || bytes % 2 == 0 || first_nonzero(block, bytes) == bytes, "%zu bytes: not zero", bytes);
  got(item, block, bytes, alignment);
}

static void resize(item_t *item, size_t bytes, bool aligned) {
  size_t kept = bytes < item->bytes ? bytes : item->bytes;
  kept = kept < 128 ? kept : 128;
  unsigned char before[128];
  memcpy(before, item->block, kept);
  errno = 0;
  void *block = aligned ? hak_realloc_aligned_sized(item->block, item->alignment, item->bytes, bytes)
                        : hak_realloc(item->block, bytes);
  CHECK(block == NULL || memcmp(before, block, kept) == 0, "%zu bytes to %zu: content", item->bytes, bytes);
  got(item, block, bytes, aligned ? item->alignment : 16); /* NULL: the old one is still verified */
}

static void release(item_t *item, size_t how) {
  CHECK(pattern_check_ends(item->block, item->bytes, item->seed), "%zu bytes were changed", item->bytes);
  errno = 55;
  if (how % 3 == 1 && item->alignment > 16) {
    hak_free_aligned_sized(item->block, item->alignment, item->bytes);
  } else if (how % 3 == 1) {
    hak_free_sized(item->block, item->bytes);
  } else {
    hak_free(item->block);
  }
  CHECK(errno == 55, "errno %d after a free of %zu bytes", errno, item->bytes);
  item->block = NULL;
}

/* Sizes of all tiers. */
static const size_t sizes[] = {1,           16,          100,      1000,     1024,     1500,      4000,      8 * KIB,
                               8 * KIB + 1, 20 * KIB,    40 * KIB, 52 * KIB, 60 * KIB, 200 * KIB, 300 * KIB, MIB,
                               2 * MIB,     2 * MIB + 1, 3 * MIB,  50,       9 * KIB,  30 * KIB,  500,       5 * MIB};

static void *thread_body(void *argument) {
  item_t *items = argument;
  for (size_t i = 0; i < 24; i++) {
    if (items[i].block != NULL && i % 2 == 0) { /* another thread's */
      release(&items[i], 0);
    }
    if (items[i].block == NULL) {
      request(&items[i], sizes[(i * 7 + 3) % COUNT_OF(sizes)]);
    }
  }
  return NULL;
}

/* Blocks of this thread's, and of threads that came and went. */
static void scenario(void) {
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    request(&live[i], sizes[i]);
    request_zero(&live[24 + i], sizes[(i * 5) % COUNT_OF(sizes)]);
  }
  for (int round = 0; round < 2; round++) {
    pthread_t thread = thread_start(thread_body, &live[round * 24]);
    thread_join(thread);
    verify();
  }
  static const size_t alignments[] = {16, 64, 4096, 32 * KIB, 64 * KIB, 128 * KIB, 4 * MIB};
  for (size_t i = 0; i < COUNT_OF(alignments); i++) {
    request_aligned(&live[48 + i], alignments[i], 100 + i);
    request_aligned(&live[56 + i], alignments[i], 70 * KIB + i);
  }
  for (size_t i = 0; i < 48; i++) {
    if (live[i].block != NULL) {
      resize(&live[i], i % 2 == 0 ? sizes[(i + 5) % COUNT_OF(sizes)] : live[i].bytes * 2 + 1, false);
    }
  }
  for (size_t i = 48; i < 64; i++) {
    if (live[i].block != NULL) {
      resize(&live[i], i % 4 == 0 ? 3 * MIB + i : i % 4 == 1 ? live[i].bytes * 3 : 5000, true);
    }
  }
  verify();
  for (size_t i = 0; i < LIVE; i += 2) {
    if (live[i].block != NULL) {
      release(&live[i], i);
    }
  }
  hak_collect(0);
  hak_collect(1); /* free blocks of spans in use, free slices, mappings */
  verify();
  for (size_t i = 64; i < 80; i++) { /* what was purged, or could not be */
    request_zero(&live[i], sizes[8 + i % 8]);
  }
  for (size_t i = 80; i < LIVE; i++) {
    request_zero(&live[i], sizes[17 + i % 2]);
  }
  verify();
}

/* After failures: everything works again, and nothing is lost. */
static void aftermath(void) {
  verify();
  for (size_t i = 0; i < LIVE; i++) {
    if (live[i].block == NULL) {
      if (i % 2 == 0) {
        request(&live[i], sizes[i % COUNT_OF(sizes)]);
      } else {
        request_zero(&live[i], sizes[i % COUNT_OF(sizes)]);
      }
    }
  }
  verify();
  pthread_t thread = thread_start(thread_body, live);
  thread_join(thread);
  for (size_t i = 0; i < LIVE; i++) {
    release(&live[i], i);
  }
  hak_collect(1);
  hak_stats_t stats = stats_now();
  CHECK(stats.active_bytes == 0 && stats.mmap_bytes == 0 && stats.mmap_cached_bytes == 0 && stats.dirty_bytes == 0,
        "left: %llu in slices, %llu in mappings, %llu cached, %llu dirty", (unsigned long long)stats.active_bytes,
        (unsigned long long)stats.mmap_bytes, (unsigned long long)stats.mmap_cached_bytes,
        (unsigned long long)stats.dirty_bytes);
}

static unsigned failures; /* how many from the n-th on */

static void run(size_t n) {
  failing = failures != 0;
  hak_os_fail_calls((unsigned)n, failures);
  scenario();
  bool reached = hak_load_relaxed(&os_xfail_count) < (int64_t)failures;
  hak_os_fail_calls(0, 0);
  failing = false;
  aftermath();
  if (!reached) {
    _exit(NOT_REACHED);
  }
}

static void test_nothing(void **state) {
  (void)state;
  failures = 0;
  child_t child = child_run(run, 0);
  CHECK(WIFEXITED(child.status) && WEXITSTATUS(child.status) == NOT_REACHED, "without failures: status 0x%x:\n%s",
        (unsigned)child.status, child.output);
}

static void test_one(void **state) {
  (void)state;
  failures = 1;
  fail_each(run, failures, test_is_short() ? 5 : 1, 40);
}

static void test_several(void **state) {
  (void)state;
  failures = 4;
  fail_each(run, failures, test_is_short() ? 13 : 5, 40);
}

static void test_all(void **state) {
  (void)state;
  failures = FAIL_ALWAYS;
  fail_each(run, failures, test_is_short() ? 13 : 3, 40);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_nothing),
      cmocka_unit_test(test_one),
      cmocka_unit_test(test_several),
      cmocka_unit_test(test_all),
  };
  return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
