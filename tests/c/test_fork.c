/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * fork while threads allocate: the child can allocate and free in every tier at once, its parent's blocks included, and
 * the parent goes on. A child that hangs is ended by its alarm and fails the test.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "testing.h"

static atomic_bool stop;

static void *churn_run(void *argument) {
  rng_t rng = {(uint64_t)(uintptr_t)argument};
  void *slot[64] = {0};
  size_t turns = 0;
  while (!atomic_load(&stop)) {
    size_t at = rng_below(&rng, 64);
    hak_free(slot[at]);
    slot[at] = hak_malloc(random_size(&rng));
    CHECK(slot[at] != NULL, "errno %d", errno);
    *(char *)slot[at] = 1;
    if (++turns % 1009 == 0) {
      hak_collect(1);
    }
  }
  for (size_t i = 0; i < 64; i++) {
    hak_free(slot[i]);
  }
  return NULL;
}

/* Blocks that the threads of the parent free for each other: rings and inboxes are in use at the moment of the fork. */
static _Atomic(void *) mailbox[256];

static void *exchange_run(void *argument) {
  rng_t rng = {(uint64_t)(uintptr_t)argument};
  while (!atomic_load(&stop)) {
    void *block = hak_malloc(rng_between(&rng, 16, 6000));
    CHECK(block != NULL, "errno %d", errno);
    hak_free(atomic_exchange(&mailbox[rng_below(&rng, 256)], block));
  }
  return NULL;
}

/* Threads that are in the locks of the mmap tier nearly all the time, so that most forks find one held. */
static void *map_run(void *argument) {
  rng_t rng = {(uint64_t)(uintptr_t)argument};
  void *slot[8] = {0};
  while (!atomic_load(&stop)) {
    size_t at = rng_below(&rng, 8);
    hak_free(slot[at]);
    slot[at] = hak_malloc(rng_between(&rng, ACE_LIMIT + 1, 3 * ACE_LIMIT));
    CHECK(slot[at] != NULL, "errno %d", errno);
  }
  for (size_t i = 0; i < 8; i++) {
    hak_free(slot[i]);
  }
  return NULL;
}

#define KEPT 40

typedef struct kept {
  void *block[HAK_TIER_COUNT][KEPT];
} kept_t;

static size_t kept_count(int tier) { return tier >= HAK_TIER_ACE ? 4 : KEPT; }

static void keep(kept_t *kept, uint64_t seed) {
  for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
    for (size_t i = 0; i < kept_count(tier); i++) {
      kept->block[tier][i] = hak_malloc(tier_sizes[tier]);
      CHECK(kept->block[tier][i] != NULL, "tier %d, block %zu", tier, i);
      pattern_fill_ends(kept->block[tier][i], tier_sizes[tier], seed + i);
    }
  }
}

static void check_and_free(kept_t *kept, uint64_t seed) {
  for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
    for (size_t i = 0; i < kept_count(tier); i++) {
      CHECK(pattern_check_ends(kept->block[tier][i], tier_sizes[tier], seed + i), "tier %d, block %zu", tier, i);
      hak_free(kept->block[tier][i]);
    }
  }
}

static void *thread_of_child(void *argument) {
  (void)argument;
  kept_t kept;
  keep(&kept, 77);
  check_and_free(&kept, 77);
  return NULL;
}

/* What every child does with the blocks it inherited, and with its own. */
static void live_in_child(kept_t *inherited, bool with_threads) {
  alarm(30);
  kept_t own;
  keep(&own, 5);
  check_and_free(inherited, 1);
  check_and_free(&own, 5);
  rng_t rng = {9};
  void *slot[64] = {0};
  for (size_t i = 0; i < 3000; i++) {
    size_t at = rng_below(&rng, 64);
    slot[at] = hak_realloc(slot[at], random_size(&rng));
    CHECK(slot[at] != NULL, "realloc in the child");
  }
  for (size_t i = 0; i < 64; i++) {
    hak_free(slot[i]);
  }
  for (size_t i = 0; i < 256; i++) {
    hak_free(atomic_exchange(&mailbox[i], NULL)); /* blocks of threads that do not exist here */
  }
  hak_collect(1);
  if (with_threads) {
    pthread_t thread[3];
    for (size_t i = 0; i < 3; i++) {
      CHECK(pthread_create(&thread[i], NULL, thread_of_child, NULL) == 0, "thread %zu of the child", i);
    }
    for (size_t i = 0; i < 3; i++) {
      pthread_join(thread[i], NULL);
    }
  }
  keep(&own, 6);
  check_and_free(&own, 6);
}

static void wait_for(pid_t pid, size_t round) {
  int status = 0;
  CHECK(waitpid(pid, &status, 0) == pid, "waitpid: errno %d", errno);
  CHECK(!(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM), "round %zu: the child hangs", round);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "round %zu: the child's status is 0x%x", round, status);
}

static void fork_and_check(size_t rounds, bool with_threads) {
  kept_t kept;
  for (size_t round = 0; round < rounds; round++) {
    keep(&kept, 1);
    pid_t pid = fork();
    CHECK(pid >= 0, "fork: errno %d", errno);
    if (pid == 0) {
      live_in_child(&kept, with_threads);
      _exit(0);
    }
    check_and_free(&kept, 1);
    wait_for(pid, round);
  }
}

static void with_no_threads(void **state) {
  (void)state;
  fork_and_check(test_work(30), !TEST_TSAN);
}

static void with_background(void *(*run)(void *), void (*then)(void)) {
  pthread_t thread[3];
  atomic_store(&stop, false);
  for (size_t i = 0; i < 3; i++) {
    CHECK(pthread_create(&thread[i], NULL, run, (void *)(uintptr_t)(i + 1)) == 0, "thread %zu", i);
  }
  then();
  atomic_store(&stop, true);
  for (size_t i = 0; i < 3; i++) {
    pthread_join(thread[i], NULL);
  }
  for (size_t i = 0; i < 256; i++) {
    hak_free(atomic_exchange(&mailbox[i], NULL));
  }
}

/* TSan does not follow a child of many threads that starts threads of its own. */
static void from_main(void) { fork_and_check(test_work(40), !TEST_TSAN); }

static void *fork_in_thread(void *argument) {
  (void)argument;
  fork_and_check(test_work(40), !TEST_TSAN);
  return NULL;
}

static void from_thread(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, fork_in_thread, NULL) == 0, "thread");
  pthread_join(thread, NULL);
}

static void while_threads_churn(void **state) {
  (void)state;
  with_background(churn_run, from_main);
}

/* Many children that do little: each is another chance to find a lock held. */
static void quickly_from_main(void) {
  for (size_t round = 0; round < test_work(500); round++) {
    pid_t pid = fork();
    CHECK(pid >= 0, "fork: errno %d", errno);
    if (pid == 0) {
      alarm(20);
      for (int tier = HAK_TIER_COUNT - 1; tier >= 0; tier--) {
        void *block = hak_malloc(tier_sizes[tier]);
        CHECK(block != NULL, "tier %d", tier);
        hak_free(block);
      }
      hak_collect(1);
      _exit(0);
    }
    wait_for(pid, round);
  }
}

static void while_threads_map(void **state) {
  (void)state;
  with_background(map_run, quickly_from_main);
}

static void while_threads_exchange_blocks(void **state) {
  (void)state;
  with_background(exchange_run, from_main);
}

static void from_another_thread_than_main(void **state) {
  (void)state;
  with_background(exchange_run, from_thread);
}

static void a_child_of_a_child(void **state) {
  (void)state;
  kept_t kept;
  keep(&kept, 1);
  pid_t pid = fork();
  CHECK(pid >= 0, "fork: errno %d", errno);
  if (pid == 0) {
    pid_t grandchild = fork();
    CHECK(grandchild >= 0, "fork: errno %d", errno);
    if (grandchild != 0) {
      wait_for(grandchild, 1);
    }
    live_in_child(&kept, !TEST_TSAN);
    _exit(0);
  }
  check_and_free(&kept, 1);
  wait_for(pid, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(with_no_threads),
      cmocka_unit_test(a_child_of_a_child),
      cmocka_unit_test(while_threads_churn),
      cmocka_unit_test(while_threads_map),
      cmocka_unit_test(while_threads_exchange_blocks),
      cmocka_unit_test(from_another_thread_than_main),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
