/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A long run with blocks of all sizes, short and long lives, threads that free each other's blocks and that come and go: the
 * resident set after a quarter of the time is that of the end. HAK_SOAK_SECONDS says how long: 60, short: 10.
 * runs: preload background */
#include <pthread.h>
#include <stdatomic.h>

#include "process.h"

enum { THREADS = 4, SLOTS = 20000, KEPT = 200, THREAD_OPERATIONS = 300000 };

static _Atomic(void *) slots[SLOTS]; /* blocks in no one's hands, each beginning with its size */
static atomic_bool stop;

static uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint32_t draw(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(*state >> 33);
}

/* Small blocks mostly, each doubling of the size half as often as the one before, to 4 MiB. */
static size_t draw_size(uint64_t *state) {
  unsigned doubling = (unsigned)__builtin_ctz(draw(state) | 1u << 17);
  size_t size = (size_t)32 << doubling;
  return size / 2 + draw(state) % (size / 2);
}

static void *make(uint64_t *state) {
  size_t size = draw_size(state);
  char *block = malloc(size);
  CHECK(block != NULL, "%zu bytes", size);
  *(size_t *)(void *)block = size;
  block[size - 1] = (char)size;
  for (size_t at = 4096; at + 1 < size; at += 4096) block[at] = 1;
  return block;
}

static void release(char *block) {
  if (block == NULL) return;
  size_t size = *(size_t *)(void *)block;
  CHECK(block[size - 1] == (char)size, "a block of %zu bytes was overwritten", size);
  free(block);
}

static void *work_for_a_while(void *argument) {
  uint64_t state = (uint64_t)(uintptr_t)argument;
  static const unsigned lives[] = {1, 16, 256};
  void *mine[KEPT] = {0};
  for (unsigned i = 0; i < THREAD_OPERATIONS && !atomic_load(&stop); i++) {
    unsigned kind = draw(&state) % 4;
    if (kind == 3) { /* long lives, ended by any thread */
      release(atomic_exchange(&slots[draw(&state) % SLOTS], make(&state)));
    } else {
      unsigned at = draw(&state) % KEPT % lives[kind];
      release(mine[at]);
      mine[at] = make(&state);
    }
  }
  for (int i = 0; i < KEPT; i++) release(mine[i]);
  return NULL;
}

static void *keep_working(void *argument) {
  for (uintptr_t turn = 1; !atomic_load(&stop); turn++) {
    pthread_t thread;
    void *seed = (void *)((uintptr_t)argument + turn * 0x9e3779b9u);
    CHECK(pthread_create(&thread, NULL, work_for_a_while, seed) == 0, "thread");
    pthread_join(thread, NULL);
  }
  return NULL;
}

int main(void) {
  check_allocator();
  const char *text = getenv("HAK_SOAK_SECONDS");
  uint64_t length = (text != NULL && atoi(text) > 0 ? (uint64_t)atoi(text) : work(60, 10)) * 1000;
  pthread_t threads[THREADS];
  for (uintptr_t i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, keep_working, (void *)(i + 1));
  /* The largest of samples in a quarter of the time: single ones go up and down with what lives. */
  size_t most[4] = {0};
  uint64_t start = now_ms(), at;
  while ((at = now_ms() - start) < length) {
    size_t resident = resident_bytes(), *quarter = &most[at * 4 / length];
    if (resident > *quarter) *quarter = resident;
    struct timespec pause = {.tv_sec = 0, .tv_nsec = 20000000};
    nanosleep(&pause, NULL);
  }
  atomic_store(&stop, true);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  printf("most in each quarter of %lu s: %zu, %zu, %zu, %zu KiB\n", (unsigned long)(length / 1000), most[0] / KIB,
         most[1] / KIB, most[2] / KIB, most[3] / KIB);
  fflush(stdout);
  CHECK(most[3] <= most[1] + most[1] * 15 / 100 + 4 * MIB, "it grows");
  for (int i = 0; i < SLOTS; i++) release(slots[i]);
  collect();
  size_t left = resident_bytes();
  printf("%zu KiB after all is freed and collected\n", left / KIB);
  fflush(stdout);
  CHECK(left <= 12 * MIB, "%zu KiB", left / KIB);
  return 0;
}
