/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Allocation before main and after it: from constructors and destructors of any priority, from atexit handlers, and from
 * preloaded hooks of mmap, munmap, getenv and open that call dlsym. What one of them allocated another one frees.
 * runs: system preload static background */
#include <pthread.h>
#include <sys/mman.h>

#include "process.h"

enum { STAGES = 8 };
static void *kept[STAGES][TIERS];

static void allocate_at(int stage) {
  for (int i = 0; i < TIERS; i++) {
    CHECK(kept[stage][i] == NULL, "stage %d came twice", stage);
    kept[stage][i] = malloc(tier_sizes[i]);
    CHECK(kept[stage][i] != NULL, "stage %d", stage);
    fill_block(kept[stage][i], tier_sizes[i]);
  }
}

static void free_of(int stage) {
  for (int i = 0; i < TIERS; i++) {
    CHECK(kept[stage][i] != NULL && check_block(kept[stage][i], tier_sizes[i]), "stage %d, tier %d", stage, i);
    free(kept[stage][i]);
    kept[stage][i] = NULL;
  }
}

#ifdef __GLIBC__
static void preinit(void) { allocate_at(0); }
__attribute__((section(".preinit_array"), used)) static void (*const preinit_entry)(void) = preinit;
#else /* musl knows no such functions */
__attribute__((constructor(101))) static void preinit(void) { allocate_at(0); }
#endif

__attribute__((constructor(102))) static void construct_first(void) {
  allocate_at(1);
  free_of(0);
}
__attribute__((constructor(5000))) static void construct_second(void) { allocate_at(2); }
__attribute__((constructor)) static void construct_last(void) {
  allocate_at(3);
  free_of(1);
}
__attribute__((destructor)) static void destruct_first(void) {
  free_of(2);
  allocate_at(5);
}
__attribute__((destructor(5000))) static void destruct_second(void) {
  free_of(5);
  allocate_at(6);
}
__attribute__((destructor(101))) static void destruct_last(void) {
  free_of(6);
  use_every_tier();
  fputs("the last destructor ran\n", stdout);
  fflush(stdout);
}

static void at_exit(void) {
  free_of(3);
  allocate_at(4);
}
static void at_exit_after(void) { free_of(4); }

static void *run(void *argument) {
  use_every_tier();
  return argument;
}

/* The program once more, with the hooks before or after what is preloaded already. */
static void with_hooks(bool first) {
  const char *preloaded = getenv("LD_PRELOAD");
  char list[2 * PATH_MAX + 2], output[100] = "";
  snprintf(list, sizeof list, first ? "%1$s:%2$s" : "%2$s:%1$s", beside_program("lib_hooks.so"),
           preloaded == NULL ? "" : preloaded);
  int ends[2];
  CHECK(pipe(ends) == 0, "pipe: errno %d", errno);
  pid_t pid = fork();
  if (pid == 0) {
    alarm(60);
    dup2(ends[1], STDOUT_FILENO);
    setenv("LD_PRELOAD", list, 1);
    execl("/proc/self/exe", "before_main", "hooked", (char *)NULL);
    _exit(127);
  }
  close(ends[1]);
  CHECK(read(ends[0], output, sizeof output - 1) > 0, "no output");
  wait_for(pid, first);
  close(ends[0]);
  CHECK(strcmp(output, "the last destructor ran\n") == 0, "the output is %s", output);
}

int main(int count, char **arguments) {
  check_allocator();
  CHECK(atexit(at_exit_after) == 0 && atexit(at_exit) == 0, "atexit");
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, run, NULL) == 0, "thread");
  pthread_join(thread, NULL);
  if (count == 1) {
    with_hooks(true);
    with_hooks(false);
    return 0;
  }
  CHECK(strcmp(arguments[1], "hooked") == 0, "%s", arguments[1]);
  use_every_tier();
  void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED && munmap(page, 4096) == 0, "mmap");
  const int *calls = (const int *)dlsym(RTLD_DEFAULT, "hook_calls");
  CHECK(calls != NULL && calls[0] > 0 && calls[1] > 0 && calls[2] > 0, "the hooks are not in place");
  return 0;
}
