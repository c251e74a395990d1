/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Out of memory: under a limit on address space requests fail with NULL and ENOMEM, all that was allocated stays usable,
 * and once some of it is freed allocation works again. Each case runs in a process of its own, which starts under the
 * limit: the allocator has to start in little space as well.
 */
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "testing.h"

static const size_t oom_sizes[] = {48, 1000, 4 * KIB, 32 * KIB, 300 * KIB, 3 * MIB};
#define OOM_SIZES (sizeof oom_sizes / sizeof oom_sizes[0])

/* Children have no cmocka around them: CHECK ends them with status 1, since their process is not test_main_pid. */

/* Blocks are kept in a list through their first word: no other memory is needed. */
typedef struct link {
  struct link *next;
  uint64_t number;
} link_t;

static link_t *fill(size_t size, size_t *count) {
  link_t *list = NULL;
  *count = 0;
  for (;;) {
    errno = 0;
    link_t *block = hak_malloc(size);
    if (block == NULL) {
      CHECK(errno == ENOMEM, "errno %d after %zu blocks of %zu", errno, *count, size);
      return list;
    }
    block->next = list;
    block->number = (*count)++;
    pattern_fill_ends(block + 1, size - sizeof *block, block->number);
    list = block;
  }
}

static void check_list(const link_t *list, size_t size, size_t count) {
  for (; list != NULL; list = list->next) {
    CHECK(list->number == --count, "block %zu of %zu bytes has number %zu", count, size, (size_t)list->number);
    CHECK(pattern_check_ends(list + 1, size - sizeof *list, list->number), "block %zu of %zu bytes", count, size);
  }
  CHECK(count == 0, "%zu blocks are lost", count);
}

static void free_list(link_t *list) {
  while (list != NULL) {
    link_t *next = list->next;
    hak_free(list);
    list = next;
  }
}

/* Every other function fails as well, and keeps what it was given. */
static void everything_fails_politely(link_t *block, size_t size) {
  size_t huge = 512 * GIB;
  errno = 0;
  CHECK(hak_calloc(huge / 16, 16) == NULL && errno == ENOMEM, "calloc, errno %d", errno);
  errno = 0;
  CHECK(hak_aligned_alloc(4096, huge) == NULL && errno == ENOMEM, "aligned_alloc, errno %d", errno);
  errno = 0;
  CHECK(hak_aligned_zalloc(64, huge) == NULL && errno == ENOMEM, "aligned_zalloc, errno %d", errno);
  errno = 0;
  void *out = &huge;
  CHECK(hak_posix_memalign(&out, 4096, huge) == ENOMEM && errno == 0 && out == &huge, "posix_memalign, errno %d",
        errno);
  errno = 0;
  CHECK(hak_realloc(block, huge) == NULL && errno == ENOMEM, "realloc, errno %d", errno);
  CHECK(hak_usable_size(block) >= size, "usable %zu", hak_usable_size(block));
}

static void run_out(size_t limit, size_t size) {
  size_t count;
  link_t *list = fill(size, &count);
  CHECK(count * size >= limit / 3, "only %zu blocks of %zu bytes in %zu MiB", count, size, limit / MIB);
  check_list(list, size, count);
  everything_fails_politely(list, size);
  check_list(list, size, count);

  /* A few freed are a few more to have. */
  for (size_t i = 0; i < 3; i++) {
    link_t *next = list->next;
    hak_free(list);
    list = next;
    count--;
    link_t *block = hak_malloc(size);
    CHECK(block != NULL, "%zu bytes after a free", size);
    pattern_fill_ends(block, size, i);
    CHECK(pattern_check_ends(block, size, i), "content of %zu bytes after a free", size);
    hak_free(block);
  }
  check_list(list, size, count);
  free_list(list);

  /* All freed: as much again, and by other sizes too. */
  size_t again;
  list = fill(size, &again);
  CHECK(again >= count - count / 4, "%zu blocks of %zu bytes, the second time %zu", count, size, again);
  check_list(list, size, again);
  free_list(list);
  for (size_t i = 0; i < OOM_SIZES && limit <= 256 * MIB; i++) {
    /* Segments keep their address space for good; mappings have to do with what is left, which here is nothing. */
    if (oom_sizes[i] > ACE_LIMIT) {
      continue;
    }
    size_t others;
    list = fill(oom_sizes[i], &others);
    CHECK(others * oom_sizes[i] >= limit / 4, "after %zu bytes: only %zu blocks of %zu in %zu MiB", size, others,
          oom_sizes[i], limit / MIB);
    check_list(list, oom_sizes[i], others);
    free_list(list);
  }
}

/* Several threads meet the end of memory at once. */
static void *thread_runs_out(void *argument) {
  size_t turn = (size_t)(uintptr_t)argument;
  for (size_t round = 0; round < 8; round++) {
    size_t size = oom_sizes[(turn + round) % OOM_SIZES];
    size_t count;
    link_t *list = fill(size, &count);
    check_list(list, size, count);
    free_list(list);
  }
  return NULL;
}

static void threads_run_out(void) {
  pthread_t thread[3];
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 256 * KIB);
  size_t started = 0;
  while (started < 3 &&
         pthread_create(&thread[started], &attributes, thread_runs_out, (void *)(uintptr_t)started) == 0) {
    started++;
  }
  CHECK(started > 0, "no thread starts under the limit");
  for (size_t i = 0; i < started; i++) {
    pthread_join(thread[i], NULL);
  }
  void *block = hak_malloc(1000);
  CHECK(block != NULL, "nothing left after the threads");
  hak_free(block);
}

/* ---- Parent: starts itself again under the limit ------------------------------------------------------------------- */

static void run_child(size_t limit, const char *what) {
  char limit_text[32];
  snprintf(limit_text, sizeof limit_text, "%zu", limit);
  pid_t pid = fork();
  CHECK(pid >= 0, "fork: errno %d", errno);
  if (pid == 0) {
    struct rlimit bound = {limit, limit};
    setrlimit(RLIMIT_AS, &bound);
    alarm(120);
    char *arguments[] = {(char *)"test_oom", limit_text, (char *)(uintptr_t)what, NULL};
    execv("/proc/self/exe", arguments);
    _exit(99);
  }
  int status = 0;
  CHECK(waitpid(pid, &status, 0) == pid, "waitpid: errno %d", errno);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%zu MiB, case %s: status 0x%x", limit / MIB, what, status);
}

static int child(const char *limit_text, const char *what) {
  test_main_pid = 0; /* CHECK is to _exit */
  size_t limit = strtoul(limit_text, NULL, 10);
  if (strcmp(what, "threads") == 0) {
    threads_run_out();
  } else {
    run_out(limit, oom_sizes[strtoul(what, NULL, 10)]);
  }
  return 0;
}

static void run_limit(size_t limit) {
  for (size_t i = 0; i < OOM_SIZES; i++) {
    char what[8];
    snprintf(what, sizeof what, "%zu", i);
    run_child(limit, what);
  }
}

static void limit_of_64_mib(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  run_limit(64 * MIB);
}
static void limit_of_100_mib(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  run_limit(100 * MIB);
}
static void limit_of_256_mib(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  run_limit(256 * MIB);
}
static void limit_of_600_mib(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  run_limit(600 * MIB);
}
static void threads_at_the_limit(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  run_child(128 * MIB, "threads");
  run_child(300 * MIB, "threads");
}

int main(int argc, char **argv) {
  if (argc == 3) {
    return child(argv[1], argv[2]);
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(limit_of_64_mib),  cmocka_unit_test(limit_of_100_mib),     cmocka_unit_test(limit_of_256_mib),
      cmocka_unit_test(limit_of_600_mib), cmocka_unit_test(threads_at_the_limit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
