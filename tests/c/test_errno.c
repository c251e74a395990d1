/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * errno: free and collect keep it, whatever system calls they make; what fails sets it.
 */
#include <pthread.h>

#include "testing.h"

#define MARK 4711

static void *allocate_remote(void *argument) {
  void **blocks = argument;
  for (size_t i = 0; i < 300; i++) {
    blocks[i] = hak_malloc(tier_sizes[i % HAK_TIER_COUNT] / 2);
    CHECK(blocks[i] != NULL, "block %zu", i);
    touch_pages(blocks[i], tier_sizes[i % HAK_TIER_COUNT] / 2);
  }
  return NULL;
}

static void free_keeps_errno(void **state) {
  (void)state;
  for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
    /* Enough that spans and mappings go back to the system on the way. */
    size_t count = 200 * MIB / tier_sizes[tier];
    count = count < 40000 ? count : 40000;
    void **blocks = calloc(count, sizeof(void *));
    for (size_t i = 0; i < count; i++) {
      blocks[i] = hak_malloc(tier_sizes[tier]);
      CHECK(blocks[i] != NULL, "tier %d, block %zu", tier, i);
      touch_pages(blocks[i], tier_sizes[tier]);
    }
    for (size_t i = 0; i < count; i++) {
      errno = MARK;
      if (i % 3 == 0) {
        hak_free_sized(blocks[i], tier_sizes[tier]);
      } else {
        hak_free(blocks[i]);
      }
      CHECK(errno == MARK, "tier %d, block %zu: errno is %d", tier, i, errno);
    }
    free(blocks);
    errno = MARK;
    hak_collect(0);
    CHECK(errno == MARK, "collect(0): errno is %d", errno);
    hak_collect(1);
    CHECK(errno == MARK, "collect(1): errno is %d", errno);
  }
}

static void free_of_null_keeps_errno(void **state) {
  (void)state;
  errno = MARK;
  hak_free(NULL);
  hak_free_sized(NULL, 10);
  hak_free_aligned_sized(NULL, 16, 10);
  CHECK(errno == MARK, "errno is %d", errno);
}

static void remote_free_keeps_errno(void **state) {
  (void)state;
  void *blocks[300];
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, allocate_remote, blocks) == 0, "thread");
  pthread_join(thread, NULL);
  for (size_t i = 0; i < 300; i++) {
    errno = MARK;
    hak_free(blocks[i]);
    CHECK(errno == MARK, "block %zu: errno is %d", i, errno);
  }
  hak_collect(1);
  CHECK(errno == MARK, "collect: errno is %d", errno);
}

static void aligned_frees_keep_errno(void **state) {
  (void)state;
  for (size_t alignment = 8; alignment <= 64 * MIB; alignment *= 2) {
    for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
      void *block = hak_aligned_alloc(alignment, tier_sizes[tier]);
      CHECK(block != NULL, "alignment %zu, tier %d", alignment, tier);
      errno = MARK;
      hak_free_aligned_sized(block, alignment, tier_sizes[tier]);
      CHECK(errno == MARK, "alignment %zu, tier %d: errno is %d", alignment, tier, errno);
    }
  }
}

static void questions_keep_errno(void **state) {
  (void)state;
  errno = MARK;
  int local;
  void *block = hak_malloc(100);
  errno = MARK;
  (void)hak_tier_of(block);
  (void)hak_tier_of(&local);
  (void)hak_usable_size(block);
  (void)hak_good_size(opaque_size(SIZE_MAX));
  CHECK(errno == MARK, "errno is %d", errno);
  hak_free(block);
}

static void failures_set_enomem(void **state) {
  (void)state;
  static const size_t sizes[] = {SIZE_MAX, (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX, PTRDIFF_MAX - 4096, (size_t)1 << 62};
  void *block = hak_malloc(100);
  CHECK(block != NULL, "100 bytes");
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    size_t size = opaque_size(sizes[i]);
    void *results[7];
    int numbers[7];
    errno = 0, results[0] = hak_malloc(size), numbers[0] = errno;
    errno = 0, results[1] = hak_alloc_at(size, NULL), numbers[1] = errno;
    errno = 0, results[2] = hak_calloc(size, 1), numbers[2] = errno;
    errno = 0, results[3] = hak_realloc(opaque_pointer(block), size), numbers[3] = errno;
    errno = 0, results[4] = hak_realloc_aligned_sized(block, 16, 100, size), numbers[4] = errno;
    errno = 0, results[5] = hak_aligned_alloc(64, size), numbers[5] = errno;
    errno = 0, results[6] = hak_aligned_zalloc(64, size), numbers[6] = errno;
    for (size_t k = 0; k < 7; k++) {
      CHECK(results[k] == NULL && numbers[k] == ENOMEM, "function %zu, %zu bytes: %p, errno %d", k, size, results[k],
            numbers[k]);
    }
  }
  hak_free(block);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(free_keeps_errno),        cmocka_unit_test(free_of_null_keeps_errno),
      cmocka_unit_test(remote_free_keeps_errno), cmocka_unit_test(aligned_frees_keep_errno),
      cmocka_unit_test(questions_keep_errno),    cmocka_unit_test(failures_set_enomem),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
