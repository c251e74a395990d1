/* SPDX-License-Identifier: MIT OR Apache-2.0
 * What valgrind's memcheck has to report, or not, of a program whose blocks are hakmem's: the mistake that is named on the
 * command line, in a block of each tier. With MEMCHECK_MALLOC the blocks come from malloc, else from hak_malloc. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef MEMCHECK_MALLOC
#define ALLOCATE malloc
#define ZEROED calloc
#define RESIZE realloc
#define RELEASE free
#else
#include "hakmem.h"
#define ALLOCATE hak_malloc
#define ZEROED hak_calloc
#define RESIZE hak_realloc
#define RELEASE hak_free
#endif

enum { TIERS = 5 };
static const size_t sizes[TIERS] = {40, 4001, 20001, 300001, 3000001};
static char *volatile kept[1000];

static void *use(void *argument) {
  for (int i = 0; i < 1000; i++) {
    size_t size = sizes[i % 50 == 0 ? i / 50 % TIERS : i % 2];
    RELEASE(kept[i]);
    kept[i] = i % 3 == 0 ? ZEROED(1, size) : ALLOCATE(size);
    if (i % 3 == 0 && (kept[i][0] != 0 || kept[i][size - 1] != 0)) exit(3);
    kept[i][size - 1] = kept[i][0] = 1;
    if (i % 7 == 0) kept[i] = RESIZE(kept[i], size + 3000);
    if (kept[i][0] != 1) exit(4);
  }
  return argument;
}

#ifndef MEMCHECK_MALLOC
/* The program's own heap: blocks go one by one, and with it. */
static void use_heap(void) {
  hak_heap_t *heap = hak_heap_new(NULL);
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < 100; i++) {
      size_t size = sizes[i % TIERS] + 16;
      char *block = i % 2 == 0 ? hak_heap_malloc(heap, size) : hak_heap_zalloc(heap, size);
      if (i % 2 != 0 && block[size - 1] != 0) exit(7);
      memset(block, 1, size);
      if (i % 3 == 0) block = hak_heap_realloc(heap, block, size + 1000);
      if (i % 5 == 0) block = hak_realloc(block, size + 2000);
      if (block[size - 1] != 1) exit(8);
      if (i % 4 == 0) hak_heap_free(heap, block);
      if (i % 4 == 1) hak_free(block);
    }
    hak_heap_reset(heap);
  }
  hak_heap_destroy(heap);
}
#endif

/* No mistake: of several threads, one of which frees what another one allocated, and of a child. */
static void live(void) {
  use(NULL);
  pthread_t thread;
  if (pthread_create(&thread, NULL, use, NULL) != 0) exit(5);
  pthread_join(thread, NULL);
  pid_t pid = fork();
  use(NULL);
  for (int i = 0; i < 1000; i++) RELEASE(kept[i]);
  memset((void *)kept, 0, sizeof(kept));
#ifndef MEMCHECK_MALLOC
  use_heap();
  hak_collect(1);
#endif
  if (pid == 0) _exit(0);
  int status;
  if (waitpid(pid, &status, 0) != pid || status != 0) exit(6);
}

__attribute__((noinline)) static void make(const char *mistake, size_t size) {
  char *volatile block = ALLOCATE(size);
  char *volatile next = ALLOCATE(size);
  memset(block, 1, size);
  if (strcmp(mistake, "leak") == 0) {
    block = next = NULL;
    return;
  }
  if (strcmp(mistake, "overflow") == 0) block[size] = 1;
  if (strcmp(mistake, "undefined") == 0 && next[7] == 1) puts("chance");
  RELEASE(block);
  if (strcmp(mistake, "use_after_free") == 0 && block[17] == 1) puts("still there");
  RELEASE(next);
}

int main(int count, char **arguments) {
  live();
  for (int i = 0; i < TIERS; i++) make(count > 1 ? arguments[1] : "none", sizes[i]);
  live(); /* over what registers and stack still know */
  return 0;
}
