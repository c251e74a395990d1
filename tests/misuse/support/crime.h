/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What the misuse programs share. Each program commits one crime and must end with SIGABRT and one line on standard
 * error; its first comment says which, with POINTER for the pointer handed to accuse():
 *
 *   expect: hakmem: hak_free: double free: POINTER
 */
#ifndef HAK_TESTS_CRIME_H
#define HAK_TESTS_CRIME_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hakmem.h"

/* One size in each tier. */
#define TINY_SIZE 100
#define MID_SIZE 4000
#define POOL_SIZE 20000
#define ACE_SIZE 300000
#define MMAP_SIZE 3000000

/* Tells the checker which pointer the message must name, and hides it from the compiler, which would warn. */
__attribute__((unused, noinline)) static void *accuse(void *pointer) {
  char text[32];
  int length = snprintf(text, sizeof text, "0x%lx\n", (unsigned long)(uintptr_t)pointer);
  if (length < 0 || write(STDOUT_FILENO, text, (size_t)length) != length) {
    _exit(3);
  }
  uintptr_t hidden = (uintptr_t)pointer;
  __asm__ volatile("" : "+r"(hidden));
  return (void *)hidden;
}

/* A block with content, so that the program is like one that used it. */
__attribute__((unused)) static char *block_of(size_t size) {
  char *block = hak_malloc(size);
  if (block == NULL) {
    _exit(3);
  }
  memset(block, 0x2a, size);
  return block;
}

__attribute__((unused)) static void *free_thread(void *block) {
  hak_free(block);
  return NULL;
}

/* Frees `block` in another thread, which then ends. */
__attribute__((unused)) static void free_elsewhere(void *block) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, free_thread, block) != 0) {
    _exit(3);
  }
  pthread_join(thread, NULL);
}

/* The program is over and nobody noticed. */
__attribute__((unused, noreturn)) static void unpunished(void) {
  static const char text[] = "the crime went unnoticed\n";
  ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
  (void)written;
  _exit(2);
}

#endif
