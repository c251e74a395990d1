/* SPDX-License-Identifier: MIT OR Apache-2.0
 * The end of a thread: destructors of pthread keys, in all four rounds, and those of C++'s thread_local objects allocate
 * and free after the allocator has taken leave of the thread. Nothing of it may be lost: thousands of such threads do not
 * make the process grow.
 * runs: system preload static background */
#include <pthread.h>

#include "process.h"

enum { KEYS = 8, ROUNDS = PTHREAD_DESTRUCTOR_ITERATIONS };

static pthread_key_t key[KEYS];
static int rounds_run[KEYS];

typedef struct value {
  int key, round;
  void *block[TIERS];
} value_t;

static value_t *new_value(int number, int round) {
  value_t *value = malloc(sizeof *value);
  CHECK(value != NULL, "a value");
  *value = (value_t){.key = number, .round = round};
  for (int i = 0; i < TIERS; i++) {
    value->block[i] = malloc(tier_sizes[i]);
    CHECK(value->block[i] != NULL, "key %d, round %d", number, round);
    fill_block(value->block[i], tier_sizes[i]);
  }
  return value;
}

static void on_end(void *argument) {
  value_t *value = argument;
  for (int i = 0; i < TIERS; i++) {
    CHECK(check_block(value->block[i], tier_sizes[i]), "key %d, round %d: a block changed", value->key, value->round);
    free(value->block[i]);
  }
  __atomic_fetch_add(&rounds_run[value->key], 1, __ATOMIC_RELAXED);
  if (value->round + 1 < ROUNDS) pthread_setspecific(key[value->key], new_value(value->key, value->round + 1));
  free(value);
}

/* glibc's registration of a thread_local object's destructor; musl has none. */
extern int __cxa_thread_atexit_impl(void (*destroy)(void *), void *object, void *library) __attribute__((weak));
extern void *__dso_handle;

static void on_object_end(void *argument) {
  use_every_tier();
  free(argument);
}

static void *run(void *argument) {
  bool before = argument != NULL; /* whether the keys get their values before the thread allocates by itself */
  if (!before) use_every_tier();
  for (int i = 0; i < KEYS; i++) pthread_setspecific(key[i], new_value(i, 0));
  if (__cxa_thread_atexit_impl != NULL) {
    CHECK(__cxa_thread_atexit_impl(on_object_end, malloc(5000), &__dso_handle) == 0, "thread_atexit");
  }
  return NULL;
}

static void run_threads(size_t count) {
  for (size_t n = 0; n < count; n += 2) {
    pthread_t thread[2];
    for (size_t i = 0; i < 2; i++) {
      CHECK(pthread_create(&thread[i], NULL, run, i == 0 ? NULL : key) == 0, "thread %zu", n + i);
    }
    for (size_t i = 0; i < 2; i++) pthread_join(thread[i], NULL);
  }
}

int main(void) {
  check_allocator();
  for (int i = 0; i < KEYS; i++) CHECK(pthread_key_create(&key[i], on_end) == 0, "key %d", i);
  size_t first = work(1000, 200), more = work(4000, 600);
  run_threads(first);
  size_t before = resident_bytes();
  run_threads(more);
  size_t after = resident_bytes();
  for (int i = 0; i < KEYS; i++) {
    CHECK(rounds_run[i] == (int)(first + more) * ROUNDS, "key %d: %d rounds", i, rounds_run[i]);
  }
  CHECK(after < before + 4 * MIB, "resident after %zu threads %zu KiB, after %zu %zu KiB", first, before / KIB,
        first + more, after / KIB);
  return 0;
}
