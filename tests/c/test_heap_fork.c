/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * fork while threads are in heaps of the program's own: the child can use every one of them at once, and make and destroy
 * others. A child that hangs is ended by its alarm and fails the test.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "testing.h"

enum { HEAPS = 5, KEPT = 20 };

static hak_heap_t *heap[HEAPS];
static void *kept[HEAPS][KEPT];
static atomic_bool stop;

static void *churn(void *argument) {
  rng_t rng = {(uint64_t)(uintptr_t)argument};
  void *mine[32] = {0};
  for (size_t i = 0; !atomic_load(&stop); i++) {
    size_t at = rng_below(&rng, 32);
    if (i % 3 == 0) {
      mine[at] = hak_realloc(mine[at], random_size(&rng));
    } else {
      hak_free(mine[at]);
      mine[at] = hak_heap_malloc(heap[rng_below(&rng, HEAPS)], rng_between(&rng, 1, 3000));
    }
    CHECK(mine[at] != NULL, "errno %d", errno);
    if (i % 500 == 0) {
      hak_heap_t *own = hak_heap_new(NULL);
      CHECK(own != NULL && hak_heap_malloc(own, random_size(&rng)) != NULL, "errno %d", errno);
      hak_heap_destroy(own);
    }
  }
  for (size_t i = 0; i < 32; i++) {
    hak_free(mine[i]);
  }
  return NULL;
}

static void use(hak_heap_t *one) {
  for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
    for (size_t i = 0; i < 3; i++) {
      void *block = hak_heap_zalloc(one, tier_sizes[tier]);
      CHECK(block != NULL && hak_heap_of(block) == one, "tier %d", tier);
      CHECK(first_nonzero(block, tier_sizes[tier]) == tier_sizes[tier], "tier %d: not zero", tier);
      pattern_fill_ends(block, tier_sizes[tier], i);
      block = hak_heap_realloc(one, block, tier_sizes[tier] * 2);
      CHECK(block != NULL, "tier %d", tier);
      hak_free(block);
    }
  }
}

static void live_in_child(void) {
  alarm(30);
  for (size_t h = 0; h < HEAPS; h++) {
    use(heap[h]);
    for (size_t i = 0; i < KEPT; i++) {
      CHECK(hak_heap_of(kept[h][i]) == heap[h], "heap %zu, block %zu", h, i);
      CHECK(pattern_check_ends(kept[h][i], 100 * (i + 1), i), "heap %zu, block %zu", h, i);
      if (i % 2 == 0) {
        hak_free(kept[h][i]);
      }
    }
    use(heap[h]);
    hak_heap_reset(heap[h]);
    use(heap[h]);
    hak_heap_t *own = hak_heap_new(NULL);
    CHECK(own != NULL, "errno %d", errno);
    use(own);
    hak_heap_destroy(own);
    hak_heap_destroy(heap[h]);
  }
  hak_collect(1);
}

/* Handlers of the program run between those of the allocator, and may allocate from heaps, too. */
static void in_handler(void) {
  use(heap[0]);
  hak_heap_t *own = hak_heap_new(NULL);
  CHECK(own != NULL, "errno %d", errno);
  use(own);
  hak_heap_destroy(own);
}

static void fork_rounds(size_t rounds) {
  for (size_t round = 0; round < rounds; round++) {
    pid_t pid = fork();
    CHECK(pid >= 0, "fork: errno %d", errno);
    if (pid == 0) {
      live_in_child();
      _exit(0);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid, "waitpid: errno %d", errno);
    CHECK(!(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM), "round %zu: the child hangs", round);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "round %zu: the child's status is 0x%x", round, status);
    use(heap[round % HEAPS]);
  }
}

static void alone(void **state) {
  (void)state;
  fork_rounds(test_work(20));
}

static void while_threads_are_in_heaps(void **state) {
  (void)state;
  pthread_t thread[3];
  atomic_store(&stop, false);
  for (size_t i = 0; i < 3; i++) {
    CHECK(pthread_create(&thread[i], NULL, churn, (void *)(uintptr_t)(i + 1)) == 0, "thread %zu", i);
  }
  fork_rounds(test_work(60));
  atomic_store(&stop, true);
  for (size_t i = 0; i < 3; i++) {
    pthread_join(thread[i], NULL);
  }
}

/* Threads that are in the lock of one heap nearly all the time, so that most forks find it held. */
static void *hammer(void *argument) {
  (void)argument;
  while (!atomic_load(&stop)) {
    hak_heap_free(heap[1], hak_heap_malloc(heap[1], 100));
  }
  return NULL;
}

static void while_a_lock_is_held(void **state) {
  (void)state;
  pthread_t thread[3];
  atomic_store(&stop, false);
  for (size_t i = 0; i < 3; i++) {
    CHECK(pthread_create(&thread[i], NULL, hammer, NULL) == 0, "thread %zu", i);
  }
  for (size_t round = 0; round < test_work(100); round++) {
    pid_t pid = fork();
    CHECK(pid >= 0, "fork: errno %d", errno);
    if (pid == 0) {
      alarm(20);
      for (size_t h = 0; h < HEAPS; h++) {
        void *block = hak_heap_malloc(heap[h], 100);
        CHECK(block != NULL, "heap %zu", h);
        hak_free(block);
      }
      _exit(0);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid, "waitpid: errno %d", errno);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "round %zu: the child's status is 0x%x", round, status);
  }
  atomic_store(&stop, true);
  for (size_t i = 0; i < 3; i++) {
    pthread_join(thread[i], NULL);
  }
}

int main(void) {
  /* The last one to come is the first to prepare and the last to go on: these are around the allocator's, and within. */
  CHECK(pthread_atfork(in_handler, in_handler, in_handler) == 0, "errno %d", errno);
  for (size_t h = 0; h < HEAPS; h++) {
    heap[h] = hak_heap_new(NULL);
    for (size_t i = 0; i < KEPT; i++) {
      kept[h][i] = hak_heap_malloc(heap[h], 100 * (i + 1));
      pattern_fill_ends(kept[h][i], 100 * (i + 1), i);
    }
  }
  CHECK(pthread_atfork(in_handler, in_handler, in_handler) == 0, "errno %d", errno);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(alone),
      cmocka_unit_test(while_threads_are_in_heaps),
      cmocka_unit_test(while_a_lock_is_held),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
