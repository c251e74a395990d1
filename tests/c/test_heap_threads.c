/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Threads that share heaps of a program's own and hand their blocks around, while others make and destroy heaps.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "test_heap.h"

enum { SHARED = 4 };

typedef struct shared {
  hak_heap_t *heap[SHARED];
  _Atomic(void *) mailbox[64];
} shared_t;

static void *share(void *argument) {
  shared_t *shared = argument;
  rng_t rng = {(uint64_t)(uintptr_t)&rng};
  void *mine[32] = {0};
  for (size_t i = 0; i < test_work(60000); i++) {
    hak_heap_t *heap = shared->heap[rng_below(&rng, SHARED)];
    size_t at = rng_below(&rng, 32);
    switch (rng_below(&rng, 8)) {
    case 0:
      hak_free(atomic_exchange(&shared->mailbox[rng_below(&rng, 64)], mine[at]));
      mine[at] = NULL;
      break;
    case 1:
      mine[at] = mine[at] == NULL ? hak_heap_zalloc(heap, random_size(&rng)) : hak_realloc(mine[at], random_size(&rng));
      break;
    case 2:
      if (mine[at] != NULL) {
        hak_heap_free(hak_heap_of(mine[at]), mine[at]);
      }
      mine[at] = NULL;
      break;
    case 3:
      if (i % 64 == 0) {
        hak_collect(0);
        (void)stats_of(heap);
        (void)stats_now();
      }
      break;
    default:
      hak_free(mine[at]);
      mine[at] = hak_heap_malloc(heap, rng_between(&rng, 1, 400));
      CHECK(mine[at] != NULL, "errno %d", errno);
      memset(mine[at], (int)i, 1);
      break;
    }
  }
  for (size_t i = 0; i < 32; i++) {
    hak_free(mine[i]);
  }
  return NULL;
}

static void *make_and_destroy(void *argument) {
  (void)argument;
  rng_t rng = {(uint64_t)(uintptr_t)&rng};
  for (size_t i = 0; i < test_work(3000); i++) {
    hak_heap_t *heap = heap_new();
    heap_fill(heap, &rng, rng_below(&rng, 20));
    if (i % 4 == 0) {
      hak_heap_reset(heap);
      heap_fill(heap, &rng, 5);
    }
    hak_heap_destroy(heap);
  }
  return NULL;
}

static void threads_share_heaps(void **state) {
  (void)state;
  static shared_t shared;
  pthread_t thread[6];
  for (size_t i = 0; i < SHARED; i++) {
    shared.heap[i] = heap_new();
  }
  for (size_t i = 0; i < 6; i++) {
    CHECK(pthread_create(&thread[i], NULL, i < 4 ? share : make_and_destroy, &shared) == 0, "thread %zu", i);
  }
  for (size_t i = 0; i < 6; i++) {
    pthread_join(thread[i], NULL);
  }
  for (size_t i = 0; i < 64; i++) {
    hak_free(atomic_exchange(&shared.mailbox[i], NULL));
  }
  for (size_t i = 0; i < SHARED; i++) {
    expect_live(shared.heap[i], 0, 0);
    hak_heap_destroy(shared.heap[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(threads_share_heaps),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
