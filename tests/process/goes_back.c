/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Memory that is free goes back to the system: 1 GiB (short: 256 MiB) in blocks of one size, touched and freed, by the
 * thread that allocated, by another one while that one sleeps, after that one's end, or by one that sleeps afterwards.
 * Less than 5% of the peak stays resident after a while of a little activity, after hak_collect(1) at once, and, with
 * the background thread, after a while without any activity. Each case has a process of its own. The deadline is generous,
 * for machines that do something else; what it took is printed.
 * runs: preload static */
#include <pthread.h>
#include <semaphore.h>

#include "process.h"

#define DEADLINE_MS 10000

static const size_t sizes[] = {64, 16 * KIB, 256 * KIB, 4 * MIB};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

enum { BY_OWNER, OWNER_SLEEPS, OWNER_ENDED, FREER_SLEEPS, WAYS };
static const char *const ways[WAYS] = {"by their owner", "while their owner sleeps", "after their owner's end",
                                       "by a thread that then sleeps"};

enum { LITTLE, ONE_SIZE, IDLE, COLLECT, KINDS };
static const char *const kinds[KINDS] = {"a little activity", "a little activity of one size", "no activity",
                                         "a forced collect"};

/* The resident set, without the use of anything that might allocate. */
static size_t resident(void) {
  char text[128];
  int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  CHECK(length > 0, "/proc/self/statm: errno %d", errno);
  text[length] = '\0';
  return strtoul(strchr(text, ' '), NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void sleep_ms(long ms) {
  struct timespec time = {.tv_sec = 0, .tv_nsec = ms * 1000000};
  nanosleep(&time, NULL);
}

/* The blocks, linked through themselves in the order of their allocation. */
typedef struct block {
  struct block *next;
} block_t;

static block_t *first;
static size_t block_bytes, total;

static void allocate_all(void) {
  block_t **end = &first;
  for (size_t i = 0; i < total / block_bytes; i++) {
    char *block = malloc(block_bytes);
    CHECK(block != NULL, "block %zu of %zu bytes", i, block_bytes);
    for (size_t at = 0; at < block_bytes; at += 4096) block[at] = 1;
    *end = (block_t *)(void *)block;
    end = &(*end)->next;
  }
  *end = NULL;
}

static void free_all(void) {
  while (first != NULL) {
    block_t *block = first;
    first = block->next;
    free(block);
  }
}

static sem_t done, never;

/* Runs a part, tells so, and ends or sleeps for good. */
typedef struct part {
  void (*run)(void);
  bool sleeps;
} part_t;

static void *run_part(void *argument) {
  const part_t *part = argument;
  part->run();
  sem_post(&done);
  while (part->sleeps) sem_wait(&never);
  return NULL;
}

static void in_thread(void (*run)(void), bool sleeps) {
  static part_t part; /* one thread at a time */
  part = (part_t){run, sleeps};
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, run_part, &part) == 0, "thread");
  if (!sleeps) {
    pthread_join(thread, NULL);
  } else {
    sem_wait(&done);
  }
}

/* A few small blocks each millisecond, of which sixteen live for a while. */
static void do_a_little(bool one_size) {
  static void *live[16];
  static unsigned random = 1;
  for (int i = 0; i < 4; i++) {
    random = random * 1103515245 + 12345;
    void **place = one_size ? &live[0] : &live[random >> 8 & 15];
    free(opaque(*place));
    *place = NULL;
    *place = malloc(one_size ? 64 : 16 + (random >> 16 & 1023));
    if (one_size) {
      free(opaque(*place));
      *place = NULL;
    }
  }
}

static int run(size_t size, int way, int kind) {
  block_bytes = size;
  total = work(1024, 256) * MIB;
  sem_init(&done, 0, 0);
  sem_init(&never, 0, 0);
  if (way == BY_OWNER || way == FREER_SLEEPS) {
    allocate_all();
  } else {
    in_thread(allocate_all, way == OWNER_SLEEPS);
  }
  size_t peak = resident();
  CHECK(peak >= total, "only %zu KiB", peak / KIB);
  if (way == FREER_SLEEPS) {
    in_thread(free_all, true);
  } else {
    free_all();
  }
  if (kind == COLLECT) collect();
  uint64_t start = now_ms(), took;
  size_t left;
  while (left = resident(), took = now_ms() - start, left >= peak / 20 && took < DEADLINE_MS && kind != COLLECT) {
    if (kind != IDLE) do_a_little(kind == ONE_SIZE);
    sleep_ms(1);
  }
  printf("%zu B freed %s: %s: %zu KiB of %zu after %d ms\n", size, ways[way], kinds[kind], left / KIB, peak / KIB,
         (int)took);
  return left < peak / 20 ? 0 : 1;
}

/* A thread that allocates and frees blocks of one size finds them in its bin, and comes by nowhere. It does only if it was
 * the one that freed, for then its bin stays closed for a while. */
static bool is_promised(int way, int kind) { return !(way == FREER_SLEEPS && kind == ONE_SIZE); }

static pid_t start(int size, int way, int kind) {
  char digits[3][2] = {{(char)('0' + size), 0}, {(char)('0' + way), 0}, {(char)('0' + kind), 0}};
  pid_t pid = fork();
  if (pid == 0) {
    if (kind == IDLE) setenv("HAKMEM_BACKGROUND", "1", 1);
    alarm(120);
    execl("/proc/self/exe", "goes_back", digits[0], digits[1], digits[2], (char *)NULL);
    _exit(127);
  }
  return pid;
}

int main(int count, char **arguments) {
  check_allocator();
  if (count == 4) return run(sizes[atoi(arguments[1])], atoi(arguments[2]), atoi(arguments[3]));
  bool failed = false;
  size_t at_once = work(2, SIZES); /* they do little but wait */
  for (int i = 0; i < WAYS * KINDS; i++) {
    if (!is_promised(i / KINDS, i % KINDS)) continue;
    for (int size = 0; size < SIZES; size += (int)at_once) {
      pid_t pids[SIZES];
      for (int k = 0; k < (int)at_once; k++) pids[k] = start(size + k, i / KINDS, i % KINDS);
      for (int k = 0; k < (int)at_once; k++) {
        int status;
        CHECK(pids[k] > 0 && waitpid(pids[k], &status, 0) == pids[k], "no child: errno %d", errno);
        failed |= status != 0;
      }
    }
  }
  return failed;
}
