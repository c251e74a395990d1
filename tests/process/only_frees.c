/* SPDX-License-Identifier: MIT OR Apache-2.0
 * One thread only allocates, another one only frees, for as long as it takes to see whether what is freed comes back: the
 * resident set stays below 1.25 times what is live, for blocks of each kind and for a mix.
 * runs: preload */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

#include "process.h"

enum { SLOTS = 1 << 22 };
static void *queue[SLOTS];
static atomic_size_t head, tail; /* blocks allocated, blocks freed */
static atomic_size_t live_bytes, rest;
static size_t live_goal;

static void *free_only(void *argument) {
  size_t at = atomic_load(&tail);
  for (;;) {
    while (atomic_load(&head) == at || (atomic_load(&live_bytes) <= live_goal && !atomic_load(&rest))) {
      if (atomic_load(&head) == at && atomic_load(&rest)) return argument;
    }
    void *block = queue[at % SLOTS];
    atomic_fetch_sub(&live_bytes, malloc_usable_size(block));
    free(block);
    atomic_store(&tail, ++at);
  }
}

static void produce(size_t low, size_t high, size_t total) {
  unsigned random = 42;
  size_t at = atomic_load(&head);
  for (size_t bytes = 0; bytes < total;) {
    while (at - atomic_load(&tail) >= SLOTS || atomic_load(&live_bytes) > live_goal + MIB) {
    }
    random = random * 1103515245 + 12345;
    size_t size = low + (random >> 8) % (high - low + 1);
    void *block = malloc(size);
    CHECK(block != NULL, "%zu bytes", size);
    memset(block, 1, size);
    bytes += size;
    atomic_fetch_add(&live_bytes, malloc_usable_size(block));
    queue[at % SLOTS] = block;
    atomic_store(&head, ++at);
  }
}

/* In a process of its own: nothing of the last run is in the way. */
static int run(size_t low, size_t high) {
  live_goal = 256 * MIB;
  memset(queue, 1, sizeof queue); /* resident from the start */
  use_every_tier();
  size_t start = resident_bytes();
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, free_only, NULL) == 0, "thread");
  size_t most = 0;
  for (size_t i = 0; i < work(10, 3); i++) {
    produce(low, high, live_goal);
    size_t resident = resident_bytes() - start;
    if (i > 0 && resident > most) most = resident;
  }
  atomic_store(&rest, 1);
  pthread_join(thread, NULL);
  printf("blocks of %zu to %zu bytes: resident at most %.3f of what is live\n", low, high,
         (double)most / (double)live_goal);
  fflush(stdout);
  CHECK((double)most <= 1.25 * (double)live_goal, "blocks of %zu to %zu bytes", low, high);
  return 0;
}

int main(void) {
  check_allocator();
  static const struct {
    size_t low, high;
  } ranges[] = {{16, 1000}, {128, 128}, {1025, 8000}, {9000, 52000}, {60000, 900000}, {16, 52000}};
  for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      alarm(200);
      _exit(run(ranges[i].low, ranges[i].high));
    }
    wait_for(pid, i);
  }
  return 0;
}
