/* SPDX-License-Identifier: MIT OR Apache-2.0
 * The end of a process while its threads go on allocating: exit from the main thread and from another one, return from main,
 * and a main thread that ends before the others. Each many times, in children.
 * runs: system preload static background */
#include <pthread.h>
#include <stdatomic.h>

#include "process.h"

enum { THREADS = 4, SLOTS = 256 };
static _Atomic(void *) slots[SLOTS];
static atomic_size_t turns;

/* Blocks pass from thread to thread, to the end. */
static void *churn(void *argument) {
  unsigned random = (unsigned)(uintptr_t)argument;
  for (;;) {
    random = random * 1103515245 + 12345;
    size_t size = tier_sizes[(random >> 24) % 64 < 2 ? 3 : (random >> 24) % 3];
    char *block = malloc(size);
    CHECK(block != NULL, "%zu bytes", size);
    block[0] = block[size - 1] = 1;
    free(atomic_exchange(&slots[(random >> 16) % SLOTS], block));
    atomic_fetch_add(&turns, 1);
  }
  return NULL;
}

static void free_slots(void) {
  for (int i = 0; i < SLOTS; i++) free(atomic_exchange(&slots[i], NULL));
  use_every_tier();
}

static void *exit_here(void *argument) {
  use_every_tier();
  exit((int)(uintptr_t)argument);
}

static void *exit_after_main(void *argument) {
  (void)argument;
  usleep(5000); /* musl's main thread cannot be joined */
  use_every_tier();
  exit(0);
}

static void live_and_end(size_t round) {
  alarm(20);
  atexit(free_slots);
  pthread_t thread;
  for (uintptr_t i = 0; i < THREADS; i++)
    CHECK(pthread_create(&thread, NULL, churn, (void *)(i + round)) == 0, "thread");
  while (atomic_load(&turns) < 1000) usleep(100);
  if (round % 3 == 0) exit(0);
  if (round % 3 == 1) {
    CHECK(pthread_create(&thread, NULL, exit_here, NULL) == 0, "thread");
    for (;;) pause();
  }
  CHECK(pthread_create(&thread, NULL, exit_after_main, NULL) == 0, "thread");
  pthread_exit(NULL);
}

int main(void) {
  check_allocator();
  for (size_t round = 0; round < work(300, 60); round++) {
    pid_t pid = fork();
    if (pid == 0) live_and_end(round);
    wait_for(pid, round);
  }
  return 0;
}
