/* SPDX-License-Identifier: MIT OR Apache-2.0
 * For linked.c: a library that is linked with libhakmem.so, and calls it by both names.
 * links: libhakmem.so */
#include <hakmem.h>
#include <stdlib.h>
#include <string.h>

void *linked_allocate(size_t size) {
  void *block = hak_malloc(size);
  return block == NULL ? NULL : memset(block, 0x11, size);
}

void linked_free(void *block) { hak_free(block); }

/* Whose malloc this is depends on who came first. */
void *linked_malloc(size_t size) { return malloc(size); }
