/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * core/profile_walk: the frames of the compiler's own call stacks, and frames that lead anywhere.
 */
#include "unit_profile.h"

#include <ucontext.h>

#define APART __attribute__((noinline))

static void *volatile kept;
APART static void frames_inner(void) {
  kept = hak_malloc(10);
  __asm__ volatile("" ::: "memory");
}
APART static void frames_middle(void) {
  frames_inner();
  __asm__ volatile("" ::: "memory");
}
APART static void *frames_outer(void *unused) {
  (void)unused;
  frames_middle();
  __asm__ volatile("" ::: "memory");
  return NULL;
}

static int frames_seen;
static void frames_look(const hak_profile_stack_t *stack, void *unused) {
  (void)unused;
  static void (*const functions[])(void) = {frames_inner, frames_middle, (void (*)(void))frames_outer};
  /* Each return address is a little behind its function's start; those of the library may come before. */
  size_t next = 0;
  for (size_t i = 0; i < stack->depth && next < 3; i++) {
    next += (uintptr_t)stack->addresses[i] - (uintptr_t)functions[next] < 128;
  }
  frames_seen += next == 3;
}

static void frames_are_walked(size_t in_thread) {
  begin(1);
  hak_profile_unwind_with(NULL);
  if (in_thread != 0) {
    thread_join(thread_start(frames_outer, NULL));
  } else {
    (void)frames_outer(NULL);
  }
  frames_seen = 0;
  (void)hak_profile_visit(frames_look, NULL);
  CHECK(frames_seen == 1, "%d", frames_seen);
  hak_free(kept);
}

static ucontext_t context_main, context_other;
static void context_body(void) { (void)frames_outer(NULL); }

static void wild_frames_do_no_harm(size_t unused) {
  (void)unused;
  const void *addresses[HAK_PROFILE_DEPTH];
  volatile uintptr_t frame[6] = {0};
  const uintptr_t wild[] = {0,
                            1,
                            8,
                            0x10000,
                            ~(uintptr_t)7,
                            (uintptr_t)frame,
                            (uintptr_t)frame - 64,
                            (uintptr_t)&wild,
                            (uintptr_t)frame + 1,
                            0x7fffffffe000};
  for (size_t i = 0; i < COUNT_OF(wild); i++) {
    frame[0] = wild[i];
    size_t depth = hak_profile_walk((hak_profile_site_t){.inner = 5, .outer = 6, .frame = (uintptr_t)frame}, addresses);
    CHECK(depth >= 2 && depth <= HAK_PROFILE_DEPTH, "%zu for %zu", depth, i);
    CHECK(addresses[0] == (void *)5 && addresses[1] == (void *)6, "%zu", i);
  }
  frame[0] = (uintptr_t)&frame[2]; /* two good ones, then backwards */
  frame[1] = 0;
  frame[2] = (uintptr_t)&frame[4];
  frame[3] = 0x77;
  frame[4] = (uintptr_t)&frame[0];
  frame[5] = 0x88;
  size_t depth = hak_profile_walk((hak_profile_site_t){.inner = 5, .outer = 5, .frame = (uintptr_t)frame}, addresses);
  CHECK(depth == 3 && addresses[1] == (void *)0x77 && addresses[2] == (void *)0x88, "%zu", depth);
  /* A stack of the program's own: the call site, and no more. */
  begin(1);
  hak_profile_unwind_with(NULL);
  CHECK(getcontext(&context_other) == 0, "errno %d", errno);
  context_other.uc_stack.ss_sp = malloc(64 * KIB);
  context_other.uc_stack.ss_size = 64 * KIB;
  context_other.uc_link = &context_main;
  makecontext(&context_other, context_body, 0);
  if (!TEST_TSAN && !TEST_ASAN) {
    CHECK(swapcontext(&context_main, &context_other) == 0, "errno %d", errno);
    LIVE(1);
    hak_free(kept);
  }
  free(context_other.uc_stack.ss_sp);
}

IN_CHILD(frames_are_walked, 0)
IN_CHILD(frames_are_walked, 1)
IN_CHILD(wild_frames_do_no_harm, 0)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(frames_are_walked_0),
      cmocka_unit_test(frames_are_walked_1),
      cmocka_unit_test(wild_frames_do_no_harm_0),
  };
  forget_options();
  return cmocka_run_group_tests_name("profile_walk", tests, NULL, NULL);
}
