/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What the tests of the profile share: draws from a fixed seed and call stacks that the test makes up, so that each run is
 * the same.
 */
#ifndef HAK_TESTS_UNIT_PROFILE_H
#define HAK_TESTS_UNIT_PROFILE_H

#define HAK_PROFILE 1
#include "unit.h"

static hak_profile_stats_t stats(void) {
  hak_profile_stats_t s = {.size = sizeof s};
  CHECK(hak_profile_stats(&s) == 1, "no figures");
  return s;
}

#define LIVE(n) CHECK(stats().live_samples == (n), "%lu live", stats().live_samples)

/* A call stack is `stack_depth` addresses from `stack_now` on. */
static _Thread_local uintptr_t stack_now = 0x1000;
static size_t stack_depth = 1;
static bool unwind_allocates;

static size_t unwind(const void **addresses, size_t most) {
  CHECK(most == 64, "%zu", most);
  if (unwind_allocates) hak_free(hak_malloc(1000));
  for (size_t i = 0; i < stack_depth; i++) addresses[i] = (const void *)(stack_now + i);
  return stack_depth;
}

static void begin(size_t mean) {
  hak_profile_seed(42);
  hak_profile_unwind_with(unwind);
  CHECK(hak_profile_start(mean) == 1, "errno %d", errno);
}

/* The tests that run in a child, each in a core in which nothing was sampled. */
#define IN_CHILD(test, argument)                 \
  static void test##_##argument(void **unused) { \
    (void)unused;                                \
    child_passes(test, argument);                \
  }

/* What the environment says must not start the profile before a test does. */
static void forget_options(void) {
  unsetenv("HAKMEM_PROFILE");
  unsetenv("HAKMEM_PROFILE_RATE");
}

#endif
