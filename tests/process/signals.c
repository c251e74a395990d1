/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Signal handlers interrupt the allocator wherever it is, thousands of times a second. They do not allocate, but write to
 * blocks, and change errno behind the back of system calls that they cut short.
 * runs: system preload static background */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "process.h"

enum { THREADS = 3, SLOTS = 200 };
static char *shared;
static atomic_size_t interrupted;
static atomic_bool stop;

static void handle(int signal) {
  (void)signal;
  int saved = errno;
  shared[atomic_fetch_add(&interrupted, 1) % 5000]++;
  errno = saved;
}

static void *churn(void *argument) {
  unsigned random = (unsigned)(uintptr_t)argument;
  void *block[SLOTS] = {0};
  size_t size[SLOTS];
  while (!atomic_load(&stop)) {
    random = random * 1103515245 + 12345;
    unsigned i = (random >> 16) % SLOTS, dice = (random >> 8) % 100;
    if (block[i] != NULL) CHECK(check_block(block[i], size[i]), "%zu bytes changed", size[i]);
    errno = 77;
    free(block[i]);
    CHECK(errno == 77, "free changed errno to %d", errno);
    size[i] = dice < 60 ? 16 + dice * 8 : dice < 90 ? dice * 400 : dice < 98 ? 300 * KIB : 3 * MIB;
    block[i] = malloc(size[i]);
    CHECK(block[i] != NULL, "%zu bytes: errno %d", size[i], errno);
    fill_block(block[i], size[i]);
  }
  for (int i = 0; i < SLOTS; i++) free(block[i]);
  return NULL;
}

int main(void) {
  check_allocator();
  shared = calloc(1, 5000);
  struct sigaction action = {.sa_handler = handle}; /* without SA_RESTART */
  sigaction(SIGUSR1, &action, NULL);
  pthread_t thread[THREADS];
  for (uintptr_t i = 0; i < THREADS; i++)
    CHECK(pthread_create(&thread[i], NULL, churn, (void *)(i + 1)) == 0, "thread");
  for (size_t i = 0; i < work(30000, 5000); i++) {
    pthread_kill(thread[i % THREADS], SIGUSR1);
    usleep(50);
  }
  atomic_store(&stop, true);
  for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
  CHECK(atomic_load(&interrupted) > work(3000, 500), "only %zu signals arrived", atomic_load(&interrupted));
  free(shared);
  return 0;
}
