/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What the unit tests share: the whole core with failures that can be injected, and children whose last words are read.
 * The program's own malloc stays the C library's, so the core is untouched until a test touches it.
 */
#ifndef HAK_TESTS_UNIT_H
#define HAK_TESTS_UNIT_H

#define HAK_TESTING 1
#include "hakmem.c"

#include <pthread.h>
#include <sys/wait.h>

#include "testing.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* No test has more failures than that to inject. */
#define FAIL_ALWAYS 1000000u

/* What became of a child. */
typedef struct child {
  int status;        /* as waitpid reports it */
  char output[8192]; /* what it wrote on standard error, cut */
} child_t;

/* Runs `body(argument)` in a child, so in a core as fresh as the caller's. CHECK ends it with status 1. */
TEST_UNUSED static child_t child_run(void (*body)(size_t), size_t argument) {
  child_t child = {0};
  int ends[2];
  fflush(NULL);
  CHECK(pipe(ends) == 0, "errno %d", errno);
  pid_t pid = fork();
  CHECK(pid >= 0, "errno %d", errno);
  if (pid == 0) {
    test_main_pid = 0;
    dup2(ends[1], 2);
    close(ends[0]);
    close(ends[1]);
    signal(SIGABRT, SIG_DFL); /* cmocka catches it */
    signal(SIGSEGV, SIG_DFL);
    body(argument);
    fflush(NULL);
    _exit(0);
  }
  close(ends[1]);
  size_t used = 0;
  char rest[512];
  for (;;) {
    size_t room = sizeof child.output - 1 - used;
    ssize_t n = read(ends[0], room != 0 ? child.output + used : rest, room != 0 ? room : sizeof rest);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      break;
    }
    used += room != 0 ? (size_t)n : 0;
  }
  close(ends[0]);
  CHECK(waitpid(pid, &child.status, 0) == pid, "errno %d", errno);
  return child;
}

/* Runs it and wants it to end well. */
TEST_UNUSED static void child_passes(void (*body)(size_t), size_t argument) {
  child_t child = child_run(body, argument);
  CHECK(child.status == 0, "the child for %zu ended with status 0x%x and:\n%s", argument, (unsigned)child.status,
        child.output);
}

/* Runs it and wants it to abort with these last words. */
TEST_UNUSED static void child_aborts(void (*body)(size_t), size_t argument, const char *words) {
  child_t child = child_run(body, argument);
  CHECK(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGABRT,
        "the child for %zu ended with status 0x%x and:\n%s", argument, (unsigned)child.status, child.output);
  CHECK(strstr(child.output, words) != NULL, "the child for %zu said, not \"%s\":\n%s", argument, words, child.output);
}

/* ---- Failures, one after the other --------------------------------------------------------------------------------- */

/* What a child ends with that made fewer calls of the system than were to come before the failures. */
#define NOT_REACHED 3

/* Runs `body(n)` in a new process for n = 0, step, 2 * step and so on, until a run ends with NOT_REACHED, which takes `least`
 * calls or more. `failures` is how many fail from the n-th on, for the message. */
TEST_UNUSED static void fail_each(void (*body)(size_t), unsigned failures, size_t step, size_t least) {
  size_t n = 0;
  for (; n < 5000; n += step) {
    child_t child = child_run(body, n);
    if (WIFEXITED(child.status) && WEXITSTATUS(child.status) == NOT_REACHED) {
      break;
    }
    CHECK(child.status == 0, "%u failures from call %zu on: status 0x%x:\n%s", failures, n, (unsigned)child.status,
          child.output);
  }
  CHECK(n >= least && n < 5000, "only %zu calls", n);
}

/* How often a text has another one in it. */
TEST_UNUSED static size_t occurrences(const char *text, const char *part) {
  size_t n = 0;
  for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part)) {
    n++;
  }
  return n;
}

/* Starts a thread, and ends one. */
TEST_UNUSED static pthread_t thread_start(void *(*body)(void *), void *argument) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, body, argument) == 0, "no thread");
  return thread;
}

TEST_UNUSED static void thread_join(pthread_t thread) { CHECK(pthread_join(thread, NULL) == 0, "join"); }

#endif
