/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A plug-in that is linked with libhakmem.a comes and goes. Its thread-local memory fits what the dynamic linker has left,
 * a thread that used it may end after it is gone, and so may the process fork. (musl leaves nothing, and says so.)
 * runs: system preload static background */
#include <pthread.h>
#include <semaphore.h>

#include "process.h"

static void *(*allocate)(size_t);
static void (*release)(void *);
static void *plugin;

static void load(void) {
  plugin = dlopen(beside_program("lib_plugin.so"), RTLD_NOW | RTLD_LOCAL);
#ifndef __GLIBC__
  if (plugin == NULL) {
    puts(dlerror());
    exit(0);
  }
#endif
  CHECK(plugin != NULL, "%s", dlerror());
  allocate = (void *(*)(size_t))(uintptr_t)dlsym(plugin, "plugin_allocate");
  release = (void (*)(void *))(uintptr_t)dlsym(plugin, "plugin_free");
  CHECK(allocate != NULL && release != NULL, "%s", dlerror());
}

static void use(void) {
  for (int i = 0; i < TIERS; i++) {
    char *block = allocate(tier_sizes[i]);
    CHECK(block != NULL && block[0] == 0x11 && block[tier_sizes[i] - 1] == 0x11, "tier %d", i);
    release(block);
  }
}

static sem_t used, gone;

static void *use_and_outlive(void *argument) {
  use();
  sem_post(&used);
  sem_wait(&gone);
  return argument; /* the plug-in's destructor of this thread's memory is no more */
}

static void fork_once(size_t round) {
  pid_t pid = fork();
  if (pid == 0) {
    alarm(20);
    use_every_tier();
    _exit(0);
  }
  wait_for(pid, round);
}

int main(void) {
  check_allocator();
  sem_init(&used, 0, 0);
  sem_init(&gone, 0, 0);
  for (size_t round = 0; round < work(100, 20); round++) {
    load();
    use();
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, use_and_outlive, NULL) == 0, "thread");
    sem_wait(&used);
    fork_once(round);
    CHECK(dlclose(plugin) == 0, "%s", dlerror());
    sem_post(&gone);
    pthread_join(thread, NULL);
    fork_once(round);
    use_every_tier();
  }
  return 0;
}
