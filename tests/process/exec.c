/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Ways to another process than fork: exec, which ends threads wherever they are, from the main thread and from another one;
 * vfork; posix_spawn; clone without CLONE_VM, of which no handler hears.
 * runs: system preload static background */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "process.h"

extern char **environ;
static char self[] = "/proc/self/exe", image_name[] = "image";
static char *image[] = {self, image_name, NULL};
static atomic_bool stop;

static void *churn(void *argument) {
  while (!atomic_load(&stop)) use_every_tier();
  return argument;
}

static void *exec_here(void *argument) {
  execv(self, image);
  return argument;
}

static void exec_with_threads(size_t rounds) {
  for (size_t round = 0; round < rounds; round++) {
    pid_t pid = fork();
    if (pid == 0) {
      alarm(20);
      pthread_t thread;
      for (int i = 0; i < 4; i++) CHECK(pthread_create(&thread, NULL, churn, NULL) == 0, "thread");
      usleep((useconds_t)(round * 37 % 1000));
      if (round % 2 == 0) execv(self, image);
      pthread_create(&thread, NULL, exec_here, NULL);
      for (;;) pause();
    }
    wait_for(pid, round);
  }
}

static void vfork_once(void) {
  pid_t pid = vfork();
  if (pid == 0) {
    execv(self, image);
    _exit(127);
  }
  wait_for(pid, 0);
}

static void vfork_and_spawn(size_t rounds) {
  for (size_t round = 0; round < rounds; round++) {
    vfork_once();
    pid_t pid = 0;
    CHECK(posix_spawn(&pid, self, NULL, NULL, image, environ) == 0, "posix_spawn");
    wait_for(pid, round);
#ifndef __GLIBC__
    if (runs_as("preload")) continue; /* the shell is of another C library */
#endif
    CHECK(system("exit 0") == 0, "system");
    FILE *pipe = popen("echo text", "r");
    char text[10] = "";
    CHECK(pipe != NULL && fgets(text, sizeof text, pipe) != NULL && strcmp(text, "text\n") == 0, "popen: %s", text);
    CHECK(pclose(pipe) == 0, "pclose");
  }
}

/* The child has the parent's memory and one thread, as after fork, but no atfork handler ran. */
static void clone_without_handlers(size_t rounds) {
  void *block[TIERS];
  for (size_t round = 0; round < rounds; round++) {
    for (int i = 0; i < TIERS; i++) fill_block(block[i] = malloc(tier_sizes[i]), tier_sizes[i]);
    long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0) {
      alarm(20);
      use_every_tier();
      for (int i = 0; i < TIERS; i++) {
        CHECK(check_block(block[i], tier_sizes[i]), "tier %d", i);
        free(block[i]);
      }
      use_every_tier();
      _exit(0);
    }
    wait_for((pid_t)pid, round);
    for (int i = 0; i < TIERS; i++) {
      CHECK(check_block(block[i], tier_sizes[i]), "the child wrote to its parent's block of tier %d", i);
      free(block[i]);
    }
  }
}

int main(int count, char **arguments) {
  check_allocator();
  use_every_tier();
  if (count == 2) return strcmp(arguments[1], image_name) == 0 ? 0 : 1;
  exec_with_threads(work(200, 40));
  vfork_and_spawn(work(30, 5));
  clone_without_handlers(work(100, 20));
  /* Once more, while others allocate. */
  pthread_t thread[4];
  for (int i = 0; i < 4; i++) CHECK(pthread_create(&thread[i], NULL, churn, NULL) == 0, "thread");
  vfork_and_spawn(work(30, 5));
  atomic_store(&stop, true);
  for (int i = 0; i < 4; i++) pthread_join(thread[i], NULL);
  return 0;
}
