/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A thread frees a block of another one twice.
 * expect: hakmem: hak_free: double free: POINTER */
#include "support/crime.h"

static void *free_twice(void *block) {
  hak_free(block);
  hak_free(accuse(block));
  return NULL;
}

int main(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, free_twice, block_of(TINY_SIZE)) == 0) {
    pthread_join(thread, NULL);
  }
  unpunished();
}
