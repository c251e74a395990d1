/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The secure build with the profile: what is sampled is what the program asked for, for as long as it has it, and misuse of a
 * block that is sampled is noticed as of any other. Here each is: one of 24 bytes but once in 10^11 times, at a mean of 1.
 */
#define HAK_SECURE 1
#define HAK_PROFILE 1
#include "unit.h"

static const size_t sizes[] = {24, 40, 100, 4000, 8192, 20000, 53248, 300000, 3000000};

static hak_profile_stats_t stats(void) {
  hak_profile_stats_t s = {.size = sizeof s};
  CHECK(hak_profile_stats(&s) == 1, "no figures");
  return s;
}

#define LIVE(samples, bytes)                                                                                    \
  CHECK(stats().live_samples == (samples) && stats().live_bytes == (bytes), "%zu: %lu live of %lu bytes", size, \
        stats().live_samples, stats().live_bytes)

static void a_sample_is_what_the_program_has(size_t unused) {
  (void)unused;
  CHECK(hak_profile_start(1) == 1, "errno %d", errno);
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    size_t size = sizes[i];
    hak_collect(1);
    void *block = hak_malloc(size);
    LIVE(1, size);
    CHECK(hak_usable_size(block) == size, "%zu: %zu", size, hak_usable_size(block));
    hak_free_sized(block, size);
    CHECK(hak_tls.heap->quarantine.count == 1, "%zu: it does not wait", size);
    LIVE(0, 0);
    block = hak_calloc(1, size);
    void *other = hak_aligned_alloc(256, size);
    LIVE(2, 2 * size);
    hak_collect(1); /* the first leaves the quarantine */
    LIVE(2, 2 * size);
    block = hak_realloc(block, size + 1000);
    LIVE(2, 2 * size + 1000);
    CHECK(hak_realloc(block, PTRDIFF_MAX - 3) == NULL, "%zu: memory", size);
    LIVE(2, 2 * size + 1000);
    hak_free(block);
    LIVE(1, size);
    hak_free_aligned_sized(other, 256, size);
    LIVE(0, 0);
  }
}

static void a_heap_takes_its_samples_along(size_t unused) {
  (void)unused;
  CHECK(hak_profile_start(1) == 1, "errno %d", errno);
  hak_heap_t *heap = hak_heap_new(NULL);
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    size_t size = sizes[i];
    void *block = hak_heap_malloc(heap, size), *other = hak_heap_zalloc(heap, size);
    LIVE(2, 2 * size);
    block = hak_heap_realloc(heap, block, size + 1000);
    LIVE(2, 2 * size + 1000);
    hak_heap_free_sized(heap, block, 16, size + 1000);
    LIVE(1, size);
    hak_free(other);
    LIVE(0, 0);
    CHECK(hak_heap_malloc(heap, size) != NULL, "memory");
    if (i % 2 == 0) hak_heap_reset(heap);
    if (i % 2 == 0) LIVE(0, 0);
    if (i % 2 == 1) hak_heap_destroy(heap);
    if (i % 2 == 1) heap = hak_heap_new(NULL);
    LIVE(0, 0);
  }
}

/* ---- Misuse ---- */

enum { FREED_TWICE, OVERFLOW, RESIZED, WRONG_SIZE, WRITTEN_TO, FOREIGN, WRONG_SIZE_IN_HEAP };

static void commits(size_t crime) {
  CHECK(hak_profile_start(1) == 1, "errno %d", errno);
  hak_heap_t *heap = hak_heap_new(NULL);
  char *volatile hidden = hak_malloc(100); /* from sanitizers, which know the size, too */
  char *block = hidden, *in_heap = hak_heap_malloc(heap, 100);
  CHECK(stats().live_samples == 2, "%lu sampled", stats().live_samples);
  switch (crime) {
  case FREED_TWICE:
    hak_free(block);
    hak_free(block);
    break;
  case OVERFLOW:
  case RESIZED:
    block[100] = 0; /* which the fill byte never is */
    hak_free(crime == OVERFLOW ? block : hak_realloc(block, 200));
    break;
  case WRONG_SIZE:
    hak_free_sized(block, 99);
    break;
  case WRITTEN_TO:
    hak_free(block);
    block[50] = 1;
    hak_collect(1);
    break;
  case FOREIGN:
    hak_free(in_heap + 16);
    break;
  case WRONG_SIZE_IN_HEAP:
    hak_heap_free_sized(heap, in_heap, 16, 99);
    break;
  }
}

static void misuse_is_noticed(void **state) {
  (void)state;
  child_aborts(commits, FREED_TWICE, "hak_free: double free: 0x");
  child_aborts(commits, OVERFLOW, "hak_free: bytes behind the block were written to: 0x");
  child_aborts(commits, RESIZED, "hak_realloc: bytes behind the block were written to: 0x");
  child_aborts(commits, WRONG_SIZE, "hak_free_sized: not the size it was allocated with: 0x");
  child_aborts(commits, WRITTEN_TO, HAK_BAD_OVERWRITTEN);
  child_aborts(commits, FOREIGN, "hak_free: ");
  child_aborts(commits, WRONG_SIZE_IN_HEAP, "hak_heap_free_sized: not the size it was allocated with: 0x");
}

#define IN_A_CHILD(body)              \
  static void body##_(void **state) { \
    (void)state;                      \
    child_passes(body, 0);            \
  }
IN_A_CHILD(a_sample_is_what_the_program_has)
IN_A_CHILD(a_heap_takes_its_samples_along)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_sample_is_what_the_program_has_),
      cmocka_unit_test(a_heap_takes_its_samples_along_),
      cmocka_unit_test(misuse_is_noticed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
