/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A million threads, each of which allocates in every tier and leaves two blocks behind, of 64 small sizes and some larger
 * ones, for a later thread to free. After the first ten thousand the process grows by 1 MiB at most, free memory within the
 * bound on it left aside: how much of that is dirty at a moment is chance.
 *
 * Two threads are there at the same time for certain, with a heap each. Would they only be so now and then, the blocks left
 * behind would now lie in one heap and now in two, which takes up to twice the slabs, however many threads there were.
 * runs: preload static */
#include <pthread.h>
#include <stdatomic.h>

#include "process.h"

enum { SURVIVORS = 4096, AT_ONCE = 2 };
static _Atomic(void *) survivors[SURVIVORS];
static pthread_barrier_t all_have_heaps;

/* The same place always has the same size, so that the live bytes stay what they are. */
static size_t size_at(size_t place) {
  return place % 256 == 0 ? 20 * KIB : place % 16 == 0 ? 4000 : 16 + place * 7 % 64 * 16;
}

static void *run(void *argument) {
  size_t number = (size_t)(uintptr_t)argument;
  free(malloc(1));
  pthread_barrier_wait(&all_have_heaps);
  void *block[3];
  for (int i = 0; i < 3; i++) fill_block(block[i] = malloc(tier_sizes[i]), tier_sizes[i]);
  if (number % 64 == 0) free(malloc(300 * KIB));
  for (size_t i = 0; i < 2; i++) {
    size_t place = (number * 2 + i) * 7919 % SURVIVORS;
    void *survivor = malloc(size_at(place));
    CHECK(survivor != NULL, "thread %zu", number);
    fill_block(survivor, size_at(place));
    void *older = atomic_exchange(&survivors[place], survivor);
    if (older != NULL) CHECK(check_block(older, size_at(place)), "thread %zu: a survivor changed", number);
    free(older);
  }
  for (int i = 0; i < 3; i++) {
    CHECK(check_block(block[i], tier_sizes[i]), "thread %zu", number);
    free(block[i]);
  }
  return NULL;
}

static void run_threads(size_t from, size_t to) {
  for (size_t n = from; n < to; n += AT_ONCE) {
    pthread_t thread[AT_ONCE];
    for (size_t i = 0; i < AT_ONCE; i++) {
      CHECK(pthread_create(&thread[i], NULL, run, (void *)(uintptr_t)(n + i)) == 0, "thread %zu", n + i);
    }
    for (size_t i = 0; i < AT_ONCE; i++) pthread_join(thread[i], NULL);
  }
}

int main(void) {
  check_allocator();
  pthread_barrier_init(&all_have_heaps, NULL, AT_ONCE);
  size_t total = work(runs_as("preload") ? 1000000 : 100000, 20000);
  run_threads(0, 10000);
  collect();
  size_t before = resident_bytes();
  run_threads(10000, total);
  collect();
  size_t after = resident_bytes();
  printf("resident after 10000 threads: %zu KiB, after %zu: %zu KiB\n", before / KIB, total, after / KIB);
  CHECK(after <= before + MIB, "resident after 10000 threads %zu KiB, after %zu %zu KiB", before / KIB, total,
        after / KIB);
  for (int i = 0; i < SURVIVORS; i++) free(survivors[i]);
  return 0;
}
