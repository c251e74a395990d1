/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Loops of hits, one path of the allocator each, for tests/instructions/run.py to count under callgrind.
 *   paths NAME        runs one path; the function counted is the one that run.py names for it
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hakmem.h"

#define CALLS 32000
#define BATCH 4 /* blocks alive at once in a loop: no bin or magazine runs dry or over */

static void pairs(size_t size, void (*release)(void *, size_t)) {
  void *blocks[BATCH];
  for (size_t round = 0; round < 3; round++) { /* the first pass fills the caches; run.py counts what follows `begin` */
    for (size_t i = 0; i < CALLS; i += BATCH) {
      for (size_t k = 0; k < BATCH; k++) blocks[k] = hak_malloc(size);
      for (size_t k = 0; k < BATCH; k++) release(blocks[k], size);
    }
  }
}

/* The same in a heap of the program's own; by name of the heap or not. */
static void heap_pairs(size_t size, bool by_name) {
  void *blocks[BATCH];
  hak_heap_t *heap = hak_heap_new(NULL);
  for (size_t round = 0; round < 3; round++) {
    for (size_t i = 0; i < CALLS; i += BATCH) {
      for (size_t k = 0; k < BATCH; k++) blocks[k] = hak_heap_malloc(heap, size);
      for (size_t k = 0; k < BATCH; k++) {
        if (by_name) {
          hak_heap_free(heap, blocks[k]);
        } else {
          hak_free(blocks[k]);
        }
      }
    }
  }
}

static void release_plain(void *p, size_t size) {
  (void)size;
  hak_free(p);
}

static void release_sized(void *p, size_t size) { hak_free_sized(p, size); }

/* Many blocks, far more than bins hold, freed in an order that has nothing to do with their addresses. */
static void many(size_t size) {
  static void *blocks[CALLS];
  for (size_t i = 0; i < CALLS; i++) blocks[i] = hak_malloc(size);
  for (size_t i = 0, k = 0; i < CALLS; i++, k = (k + 7919) % CALLS) hak_free(blocks[k]); /* a prime: each once */
}

/* Blocks of this thread freed by another one, in turns, so that this one takes them back as it allocates. */
#define TURN 256
static void *remote_blocks[TURN];
static pthread_barrier_t remote_barrier;

static void *remote_free(void *unused) {
  (void)unused;
  for (size_t turn = 0; turn < CALLS / TURN; turn++) {
    pthread_barrier_wait(&remote_barrier);
    for (size_t i = 0; i < TURN; i++) hak_free(remote_blocks[i]);
    pthread_barrier_wait(&remote_barrier);
  }
  return NULL;
}

static void remote(size_t size) {
  pthread_t thread;
  pthread_barrier_init(&remote_barrier, NULL, 2);
  if (pthread_create(&thread, NULL, remote_free, NULL) != 0) abort();
  for (size_t turn = 0; turn < CALLS / TURN; turn++) {
    for (size_t i = 0; i < TURN; i++) remote_blocks[i] = hak_malloc(size);
    pthread_barrier_wait(&remote_barrier);
    pthread_barrier_wait(&remote_barrier);
  }
  pthread_join(thread, NULL);
}

int main(int argc, char **argv) {
  const char *path = argc > 1 ? argv[1] : "";
  if (strcmp(path, "malloc-tiny") == 0 || strcmp(path, "free-tiny") == 0) {
    pairs(64, release_plain);
  } else if (strcmp(path, "malloc-mid") == 0 || strcmp(path, "free-mid") == 0) {
    pairs(4000, release_plain);
  } else if (strcmp(path, "malloc-pool") == 0 || strcmp(path, "free-pool") == 0) {
    pairs(20000, release_plain);
  } else if (strcmp(path, "free-sized-tiny") == 0) {
    pairs(64, release_sized);
  } else if (strcmp(path, "free-sized-pool") == 0) {
    pairs(20000, release_sized);
  } else if (strcmp(path, "malloc-ace") == 0 || strcmp(path, "free-ace") == 0) {
    pairs(100000, release_plain);
  } else if (strcmp(path, "heap-malloc-tiny") == 0 || strcmp(path, "heap-free-tiny") == 0) {
    heap_pairs(64, true);
  } else if (strcmp(path, "heap-malloc-pool") == 0 || strcmp(path, "heap-free-pool") == 0) {
    heap_pairs(20000, true);
  } else if (strcmp(path, "free-of-heap-tiny") == 0) {
    heap_pairs(64, false);
  } else if (strcmp(path, "malloc-many") == 0 || strcmp(path, "free-many") == 0) {
    many(64);
  } else if (strcmp(path, "free-remote") == 0) {
    remote(48);
  } else {
    fprintf(stderr, "paths: unknown path \"%s\"\n", path);
    return 2;
  }
  return 0;
}
