/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A program with another malloc opens a library that needs libhakmem.so, which comes into the process late: malloc stays who it
 * was, hakmem serves those who ask it by its names, and blocks of both live side by side. The dynamic linker has room for its
 * thread-local memory, in threads that were there before, too. (musl leaves none, and says so.)
 * runs: system preload static */
#include <pthread.h>
#include <semaphore.h>

#include "process.h"

static void *(*allocate)(size_t), *(*allocate_by_malloc)(size_t);
static void (*release)(void *);
static tier_of_t tier_of;
static sem_t opened, used;

static void *symbol(void *library, const char *name) {
  void *address = dlsym(library, name);
  CHECK(address != NULL, "%s", dlerror());
  return address;
}

static void use(void) {
  void *block[TIERS], *other[TIERS];
  for (int i = 0; i < TIERS; i++) {
    block[i] = allocate(tier_sizes[i]);
    other[i] = allocate_by_malloc(tier_sizes[i]);
    CHECK(block[i] != NULL && other[i] != NULL && ((char *)block[i])[tier_sizes[i] - 1] == 0x11, "tier %d", i);
    CHECK(tier_of(block[i]) == i, "%zu bytes are not hakmem's", tier_sizes[i]);
    CHECK(is_expected(other[i]), "malloc has become another one");
    fill_block(other[i], tier_sizes[i]);
  }
  for (int i = 0; i < TIERS; i++) {
    CHECK(check_block(other[i], tier_sizes[i]), "%zu bytes were overwritten", tier_sizes[i]);
    release(block[i]);
    free(other[i]);
  }
  use_every_tier();
}

static void *use_when_opened(void *argument) {
  use_every_tier();
  sem_wait(&opened);
  use();
  sem_post(&used);
  return argument;
}

static void *use_now(void *argument) {
  use();
  return argument;
}

int main(void) {
  check_allocator();
  sem_init(&opened, 0, 0);
  sem_init(&used, 0, 0);
  pthread_t before, after;
  CHECK(pthread_create(&before, NULL, use_when_opened, NULL) == 0, "thread");
  for (size_t round = 0; round < work(50, 10); round++) {
    void *library = dlopen(beside_program("lib_linked.so"), RTLD_NOW | RTLD_LOCAL);
#ifndef __GLIBC__
    if (library == NULL) {
      puts(dlerror());
      exit(0);
    }
#endif
    CHECK(library != NULL, "%s", dlerror());
    allocate = (void *(*)(size_t))(uintptr_t)symbol(library, "linked_allocate");
    allocate_by_malloc = (void *(*)(size_t))(uintptr_t)symbol(library, "linked_malloc");
    release = (void (*)(void *))(uintptr_t)symbol(library, "linked_free");
    tier_of = (tier_of_t)(uintptr_t)symbol(library, "hak_tier_of"); /* of what it is linked with */
    if (round == 0) {
      sem_post(&opened);
      sem_wait(&used);
      pthread_join(before, NULL);
    }
    use();
    CHECK(pthread_create(&after, NULL, use_now, NULL) == 0, "thread");
    pid_t pid = fork();
    if (pid == 0) {
      alarm(20);
      use();
      _exit(0);
    }
    wait_for(pid, round);
    pthread_join(after, NULL);
    CHECK(dlclose(library) == 0, "%s", dlerror());
    use_every_tier();
  }
  return 0;
}
