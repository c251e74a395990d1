/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What the C tests share: cmocka, checks that work in any thread, a seeded generator, payload patterns, and the process'
 * resident set. A header of static functions, so that a test program is one file.
 *
 * Environment: HAK_TEST_SEED=<number> repeats a random test; HAK_TEST_SHORT=1 divides the work by about ten (valgrind,
 * sanitizers).
 */
#ifndef HAK_TESTS_TESTING_H
#define HAK_TESTS_TESTING_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cmocka.h"
#include "hakmem.h"

#if defined(__SANITIZE_ADDRESS__)
#define TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_ASAN 1
#endif
#endif
#ifndef TEST_ASAN
#define TEST_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__)
#define TEST_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TEST_TSAN 1
#endif
#endif
#ifndef TEST_TSAN
#define TEST_TSAN 0
#endif

#define TEST_UNUSED __attribute__((unused))
#define KIB ((size_t)1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)

/* The limits of the tiers as the documentation states them, written a second time on purpose. */
#define TINY_LIMIT KIB
#define MID_LIMIT (8 * KIB)
#define POOL_LIMIT (52 * KIB)
#define ACE_LIMIT (2 * MIB)

/* ---- Checks ----------------------------------------------------------------------------------------------------- */

static pid_t test_main_pid;

__attribute__((constructor)) static void test_start(void) { test_main_pid = getpid(); }

/* Reports and fails. cmocka unwinds with longjmp, which only the main thread may do; another thread, or a forked child,
 * ends the process with status 1, which the harness reports as a failure just as well. */
TEST_UNUSED __attribute__((noreturn, format(printf, 4, 5))) static void
check_failed(const char *file, int line, const char *condition, const char *format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  fprintf(stderr, "%s:%d: check failed: %s: %s\n", file, line, condition, text);
  fflush(NULL);
  if ((pid_t)syscall(SYS_gettid) != test_main_pid) {
    _exit(1);
  }
  _fail(file, line);
  abort(); /* not reached */
}

/* CHECK(condition, format, ...): the message says which input it was. */
#define CHECK(condition, ...)                                    \
  do {                                                           \
    if (__builtin_expect(!(condition), 0)) {                     \
      check_failed(__FILE__, __LINE__, #condition, __VA_ARGS__); \
    }                                                            \
  } while (0)

/* ---- Amount of work ---------------------------------------------------------------------------------------------- */

TEST_UNUSED static bool test_is_short(void) {
  const char *value = getenv("HAK_TEST_SHORT");
  return value != NULL && value[0] != '\0' && value[0] != '0';
}

/* `count`, or a tenth of it (at least 1) in a short run. */
TEST_UNUSED static size_t test_work(size_t count) {
  if (!test_is_short()) {
    return count;
  }
  return count < 10 ? 1 : count / 10;
}

TEST_UNUSED static uint64_t test_seed(void) {
  const char *value = getenv("HAK_TEST_SEED");
  return value != NULL ? strtoull(value, NULL, 0) : 42;
}

/* ---- Random numbers: splitmix64 ---------------------------------------------------------------------------------- */

typedef struct rng {
  uint64_t state;
} rng_t;

TEST_UNUSED static inline uint64_t rng_next(rng_t *rng) {
  uint64_t z = (rng->state += UINT64_C(0x9e3779b97f4a7c15));
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

/* Uniform in [0, bound); the bias is of no matter here. */
TEST_UNUSED static inline size_t rng_below(rng_t *rng, size_t bound) {
  return bound == 0 ? 0 : (size_t)(rng_next(rng) % bound);
}

/* Uniform in [low, high]. */
TEST_UNUSED static inline size_t rng_between(rng_t *rng, size_t low, size_t high) {
  return low + rng_below(rng, high - low + 1);
}

/* ---- Sizes and tiers --------------------------------------------------------------------------------------------- */

/* Whether the library is the secure build: there a block has 8 bytes more than was asked for, its usable size is what was asked
 * for, and what is freed is not handed out again soon. */
TEST_UNUSED static bool test_is_secure(void) {
  hak_config_t config = {.size = sizeof config};
  return hak_config_get(&config) == 1 && config.secure != 0;
}

#define SKIP_IN_SECURE_BUILD() \
  do {                         \
    if (test_is_secure()) {    \
      skip();                  \
    }                          \
  } while (0)

/* The least size that is served by another class than `size`; or one of the class after the next. */
TEST_UNUSED static size_t next_class(size_t size) {
  return test_is_secure() ? size + size / 9 + 1 : hak_good_size(size) + 1;
}

TEST_UNUSED static int tier_for(size_t size) {
  if (test_is_secure()) {
    size += 8;
  }
  if (size <= TINY_LIMIT) {
    return HAK_TIER_TINY;
  }
  if (size <= MID_LIMIT) {
    return HAK_TIER_MID;
  }
  if (size <= POOL_LIMIT) {
    return HAK_TIER_POOL;
  }
  return size <= ACE_LIMIT ? HAK_TIER_ACE : HAK_TIER_MMAP;
}

/* One size in the middle of each tier. */
TEST_UNUSED static const size_t tier_sizes[HAK_TIER_COUNT] = {100, 4000, 20 * KIB, 300 * KIB, 3 * MIB};

/* A size from each tier, small ones far more often; at most 4 MiB. */
TEST_UNUSED static size_t random_size(rng_t *rng) {
  size_t dice = rng_below(rng, 1000);
  if (dice < 600) {
    return rng_between(rng, 0, TINY_LIMIT);
  }
  if (dice < 800) {
    return rng_between(rng, TINY_LIMIT + 1, MID_LIMIT);
  }
  if (dice < 940) {
    return rng_between(rng, MID_LIMIT + 1, POOL_LIMIT);
  }
  if (dice < 996) {
    return POOL_LIMIT + 1 + rng_below(rng, rng_between(rng, 1, ACE_LIMIT - POOL_LIMIT));
  }
  return rng_between(rng, ACE_LIMIT + 1, 2 * ACE_LIMIT);
}

/* ---- Payload patterns -------------------------------------------------------------------------------------------- */

TEST_UNUSED static inline uint64_t pattern_word(uint64_t seed, size_t word) {
  return (seed + word) * UINT64_C(0x9e3779b97f4a7c15) + (seed >> 7);
}

/* Fills all `bytes` of `block` with a sequence that depends on `seed` and the position. */
TEST_UNUSED static void pattern_fill(void *block, size_t bytes, uint64_t seed) {
  unsigned char *to = block;
  size_t words = bytes / sizeof(uint64_t);
  for (size_t i = 0; i < words; i++) {
    uint64_t word = pattern_word(seed, i);
    memcpy(to + i * sizeof word, &word, sizeof word);
  }
  uint64_t tail = pattern_word(seed, words);
  memcpy(to + words * sizeof tail, &tail, bytes % sizeof tail);
}

/* The offset of the first byte that differs from pattern_fill's, or `bytes` when all is well. */
TEST_UNUSED static size_t pattern_check(const void *block, size_t bytes, uint64_t seed) {
  const unsigned char *from = block;
  size_t words = bytes / sizeof(uint64_t);
  for (size_t i = 0; i < words; i++) {
    uint64_t expected = pattern_word(seed, i);
    if (memcmp(from + i * sizeof expected, &expected, sizeof expected) != 0) {
      return i * sizeof expected;
    }
  }
  uint64_t tail = pattern_word(seed, words);
  return memcmp(from + words * sizeof tail, &tail, bytes % sizeof tail) == 0 ? bytes : words * sizeof tail;
}

/* The cheap variant for big blocks: the first and the last 128 bytes (all of a block up to 256). */
TEST_UNUSED static void pattern_fill_ends(void *block, size_t bytes, uint64_t seed) {
  if (bytes <= 256) {
    pattern_fill(block, bytes, seed);
    return;
  }
  pattern_fill(block, 128, seed);
  pattern_fill((char *)block + bytes - 128, 128, seed ^ bytes);
}

TEST_UNUSED static bool pattern_check_ends(const void *block, size_t bytes, uint64_t seed) {
  if (bytes <= 256) {
    return pattern_check(block, bytes, seed) == bytes;
  }
  return pattern_check(block, 128, seed) == 128 &&
         pattern_check((const char *)block + bytes - 128, 128, seed ^ bytes) == 128;
}

/* The offset of the first byte that is not zero, or `bytes`. */
TEST_UNUSED static size_t first_nonzero(const void *block, size_t bytes) {
  const unsigned char *from = block;
  if (bytes == 0) {
    return 0;
  }
  if (from[0] == 0 && memcmp(from, from + 1, bytes - 1) == 0) {
    return bytes;
  }
  size_t i = 0;
  while (from[i] == 0) {
    i++;
  }
  return i;
}

/* Writes one byte into every page of `block`, so that all of it is resident. */
TEST_UNUSED static void touch_pages(void *block, size_t bytes) {
  volatile unsigned char *to = block;
  for (size_t i = 0; i < bytes; i += 4096) {
    to[i] = 1;
  }
  if (bytes > 0) {
    to[bytes - 1] = 1;
  }
}

/* ---- Figures ----------------------------------------------------------------------------------------------------- */

TEST_UNUSED static hak_stats_t stats_now(void) {
  hak_stats_t stats;
  memset(&stats, 0xee, sizeof stats);
  stats.size = sizeof stats;
  CHECK(hak_stats_get(&stats) == 1, "refused");
  CHECK(stats.size == sizeof stats, "filled %zu of %zu bytes", stats.size, sizeof stats);
  return stats;
}

/* ---- The process ------------------------------------------------------------------------------------------------- */

/* The resident set in bytes, read without stdio so that reading it allocates nothing. */
TEST_UNUSED static size_t resident_bytes(void) {
  char text[128];
  int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return 0;
  }
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  if (length <= 0) {
    return 0;
  }
  text[length] = '\0';
  char *second = strchr(text, ' ');
  return second == NULL ? 0 : strtoul(second, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

/* `bytes` of growth, 0 when it shrank. */
TEST_UNUSED static size_t growth(size_t before, size_t after) { return after > before ? after - before : 0; }

TEST_UNUSED static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Hides a value from the optimiser, so that it neither warns about nor folds a call with a senseless argument. */
TEST_UNUSED static inline size_t opaque_size(size_t value) {
  __asm__ volatile("" : "+r"(value));
  return value;
}

TEST_UNUSED static inline void *opaque_pointer(void *value) {
  __asm__ volatile("" : "+r"(value));
  return value;
}

/* Under ASan or TSan the resident set measures the tool, and RLIMIT_AS kills it. */
#define SKIP_UNDER_SANITIZERS()   \
  do {                            \
    if (TEST_ASAN || TEST_TSAN) { \
      skip();                     \
    }                             \
  } while (0)

#endif
