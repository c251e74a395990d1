/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The limit for the whole process: what it counts, that it holds, what fails then and how, what the program's function may
 * do about it, in one thread and in several, and in the child of a fork.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "testing.h"

static uint64_t held_now(void) { return stats_now().held_bytes; }

/* So much beyond what is held now. */
static size_t limit_to(size_t more, hak_limit_callback_t callback, void *argument) {
  hak_collect(1);
  size_t limit = (size_t)held_now() + more;
  hak_limit_set(limit, callback, argument);
  CHECK(stats_now().limit_bytes == limit, "limit");
  return limit;
}

static void no_limit(void) {
  hak_limit_set(0, NULL, NULL);
  CHECK(stats_now().limit_bytes == 0, "no limit");
}

/* Blocks are kept in a list through their first word. */
typedef struct link {
  struct link *next;
  size_t size;
} link_t;

static link_t *push(link_t *list, size_t size) {
  link_t *block = hak_malloc(size);
  if (block == NULL) return NULL;
  block->next = list;
  block->size = size;
  pattern_fill_ends(block + 1, size - sizeof *block, size);
  return block;
}

static link_t *pop(link_t *list) {
  CHECK(pattern_check_ends(list + 1, list->size - sizeof *list, list->size), "content of %zu bytes", list->size);
  link_t *next = list->next;
  hak_free(list);
  return next;
}

static size_t pop_all(link_t *list) {
  size_t count = 0;
  for (; list != NULL; count++) list = pop(list);
  return count;
}

/* ---- What is counted ------------------------------------------------------------------------------------------------ */

static void what_is_held_is_the_sum_of_its_parts(void **state) {
  (void)state;
  rng_t rng = {test_seed()};
  void *live[200] = {NULL};
  for (size_t i = 0; i < test_work(40000); i++) {
    size_t slot = rng_below(&rng, 200);
    switch (rng_below(&rng, 50)) {
    case 0:
      hak_collect((int)rng_below(&rng, 2));
      break;
    case 1:
      live[slot] = hak_realloc(live[slot], 1 + rng_below(&rng, 8 * MIB));
      CHECK(live[slot] != NULL, "realloc");
      break;
    default:
      hak_free(live[slot]);
      live[slot] = hak_malloc(random_size(&rng));
      CHECK(live[slot] != NULL, "malloc");
    }
    if (i % 64 != 0) continue;
    hak_stats_t stats = stats_now();
    uint64_t sum = stats.active_bytes + stats.dirty_bytes + stats.mmap_bytes + stats.mmap_cached_bytes;
    CHECK(stats.held_bytes == sum, "held %zu, sum %zu", (size_t)stats.held_bytes, (size_t)sum);
  }
  for (size_t i = 0; i < 200; i++) hak_free(live[i]);
}

/* ---- What fails ----------------------------------------------------------------------------------------------------- */

static void the_limit_holds_for_every_size(void **state) {
  (void)state;
  static const size_t sizes[] = {32, 1000, 4 * KIB, 32 * KIB, 300 * KIB, 3 * MIB};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    size_t size = sizes[i], limit = limit_to(32 * MIB, NULL, NULL), count = 0;
    uint64_t failed = stats_now().limit_failed;
    link_t *list = NULL, *next;
    errno = 0;
    for (; (next = push(list, size)) != NULL; count++) {
      list = next;
      if (count % 1024 == 0)
        CHECK(held_now() <= limit, "%zu blocks of %zu bytes: held %zu", count, size, (size_t)held_now());
    }
    CHECK(errno == ENOMEM, "errno %d", errno);
    CHECK(held_now() <= limit, "%zu bytes: held %zu", size, (size_t)held_now());
    CHECK(count * size > 20 * MIB && count * size <= 33 * MIB, "%zu blocks of %zu bytes", count, size);
    CHECK(stats_now().limit_failed == failed + 1, "failed");
    /* What one frees another can have, of another size too. */
    for (size_t freed = 0; freed < 8 * MIB; freed += size) {
      list = pop(list);
      count--;
    }
    void *other = hak_malloc(size > MIB ? 100 : 3 * MIB);
    CHECK(other != NULL, "another size after %zu bytes", size);
    hak_free(other);
    CHECK(pop_all(list) == count, "%zu bytes", size);
    no_limit();
  }
}

static void every_function_fails_and_keeps_what_it_has(void **state) {
  (void)state;
  hak_heap_t *heap = hak_heap_new(NULL);
  char *block = hak_malloc(3 * MIB), *aligned = hak_aligned_alloc(64 * KIB, 3 * MIB),
       *in_heap = hak_heap_malloc(heap, 3 * MIB);
  CHECK(block != NULL && aligned != NULL && in_heap != NULL, "three blocks");
  memset(block, 1, 3 * MIB);
  memset(in_heap, 2, 3 * MIB);
  limit_to(MIB, NULL, NULL);
  uint64_t failed = stats_now().limit_failed, failed_heap;
  size_t size = 16 * MIB;
  void *out = &size;
#define FAILS(call)                                                                                       \
  do {                                                                                                    \
    errno = 0;                                                                                            \
    CHECK((call) == NULL && errno == ENOMEM, "errno %d", errno);                                          \
    CHECK(stats_now().limit_failed == ++failed, "failed: %zu, not %zu", (size_t)stats_now().limit_failed, \
          (size_t)failed);                                                                                \
  } while (0)
  FAILS(hak_malloc(size));
  FAILS(hak_calloc(1, size));
  FAILS(hak_aligned_alloc(4096, size));
  FAILS(hak_aligned_zalloc(MIB, size));
  FAILS(hak_realloc(block, size));
  FAILS(hak_realloc_aligned_sized(block, 16, 3 * MIB, size));
  FAILS(hak_realloc_aligned_sized(aligned, 64 * KIB, 3 * MIB, size));
  FAILS(hak_heap_malloc(heap, size));
  FAILS(hak_heap_zalloc(heap, 2 * MIB));
  FAILS(hak_heap_aligned_alloc(heap, 4096, size));
  FAILS(hak_heap_realloc(heap, in_heap, size));
  errno = 0;
  CHECK(hak_posix_memalign(&out, 4096, size) == ENOMEM && errno == 0 && out == &size, "posix_memalign");
  CHECK(stats_now().limit_failed == failed + 1, "failed");
  hak_heap_stats_t heap_stats = {.size = sizeof heap_stats};
  CHECK(hak_heap_stats(heap, &heap_stats) == 1, "stats of the heap");
  failed_heap = heap_stats.failed;
  CHECK(failed_heap == 4 || failed_heap == 3, "the heap's own count: %zu", (size_t)failed_heap);
  CHECK(heap_stats.live_blocks == 1, "%zu blocks", (size_t)heap_stats.live_blocks);
  for (size_t i = 0; i < 3 * MIB; i++) CHECK(block[i] == 1 && in_heap[i] == 2, "byte %zu", i);
  /* What shrinks needs none; and what the limit is lifted for, works. */
  CHECK((block = hak_realloc(block, 2 * MIB + 1)) != NULL, "shrinks");
  no_limit();
  CHECK((block = hak_realloc(block, size)) != NULL && block[2 * MIB] == 1, "grows");
  CHECK((in_heap = hak_heap_realloc(heap, in_heap, size)) != NULL && in_heap[MIB] == 2, "grows");
  hak_free(block);
  hak_free(aligned);
  hak_heap_destroy(heap);
}

static void a_limit_below_what_is_held_takes_nothing_away(void **state) {
  (void)state;
  link_t *list = NULL;
  for (size_t i = 0; i < 1000; i++) list = push(list, 10000);
  hak_limit_set(1, NULL, NULL);
  CHECK(hak_malloc(MIB) == NULL, "beyond the limit");
  for (size_t i = 0; i < 100; i++) { /* a block that is in the thread's magazine is served */
    link_t *next = list->next;
    hak_free(list);
    void *again = hak_malloc(10000);
    CHECK(again != NULL, "turn %zu", i);
    hak_free(again);
    list = next;
  }
  CHECK(pop_all(list) == 900, "all");
  no_limit();
}

/* ---- The program's function ----------------------------------------------------------------------------------------- */

static struct {
  link_t *cache;
  size_t calls, size, nested, frees;
} program;

static int gives_from_its_cache(void *argument, size_t size) {
  CHECK(argument == &program, "argument %p", argument);
  program.calls++;
  program.size = size;
  for (size_t i = 0; i < program.frees && program.cache != NULL; i++) program.cache = pop(program.cache);
  return program.frees != 0 && program.cache != NULL;
}

static void room_that_the_program_makes_is_used(void **state) {
  (void)state;
  static const size_t sizes[] = {100, 5000, 20000, 300 * KIB, 5 * MIB};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    memset(&program, 0, sizeof program);
    program.frees = 200;
    size_t limit = limit_to(24 * MIB, gives_from_its_cache, &program);
    for (size_t n = 0; n < 1800; n++) CHECK((program.cache = push(program.cache, 12000)) != NULL, "block %zu", n);
    CHECK(program.calls == 0, "called too early");
    link_t *list = NULL;
    for (size_t bytes = 0; bytes < 15 * MIB; bytes += sizes[i]) {
      link_t *next = push(list, sizes[i]);
      CHECK(next != NULL, "%zu of %zu bytes", bytes, sizes[i]);
      list = next;
      if (program.calls != 0) CHECK(program.size == sizes[i], "called for %zu, not %zu", program.size, sizes[i]);
    }
    CHECK(program.calls >= 1 && held_now() <= limit, "%zu calls, held %zu", program.calls, (size_t)held_now());
    pop_all(list);
    pop_all(program.cache);
    no_limit();
  }
}

static int allocates_itself(void *argument, size_t size) {
  program.calls++;
  void *block = hak_malloc(16);
  hak_free(block);
  program.nested += hak_malloc(size) == NULL;
  *(size_t *)argument += size;
  return 0;
}

static void what_the_function_asks_for_does_not_call_it_again(void **state) {
  (void)state;
  memset(&program, 0, sizeof program);
  size_t sum = 0;
  limit_to(MIB, allocates_itself, &sum);
  CHECK(hak_malloc(20 * MIB) == NULL && errno == ENOMEM, "errno %d", errno);
  CHECK(program.calls == 1 && program.nested == 1 && sum == 20 * MIB, "%zu calls", program.calls);
  CHECK(hak_malloc(30 * MIB) == NULL, "the next request calls it");
  CHECK(program.calls == 2 && sum == 50 * MIB, "%zu calls", program.calls);
  no_limit();
  CHECK(program.calls == 2, "%zu calls", program.calls);
}

static int lifts_the_limit(void *argument, size_t size) {
  (void)argument, (void)size;
  hak_limit_set(0, NULL, NULL);
  return 1;
}

static void the_function_may_lift_the_limit(void **state) {
  (void)state;
  limit_to(MIB, lifts_the_limit, NULL);
  void *block = hak_malloc(20 * MIB);
  CHECK(block != NULL && stats_now().limit_bytes == 0, "lifted");
  hak_free(block);
}

/* What the program says is taken at its word, and asked again. */
static int promises_twice(void *argument, size_t size) {
  (void)size;
  return ++*(size_t *)argument <= 2;
}

static void a_promise_that_is_not_kept_is_asked_again(void **state) {
  (void)state;
  size_t calls = 0;
  limit_to(MIB, promises_twice, &calls);
  CHECK(hak_calloc(5, MIB) == NULL && calls == 3, "%zu calls", calls);
  no_limit();
}

/* Without the limit's doing, nobody is called. */
static void other_failures_are_not_the_limit(void **state) {
  (void)state;
  size_t calls = 0;
  hak_limit_set(INT64_MAX, promises_twice, &calls);
  uint64_t failed = stats_now().limit_failed;
  CHECK(hak_malloc(opaque_size(PTRDIFF_MAX - 100 * KIB)) == NULL && errno == ENOMEM, "errno %d", errno);
  CHECK(hak_malloc(opaque_size(SIZE_MAX)) == NULL && errno == ENOMEM, "errno %d", errno);
  hak_heap_options_t options = {.size = sizeof options, .limit_bytes = MIB};
  hak_heap_t *heap = hak_heap_new(&options);
  CHECK(hak_heap_malloc(heap, 2 * MIB) == NULL, "the heap's own limit");
  hak_heap_destroy(heap);
  CHECK(calls == 0 && stats_now().limit_failed == failed, "%zu calls", calls);
  no_limit();
}

/* ---- Threads -------------------------------------------------------------------------------------------------------- */

enum { THREADS = 4, SHARED = 512 };

static _Atomic(link_t *) shared[SHARED];
static _Atomic size_t shared_calls, shared_failures, shared_limit;

static int empties_some_places(void *argument, size_t size) {
  (void)argument, (void)size;
  size_t start = atomic_fetch_add(&shared_calls, 1) * 37, freed = 0;
  for (size_t i = 0; i < SHARED / 8; i++) {
    link_t *block = atomic_exchange(&shared[(start + i) % SHARED], NULL);
    if (block == NULL) continue;
    pop(block);
    freed++;
  }
  return freed != 0;
}

static void *thread_replaces(void *argument) {
  rng_t rng = {test_seed() + (size_t)(uintptr_t)argument};
  for (size_t i = 0; i < test_work(40000); i++) {
    size_t size = 64 + random_size(&rng) % (2 * MIB);
    link_t *block = push(NULL, size);
    if (block == NULL) {
      CHECK(errno == ENOMEM, "errno %d", errno);
      atomic_fetch_add(&shared_failures, 1);
      continue;
    }
    link_t *old = atomic_exchange(&shared[rng_below(&rng, SHARED)], block);
    if (old != NULL) pop(old);
    if (i % 16 == 0) {
      uint64_t held = held_now();
      /* what is about to be refused is counted for a moment: 4 MiB at most each */
      CHECK(held <= atomic_load(&shared_limit) + THREADS * 4 * MIB, "held %zu", (size_t)held);
    }
  }
  return NULL;
}

static void several_threads_meet_the_limit(void **state) {
  (void)state;
  atomic_store(&shared_limit, limit_to(24 * MIB, empties_some_places, NULL));
  pthread_t threads[THREADS];
  for (size_t i = 0; i < THREADS; i++)
    CHECK(pthread_create(&threads[i], NULL, thread_replaces, (void *)i) == 0, "thread");
  for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  CHECK(held_now() <= atomic_load(&shared_limit), "held %zu", (size_t)held_now());
  CHECK(atomic_load(&shared_calls) > 0, "never met");
  no_limit();
  for (size_t i = 0; i < SHARED; i++) pop_all(atomic_exchange(&shared[i], NULL));
  hak_stats_t stats = stats_now();
  CHECK(stats.held_bytes == stats.active_bytes + stats.dirty_bytes + stats.mmap_bytes + stats.mmap_cached_bytes,
        "held %zu", (size_t)stats.held_bytes);
}

/* ---- Other processes -------------------------------------------------------------------------------------------------- */

static void wait_for(pid_t pid) {
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0, "status 0x%x", status);
}

static void the_child_of_a_fork_has_the_limit(void **state) {
  (void)state;
  size_t calls = 0;
  link_t *list = NULL;
  for (size_t i = 0; i < 100; i++) list = push(list, 100 * KIB);
  list = pop(list); /* something dirty */
  limit_to(2 * MIB, promises_twice, &calls);
  pid_t pid = fork();
  CHECK(pid >= 0, "fork: errno %d", errno);
  if (pid == 0) {
    CHECK(hak_malloc(3 * MIB) == NULL && calls == 3, "%zu calls", calls);
    CHECK(pop_all(list) == 99, "the parent's blocks");
    CHECK(hak_malloc(3 * MIB) != NULL, "room");
    _exit(0);
  }
  wait_for(pid);
  pop_all(list);
  no_limit();
}

static int under_the_option(void) {
  test_main_pid = 0;       /* CHECK is to _exit */
  hak_free(hak_malloc(1)); /* options are read with the first block */
  CHECK(stats_now().limit_bytes == 8192 * KIB, "limit %zu", (size_t)stats_now().limit_bytes);
  CHECK(hak_malloc(9 * MIB) == NULL && stats_now().limit_failed == 1, "beyond");
  CHECK(hak_malloc(3 * MIB) != NULL, "within");
  return 0;
}

static void the_option_sets_it(void **state) {
  (void)state;
  pid_t pid = fork();
  CHECK(pid >= 0, "fork: errno %d", errno);
  if (pid == 0) {
    setenv("HAKMEM_LIMIT_KIB", "8192", 1);
    char *arguments[] = {(char *)"test_limit", (char *)"under", NULL};
    execv("/proc/self/exe", arguments);
    _exit(99);
  }
  wait_for(pid);
}

int main(int argc, char **argv) {
  (void)argv;
  if (argc > 1) return under_the_option();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_held_is_the_sum_of_its_parts),
      cmocka_unit_test(the_limit_holds_for_every_size),
      cmocka_unit_test(every_function_fails_and_keeps_what_it_has),
      cmocka_unit_test(a_limit_below_what_is_held_takes_nothing_away),
      cmocka_unit_test(room_that_the_program_makes_is_used),
      cmocka_unit_test(what_the_function_asks_for_does_not_call_it_again),
      cmocka_unit_test(the_function_may_lift_the_limit),
      cmocka_unit_test(a_promise_that_is_not_kept_is_asked_again),
      cmocka_unit_test(other_failures_are_not_the_limit),
      cmocka_unit_test(several_threads_meet_the_limit),
      cmocka_unit_test(the_child_of_a_fork_has_the_limit),
      cmocka_unit_test(the_option_sets_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
