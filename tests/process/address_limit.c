/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Limits from 64 MiB up on address space, and on private writable memory, which is what the system accounts for with
 * vm.overcommit_memory=2. A process starts within them, gets to use most of what they leave, is told ENOMEM beyond, keeps what
 * it has, and can do so again after freeing it. And nothing large is reserved that the system would have to account for.
 * runs: preload static */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "process.h"

static void fill_and_empty(size_t size, size_t room) {
  void **first = NULL, **block;
  size_t count = 0;
  errno = 0;
  while ((block = malloc(size)) != NULL) {
    *block = first;
    first = block;
    ((char *)block)[size - 1] = 1;
    count++;
    CHECK(count * size <= room + 8 * MIB, "more than the limit allows"); /* some is mapped at the start */
  }
  CHECK(errno == ENOMEM, "blocks of %zu bytes: errno is %d", size, errno);
  CHECK(count * size >= room / 4, "only %zu KiB of %zu KiB in blocks of %zu bytes", count * size / KIB, room / KIB,
        size);
  while ((block = first) != NULL) {
    first = *block;
    free(block);
    count--;
  }
  CHECK(count == 0, "%zu blocks are lost", count);
}

static void *use_in_thread(void *argument) {
  use_every_tier();
  return argument;
}

static const struct {
  const char *name, *key;
  int resource;
} kinds[] = {{"space", "VmSize:", RLIMIT_AS}, {"data", "VmData:", RLIMIT_DATA}};

static int live_within(size_t limit, int kind) {
  /* For the stacks below: the allocator may keep all that is left otherwise, and is not asked when a stack is mapped. */
  void *room = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(room != MAP_FAILED, "room for stacks");
  size_t before = status_bytes(kinds[kind].key);
  CHECK(before < limit, "%zu KiB at the start", before / KIB);
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < TIERS; i++) fill_and_empty(tier_sizes[i], limit - before);
  }
  use_every_tier();
  munmap(room, 4 * MIB);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 128 * KIB);
  for (int i = 0; i < 20; i++) {
    pthread_t thread;
    CHECK(pthread_create(&thread, &attributes, use_in_thread, NULL) == 0, "thread %d", i);
    pthread_join(thread, NULL);
  }
  return 0;
}

int main(int count, char **arguments) {
  check_allocator();
  if (count == 3) return live_within(strtoul(arguments[1], NULL, 10) * MIB, strcmp(arguments[2], kinds[0].name) != 0);
  use_every_tier();
  CHECK(status_bytes("VmData:") < 64 * MIB, "%zu KiB of writable memory are reserved", status_bytes("VmData:") / KIB);
  static const char *const limits[] = {"64", "72", "96", "128", "256", "1024"};
  for (size_t i = 0; i < 2 * sizeof limits / sizeof limits[0]; i++) {
    if (work(1, 0) == 0 && i / 2 == 5) break;
    pid_t pid = fork();
    if (pid == 0) {
      alarm(120);
      rlim_t bytes = strtoul(limits[i / 2], NULL, 10) * MIB;
      struct rlimit limit = {bytes, bytes};
      CHECK(setrlimit(kinds[i % 2].resource, &limit) == 0, "setrlimit: errno %d", errno);
      execl("/proc/self/exe", "address_limit", limits[i / 2], kinds[i % 2].name, (char *)NULL);
      _exit(127);
    }
    wait_for(pid, i);
  }
  return 0;
}
