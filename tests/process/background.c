/* SPDX-License-Identifier: MIT OR Apache-2.0
 * The background thread: there is none without the option; with it, it has a name, takes no signals, sleeps for good while
 * nothing is free, wakes when something is, and children of forks have one of their own.
 * runs: preload static */
#include <dirent.h>
#include <pthread.h>

#include "process.h"

#define ENOUGH (64 * MIB)

static void sleep_ms(long ms) {
  struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  nanosleep(&time, NULL);
}

/* What a file below /proc/self/task/<task> says. */
static const char *task_file(int task, const char *name) {
  static char path[64], text[4096];
  snprintf(path, sizeof path, "/proc/self/task/%d/%s", task, name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  CHECK(length > 0, "%s: errno %d", path, errno);
  close(fd);
  text[length] = '\0';
  return text;
}

/* The number of threads; sets *other to one that is not the first. */
static int tasks(int *other) {
  int count = 0;
  DIR *folder = opendir("/proc/self/task");
  CHECK(folder != NULL, "errno %d", errno);
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    int task = atoi(entry->d_name);
    count += task != 0;
    if (task != 0 && task != getpid()) *other = task;
  }
  closedir(folder);
  return count;
}

static unsigned long long status_of(int task, const char *key, int base) {
  const char *found = strstr(task_file(task, "status"), key);
  CHECK(found != NULL, "no %s", key);
  return strtoull(found + strlen(key), NULL, base);
}

/* Memory that is used and freed. */
static void use_much(void) {
  enum { BLOCKS = ENOUGH / (128 * 1024) };
  static void *blocks[BLOCKS];
  for (int i = 0; i < BLOCKS; i++) {
    blocks[i] = malloc(128 * KIB);
    CHECK(blocks[i] != NULL, "block %d", i);
    memset(blocks[i], 1, 128 * KIB);
  }
  for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
}

static void goes_back(const char *who) {
  for (int i = 0; resident_bytes() > ENOUGH / 8; i++) {
    CHECK(i < 2000, "%s: %zu KiB stay", who, resident_bytes() / KIB);
    sleep_ms(10);
  }
}

/* The thread's waits do not become more while nothing happens. Others may have left something, which it looks after first. */
static void sleeps_well(int thread) {
  const char *key = "\nvoluntary_ctxt_switches:";
  for (int i = 0;; i++) {
    CHECK(i < 20, "it never sleeps");
    unsigned long long before = status_of(thread, key, 10);
    sleep_ms(1000); /* twenty looks */
    if (status_of(thread, key, 10) == before) return;
  }
}

static void in_child(int generation) {
  pid_t pid = fork();
  if (pid == 0) {
    alarm(60);
    int thread = 0;
    CHECK(status_of(getpid(), "Threads:", 10) == 1, "a thread survived the fork"); /* this allocates nothing */
    use_much();
    CHECK(tasks(&thread) == 2, "no thread in child %d", generation);
    goes_back("a child");
    if (generation < 3) in_child(generation + 1);
    exit(0);
  }
  wait_for(pid, (size_t)generation);
}

static int with_thread(void) {
  int thread = 0;
  use_much();
  CHECK(tasks(&thread) == 2, "no thread");
  CHECK(strcmp(task_file(thread, "comm"), "hakmem\n") == 0, "%s", task_file(thread, "comm"));
  static const int signals[] = {1, 2, 3, 10, 13, 14, 15, 17, 20, 40};
  for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
    CHECK(status_of(thread, "SigBlk:", 16) >> (signals[i] - 1) & 1, "signal %d is not blocked", signals[i]);
  }
  goes_back("the program");
  collect();
  sleeps_well(thread);
  use_much();
  goes_back("the program, again");
  in_child(1);
  CHECK(tasks(&thread) == 2, "%d threads", tasks(&thread));
  return 0;
}

static int without_thread(void) {
  int thread = 0;
  for (int i = 0; i < 10; i++) use_much();
  CHECK(tasks(&thread) == 1, "%d threads", tasks(&thread));
  return 0;
}

int main(int count, char **arguments) {
  check_allocator();
  (void)arguments;
  if (count == 2) return strcmp(getenv("HAKMEM_BACKGROUND"), "1") == 0 ? with_thread() : without_thread();
  for (int with = 0; with < 2; with++) {
    pid_t pid = fork();
    if (pid == 0) {
      setenv("HAKMEM_PURGE_DELAY_MS", "200", 1);
      setenv("HAKMEM_BACKGROUND", with ? "1" : "0", 1); /* a build may have either as its default */
      execl("/proc/self/exe", "background", "run", (char *)NULL);
      _exit(127);
    }
    wait_for(pid, (size_t)with);
  }
  return 0;
}
