/* SPDX-License-Identifier: MIT OR Apache-2.0
 * fork while 8 threads allocate in every tier and free each other's blocks. Each child allocates and frees in every tier,
 * frees what its parent allocated, sometimes starts threads or execs; each has an alarm.
 * runs: preload static background */
#include <pthread.h>
#include <stdatomic.h>

#include "process.h"

enum { THREADS = 8, SLOTS = 128, KEPT = 4, CHILDREN = 8 };
static atomic_bool stop;
static _Atomic(void *) slots[SLOTS];

static void *churn(void *argument) {
  unsigned random = (unsigned)(uintptr_t)argument * 7919;
  while (!atomic_load(&stop)) {
    random = random * 1103515245 + 12345;
    unsigned dice = (random >> 20) % 100;
    size_t size = dice < 60   ? 16 + dice * 8
                  : dice < 80 ? dice * 100
                  : dice < 94 ? dice * 500
                  : dice < 98 ? 300 * KIB
                              : 3 * MIB;
    char *block = malloc(size);
    CHECK(block != NULL, "%zu bytes", size);
    block[0] = block[size - 1] = 1;
    free(atomic_exchange(&slots[(random >> 12) % SLOTS], block));
  }
  return argument;
}

static void *use_in_thread(void *argument) {
  use_every_tier();
  return argument;
}

static void live(void *(*kept)[TIERS], size_t round) {
  alarm(30);
  for (int k = 0; k < KEPT; k++) {
    for (int i = 0; i < TIERS; i++) {
      CHECK(check_block(kept[k][i], tier_sizes[i]), "round %zu: the parent's block of tier %d", round, i);
      free(kept[k][i]);
    }
    use_every_tier();
  }
  for (size_t i = round % SLOTS; i < SLOTS; i += 16)
    free(atomic_exchange(&slots[i], NULL)); /* of its threads' blocks */
  if (round % 16 == 0) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, use_in_thread, NULL) == 0, "thread");
    pthread_join(thread, NULL);
  }
  if (round % 32 == 1) {
    execl("/proc/self/exe", "fork_storm", "image", (char *)NULL);
    _exit(127);
  }
  _exit(0);
}

int main(int count, char **arguments) {
  (void)arguments;
  check_allocator();
  use_every_tier();
  if (count == 2) return 0;
  pthread_t thread[THREADS];
  for (uintptr_t i = 0; i < THREADS; i++)
    CHECK(pthread_create(&thread[i], NULL, churn, (void *)(i + 1)) == 0, "thread");
  pid_t children[CHILDREN]; /* that run at the same time */
  for (size_t round = 0; round < work(runs_as("preload") ? 10000 : 1000, 300); round++) {
    void *kept[KEPT][TIERS];
    for (int k = 0; k < KEPT; k++) {
      for (int i = 0; i < TIERS; i++) fill_block(kept[k][i] = malloc(tier_sizes[i]), tier_sizes[i]);
    }
    pid_t pid = fork();
    if (pid == 0) live(kept, round);
    CHECK(pid > 0, "fork: errno %d", errno);
    if (round >= CHILDREN) wait_for(children[round % CHILDREN], round - CHILDREN);
    children[round % CHILDREN] = pid;
    for (int k = 0; k < KEPT; k++) {
      for (int i = 0; i < TIERS; i++) {
        CHECK(check_block(kept[k][i], tier_sizes[i]), "round %zu: the child wrote to its parent's block", round);
        free(kept[k][i]);
      }
    }
  }
  for (size_t i = 0; i < CHILDREN; i++) wait_for(children[i], i);
  atomic_store(&stop, true);
  for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
  return 0;
}
