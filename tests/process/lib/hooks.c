/* SPDX-License-Identifier: MIT OR Apache-2.0
 * For before_main.c: a library that puts itself in front of functions that an allocator might call while it starts, looks up
 * the real ones at their first call, and allocates on the way, as dlsym itself did up to glibc 2.33. */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>

int hook_calls[4];
static int hook_depth;

static void *real(const char *name, int hook) {
  /* An allocator that calls a hook from inside of calloc comes here again, and again. */
  if (++hook_depth > 8) abort();
  void *block = calloc(1, 32);
  void *missing = dlsym(RTLD_NEXT, "a name that does not exist"); /* its message is allocated */
  void *function = dlsym(RTLD_NEXT, name);
  if (block == NULL || missing != NULL || function == NULL) abort();
  free(block);
  hook_depth--;
  hook_calls[hook]++;
  return function;
}

void *mmap(void *address, size_t bytes, int access, int flags, int fd, off_t offset) {
  void *(*next)(void *, size_t, int, int, int, off_t) = real("mmap", 0);
  return next(address, bytes, access, flags, fd, offset);
}

int munmap(void *address, size_t bytes) {
  int (*next)(void *, size_t) = real("munmap", 1);
  return next(address, bytes);
}

char *getenv(const char *name) {
  char *(*next)(const char *) = real("getenv", 2);
  return next(name);
}

int open(const char *path, int flags, ...) {
  int (*next)(const char *, int, ...) = real("open", 3);
  va_list arguments;
  va_start(arguments, flags);
  int mode = va_arg(arguments, int);
  va_end(arguments);
  return next(path, flags, mode);
}

__attribute__((constructor(101))) static void hook_constructor(void) { free(strdup("before all others")); }
__attribute__((destructor(101))) static void hook_destructor(void) { free(strdup("after all others")); }
