/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What the programs in this folder share. Each calls malloc and its family by the C library's names and ends with status 0
 * when all is well. The line "runs: ..." at its head says how it is run:
 *
 *   system    as it is: what the test believes to be defined is so
 *   preload   with libhakmem.so preloaded
 *   static    linked with a libhakmem.a that has malloc (HAK_OVERRIDE)
 *   background  as preload, with the background thread (HAKMEM_BACKGROUND)
 *
 * HAK_TEST_ALLOCATOR in the environment says which, and check_allocator that it is so. HAK_TEST_SHORT=1 does less work.
 * The sources in lib/ are shared libraries, in the program's own folder, that programs load.
 */
#ifndef HAK_TESTS_PROCESS_H
#define HAK_TESTS_PROCESS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))
#define KIB ((size_t)1024)
#define MIB (KIB * 1024)

/* A size of each tier. */
#define TIERS 5
UNUSED static const size_t tier_sizes[TIERS] = {100, 4000, 20 * KIB, 300 * KIB, 3 * MIB};

/* Reports and ends the process, without a call of malloc in between: it may be what does not work. */
UNUSED __attribute__((noreturn, format(printf, 4, 5))) static void
check_failed(const char *file, int line, const char *condition, const char *format, ...) {
  char text[512];
  int length = snprintf(text, sizeof text, "%s:%d: check failed: %s: ", file, line, condition);
  va_list arguments;
  va_start(arguments, format);
  length += vsnprintf(text + length, sizeof text - (size_t)length - 1, format, arguments);
  va_end(arguments);
  length = length < (int)sizeof text - 1 ? length : (int)sizeof text - 2;
  text[length] = '\n';
  if (write(STDERR_FILENO, text, (size_t)length + 1) < 0) _exit(2);
  _exit(1);
}

#define CHECK(condition, ...)                                                                         \
  do {                                                                                                \
    if (__builtin_expect(!(condition), 0)) check_failed(__FILE__, __LINE__, #condition, __VA_ARGS__); \
  } while (0)

/* `full`, or `less` in a short run. */
UNUSED static size_t work(size_t full, size_t less) {
  const char *value = getenv("HAK_TEST_SHORT");
  return value != NULL && value[0] != '\0' && value[0] != '0' ? less : full;
}

UNUSED static bool runs_as(const char *allocator) {
  const char *value = getenv("HAK_TEST_ALLOCATOR");
  return value != NULL && strcmp(value, allocator) == 0;
}

/* ---- Which allocator this is ---- */

#ifdef __cplusplus
extern "C" {
#endif
extern __attribute__((weak)) int hak_tier_of(const void *block);
extern __attribute__((weak)) void hak_collect(int force);
#ifdef __cplusplus
}
#endif

typedef int (*tier_of_t)(const void *);

/* hak_tier_of, or NULL when the process has no hakmem. */
UNUSED static tier_of_t find_tier_of(void) {
  if (hak_tier_of != NULL) return hak_tier_of;
  return (tier_of_t)(uintptr_t)dlsym(RTLD_DEFAULT, "hak_tier_of");
}

/* Has hakmem return what it can to the system: malloc_trim, which musl has not. */
UNUSED static void collect(void) {
  void (*function)(int) = hak_collect;
  if (function == NULL) function = (void (*)(int))(uintptr_t)dlsym(RTLD_DEFAULT, "hak_collect");
  CHECK(function != NULL, "there is no hakmem in this process");
  function(1);
}

/* Whether the block is one of the allocator that this run is about. */
UNUSED static bool is_expected(const void *block) {
  tier_of_t tier_of = find_tier_of();
  return runs_as("system") ? tier_of == NULL : tier_of != NULL && tier_of(block) >= 0;
}

/* The first thing that main does. */
UNUSED static void check_allocator(void) {
  CHECK(getenv("HAK_TEST_ALLOCATOR") != NULL, "HAK_TEST_ALLOCATOR is system, preload or static");
  void *block = malloc(100);
  CHECK(is_expected(block), "%p is no block of the allocator that is meant", block);
  free(block);
}

/* ---- Hiding things from the compiler, which knows malloc too well ---- */

UNUSED static inline size_t opaque_size(size_t value) {
  __asm__ volatile("" : "+r"(value));
  return value;
}

UNUSED static inline void *opaque(void *value) {
  __asm__ volatile("" : "+r"(value));
  return value;
}

/* ---- The process ---- */

UNUSED static size_t status_bytes(const char *key) {
  char text[4096];
  int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  CHECK(length > 0, "/proc/self/status: errno %d", errno);
  close(fd);
  text[length] = '\0';
  const char *found = strstr(text, key);
  CHECK(found != NULL, "no %s", key);
  return strtoul(found + strlen(key), NULL, 10) * KIB;
}

UNUSED static size_t resident_bytes(void) { return status_bytes("VmRSS:"); }

/* Fills a block, so that check_block notices when anybody else writes to it. */
UNUSED static void fill_block(void *block, size_t bytes) {
  memset(block, (int)(((uintptr_t)block >> 4) & 0xff), bytes < 256 ? bytes : 256);
  ((char *)block)[bytes - 1] = (char)bytes;
}

UNUSED static bool check_block(const void *block, size_t bytes) {
  const unsigned char *at = (const unsigned char *)block;
  for (size_t i = 0; i < bytes && i < 256; i++) {
    if (i != bytes - 1 && at[i] != (((uintptr_t)block >> 4) & 0xff)) return false;
  }
  return at[bytes - 1] == (unsigned char)bytes;
}

/* Allocates, writes and frees in every tier. */
UNUSED static void use_every_tier(void) {
  void *block[TIERS];
  for (int i = 0; i < TIERS; i++) {
    block[i] = malloc(tier_sizes[i]);
    CHECK(block[i] != NULL, "%zu bytes: errno %d", tier_sizes[i], errno);
    fill_block(block[i], tier_sizes[i]);
  }
  for (int i = 0; i < TIERS; i++) {
    CHECK(check_block(block[i], tier_sizes[i]), "%zu bytes were overwritten", tier_sizes[i]);
    free(block[i]);
  }
}

/* Waits for a child that must end with status 0; it has an alarm of its own. */
UNUSED static void wait_for(pid_t pid, size_t round) {
  int status = 0;
  CHECK(pid > 0, "round %zu: no child: errno %d", round, errno);
  while (waitpid(pid, &status, 0) != pid) CHECK(errno == EINTR, "waitpid: errno %d", errno);
  CHECK(!(WIFSIGNALED(status) && WTERMSIG(status) == 14 /* SIGALRM */), "round %zu: the child hangs", round);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "round %zu: the child's status is 0x%x", round,
        (unsigned)status);
}

/* The path of a file in the program's folder. */
UNUSED static const char *beside_program(const char *name) {
  static char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  CHECK(length > 0, "/proc/self/exe: errno %d", errno);
  path[length] = '\0';
  char *slash = strrchr(path, '/');
  CHECK((size_t)(slash - path) + strlen(name) + 2 < sizeof path, "the path is too long");
  strcpy(slash + 1, name);
  return path;
}

#endif
