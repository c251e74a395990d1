/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A block is written to after another thread, which then ended, was made free it.
 * expect: hakmem: hak_free: a free block was written to: POINTER */
#include "support/crime.h"

static void *free_and_write(void *block) {
  hak_free(block);
  *(char *)block = 1;
  return NULL;
}

int main(void) {
  char *block = accuse(block_of(TINY_SIZE));
  pthread_t thread;
  if (pthread_create(&thread, NULL, free_and_write, block) != 0) _exit(3);
  pthread_join(thread, NULL);
  unpunished();
}
