/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Transparent huge pages, as the system has them set and switched off for the process: a program that uses little memory
 * stays small, even where every mapping of 2 MiB could become resident at its first byte.
 * runs: preload static */
#include <pthread.h>
#include <sys/prctl.h>

#include "process.h"

static void *use_in_thread(void *argument) {
  for (int i = 0; i < 3; i++) {
    void *block = malloc(tier_sizes[i]);
    memset(block, 1, tier_sizes[i]);
    free(block);
  }
  return argument;
}

static int use_little(const char *mode) {
  use_in_thread(NULL);
  for (int i = 0; i < 8; i++) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, use_in_thread, NULL) == 0, "thread");
    pthread_join(thread, NULL);
  }
  size_t resident = resident_bytes();
  printf("%s: resident %zu KiB\n", mode, resident / KIB);
  fflush(stdout);
  CHECK(resident < 12 * MIB, "%s: resident %zu KiB", mode, resident / KIB);
  use_every_tier();
  return 0;
}

int main(int count, char **arguments) {
  check_allocator();
  if (count == 2) return use_little(arguments[1]);
  char mode[100] = "no huge pages";
  int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY);
  if (fd >= 0 && read(fd, mode, sizeof mode - 1) < 0) return 1;
  mode[strcspn(mode, "\n")] = '\0';
  for (int off = 0; off < 2; off++) {
    pid_t pid = fork();
    if (pid == 0) {
      if (off) CHECK(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0, "prctl: errno %d", errno);
      execl("/proc/self/exe", "huge_pages", off ? "switched off" : mode, (char *)NULL);
      _exit(127);
    }
    wait_for(pid, (size_t)off);
  }
  return 0;
}
