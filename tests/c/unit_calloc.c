/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * calloc and what is known to be zero: after purges that the system refused, in each tier; and blocks of a gibibyte, which
 * nobody clears.
 */
#include <sys/resource.h>

#include "unit.h"

static int64_t calls_since(void) { return (int64_t)FAIL_ALWAYS - hak_load_relaxed(&os_xfail_after); }

static void check_zero(const char *block, size_t size, const char *when) {
  CHECK(block != NULL, "%zu bytes %s: no block", size, when);
  size_t zeros = first_nonzero(block, size);
  CHECK(zeros == size, "%zu bytes %s: byte %zu is not zero", size, when, zeros);
}

/* Blocks of one size, dirtied, freed but for every `keep`th, collected while the system refuses to purge, and asked for
 * again: some from spans in use, some from free slices, some from the mmap tier's cache. */
static void after_refusal(size_t size) {
  enum { MOST = 200 };
  char *blocks[MOST];
  size_t count = size > MIB ? 6 : size > 64 * KIB ? 40 : MOST;
  hak_free(hak_malloc(1)); /* the options */
  hak_options.dirty_kib = 0;
  for (size_t keep = 3; keep <= count + 1; keep += count - 2) {
    for (size_t i = 0; i < count; i++) {
      blocks[i] = hak_malloc(size);
      memset(blocks[i], 0xa5, hak_usable_size(blocks[i]));
    }
    hak_os_fail_calls(0, FAIL_ALWAYS);
    for (size_t i = 0; i < count; i++) {
      if (i % keep == 1) continue;
      hak_free(blocks[i]); /* the bound purges at once */
      blocks[i] = NULL;
    }
    if (keep == 3) hak_collect(1);
    hak_purge_all_mt(true, 0);
    hak_os_fail_calls(0, 0);
    for (size_t i = 0; i < count; i++) {
      if (blocks[i] == NULL) blocks[i] = hak_calloc(1, size);
      if (i % keep != 1) check_zero(blocks[i], size, "after a purge that failed");
    }
    hak_os_fail_calls(0, FAIL_ALWAYS); /* and the call that calloc itself makes */
    for (size_t i = 0; i < count; i++) {
      memset(blocks[i], 0xa5, size);
      hak_free(blocks[i]);
      blocks[i] = hak_calloc(1, size);
      if (blocks[i] != NULL) check_zero(blocks[i], size, "while they fail");
    }
    hak_os_fail_calls(0, 0);
    for (size_t i = 0; i < count; i++) hak_free(blocks[i]);
  }
}

static void test_refusal(void **state) {
  (void)state;
  static const size_t sizes[] = {16, 1000, 5000, 16 * KIB, 50 * KIB, 256 * KIB, 2 * MIB, 4 * MIB, 40 * MIB};
  for (size_t i = 0; i < COUNT_OF(sizes); i++) child_passes(after_refusal, sizes[i]);
}

/* A gibibyte a thousand times, with nothing else live and with so much that the freed mapping is cached: a call or two of the
 * system each time, and no page touched. */
static void gibibytes(size_t live) {
  void *others = live == 0 ? NULL : hak_malloc(live * GIB);
  struct rusage before, after;
  hak_free(hak_calloc(1, GIB));
  getrusage(RUSAGE_SELF, &before);
  hak_os_fail_calls(FAIL_ALWAYS, 1);
  for (size_t i = 0; i < 1000; i++) {
    char *block = hak_calloc(1, GIB);
    CHECK(block != NULL && block[GIB / 2] == 0, "round %zu", i);
    if (i == 500) block[GIB / 2] = 1; /* one page is not zero then */
    hak_free(block);
  }
  int64_t calls = calls_since(); /* mappings and purges */
  hak_os_fail_calls(0, 0);
  getrusage(RUSAGE_SELF, &after);
  CHECK(calls <= 1010, "%lld calls", (long long)calls);
  CHECK(after.ru_minflt - before.ru_minflt <= 1100, "%ld faults", after.ru_minflt - before.ru_minflt);
  hak_free(others);
}

static void test_gibibytes(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  child_passes(gibibytes, 0);
  child_passes(gibibytes, 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_refusal),
      cmocka_unit_test(test_gibibytes),
  };
  return cmocka_run_group_tests_name("calloc", tests, NULL, NULL);
}
