/* SPDX-License-Identifier: MIT OR Apache-2.0
 * 1024 threads at once: each allocates in every tier, its neighbour frees. When they have ended, their memory is there for
 * others and goes back to the system.
 * runs: preload static background */
#include <pthread.h>

#include "process.h"

enum { THREADS = 1024 };
static void *blocks[THREADS][TIERS];
static pthread_barrier_t barrier;

static void *run(void *argument) {
  size_t number = (size_t)(uintptr_t)argument;
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < TIERS; i++) {
    void *block = malloc(tier_sizes[i]);
    CHECK(block != NULL, "thread %zu, %zu bytes", number, tier_sizes[i]);
    fill_block(block, tier_sizes[i]);
    blocks[number][i] = block;
  }
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < TIERS; i++) {
    void *block = blocks[(number + 1) % THREADS][i];
    CHECK(check_block(block, tier_sizes[i]), "thread %zu, %zu bytes", number, tier_sizes[i]);
    free(block);
  }
  pthread_barrier_wait(&barrier);
  use_every_tier();
  return NULL;
}

int main(void) {
  check_allocator();
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 128 * KIB);
  pthread_barrier_init(&barrier, NULL, THREADS);
  size_t start = resident_bytes(), after[3];
  for (int round = 0; round < 3; round++) {
    static pthread_t thread[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
      CHECK(pthread_create(&thread[i], &attributes, run, (void *)(uintptr_t)i) == 0, "thread %zu: errno %d", i, errno);
    }
    for (size_t i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    collect();
    after[round] = resident_bytes();
    printf("resident after round %d: %zu KiB more than at the start\n", round, (after[round] - start) / KIB);
  }
  CHECK(after[2] <= after[0] + 8 * MIB, "each round of threads makes the process larger");
  CHECK(after[2] <= start + 64 * MIB, "%zu KiB are not given back", (after[2] - start) / KIB);
  return 0;
}
