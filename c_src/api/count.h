/* Every block that goes to the program and comes back, counted by tier: only in a build with HAK_STATS, else nothing of this
 * is there. Blocks of heaps of a program's own are not counted here, nor is the mmap tier, which counts always. */
#ifndef HAK_API_COUNT_H
#define HAK_API_COUNT_H

#include "core/stats.h"

/* Out of line: they and the hits find the thread's part in different ways (heap/theap.h). Keep errno. _mt */
HAK_HIDDEN __attribute__((noinline)) void hak_count_allocated_mt(const void *p);
HAK_HIDDEN __attribute__((noinline)) void hak_count_freed_mt(const void *p);

/* The block or NULL that is about to be handed out; passes it on. */
HAK_FAST void *hak_counted(void *p) {
  if (HAK_COUNTS_HITS && p != NULL) hak_count_allocated_mt(p);
  return p;
}

/* What the program gave back, be it a block or not. */
HAK_FAST void hak_count_free(const void *p) {
  if (HAK_COUNTS_HITS) hak_count_freed_mt(p);
}

#endif
