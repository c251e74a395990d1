/* SPDX-License-Identifier: MIT OR Apache-2.0
 * What glibc has beside malloc's family: questions, settings, and the names behind the names.
 * runs: system preload static */
#include "process.h"

#ifdef __GLIBC__
#include <malloc.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t), *__libc_valloc(size_t), *__libc_pvalloc(size_t);
extern void __libc_free(void *);
extern int __libc_mallopt(int, int);
extern struct mallinfo __libc_mallinfo(void);

/* Blocks of one name go to the functions of the other. */
static void names_behind_the_names(void) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  struct {
    const char *name;
    void *block;
    size_t alignment;
  } blocks[] = {
      {"__libc_malloc", __libc_malloc(100), 16},         {"__libc_calloc", __libc_calloc(10, 10), 16},
      {"__libc_realloc", __libc_realloc(NULL, 100), 16}, {"__libc_memalign", __libc_memalign(256, 100), 256},
      {"__libc_valloc", __libc_valloc(100), page},       {"__libc_pvalloc", __libc_pvalloc(100), page},
  };
  for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
    CHECK(blocks[i].block != NULL && (uintptr_t)blocks[i].block % blocks[i].alignment == 0, "%s: %p", blocks[i].name,
          blocks[i].block);
    CHECK(is_expected(blocks[i].block), "%s gives another allocator's block", blocks[i].name);
    memset(blocks[i].block, 1, 100);
    if (i % 2 == 0) {
      free(blocks[i].block);
    } else {
      __libc_free(realloc(blocks[i].block, 5000));
    }
  }
  errno = 0;
  CHECK(__libc_malloc(opaque_size(SIZE_MAX)) == NULL && errno == ENOMEM, "errno is %d", errno);
  CHECK(__libc_realloc(malloc(10), 0) == NULL, "__libc_realloc(p, 0) frees");
  CHECK(__libc_mallopt(M_MXFAST, 64) == 1 && __libc_mallopt(M_MXFAST, -1) == 0, "__libc_mallopt");
  CHECK(__libc_mallinfo().uordblks > 0, "__libc_mallinfo");
}

static void what_is_in_use(void) {
  enum { BLOCKS = 20000, BYTES = 1000 };
  static void *block[BLOCKS];
  struct mallinfo2 before = mallinfo2();
  for (int i = 0; i < BLOCKS; i++) block[i] = memset(malloc(BYTES), 1, BYTES);
  void *mapped = malloc(64 * MIB);
  CHECK(mapped != NULL, "64 MiB");
  struct mallinfo2 during = mallinfo2();
  size_t grown = during.uordblks - before.uordblks;
  CHECK(grown >= BLOCKS * (size_t)BYTES && grown < BLOCKS * (size_t)BYTES * 5 / 4, "%zu bytes more in use", grown);
  CHECK(during.arena == during.uordblks + during.fordblks, "%zu is not %zu + %zu", during.arena, during.uordblks,
        during.fordblks);
  CHECK(during.hblkhd >= before.hblkhd + 64 * MIB && during.hblks == before.hblks + 1, "%zu bytes in %zu mappings",
        during.hblkhd, during.hblks);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  struct mallinfo old = mallinfo();
#pragma GCC diagnostic pop
  CHECK((size_t)old.uordblks == during.uordblks && (size_t)old.hblkhd == during.hblkhd, "mallinfo: %d, %d",
        old.uordblks, old.hblkhd);
  free(mapped);
  for (int i = 0; i < BLOCKS; i++) free(block[i]);
  struct mallinfo2 after = mallinfo2();
  CHECK(after.hblkhd == before.hblkhd && after.hblks == before.hblks, "%zu mappings are left", after.hblks);
  CHECK(after.uordblks < during.uordblks - grown / 2, "%zu bytes are still in use", after.uordblks);
}

static void use_and_free(size_t bytes) {
  size_t count = bytes / 1000;
  void **block = calloc(count, sizeof(void *));
  for (size_t i = 0; i < count; i++) block[i] = memset(malloc(1000), 1, 1000);
  for (size_t i = 0; i < count; i++) free(block[i]);
  free(block);
}

/* What glibc returns is up to where its blocks happen to lie; here all of it is free memory within the bound, and goes also
 * when the last trim was a moment ago. */
static void trimming(void) {
  for (int round = 0; round < 3; round++) {
    use_and_free(20 * MIB);
    size_t resident = resident_bytes();
    int trimmed = malloc_trim(0);
    if (runs_as("system")) return;
    CHECK(trimmed == 1 && resident_bytes() + 15 * MIB < resident, "malloc_trim is %d, resident before %zu, after %zu",
          trimmed, resident, resident_bytes());
    CHECK(malloc_trim(0) == 0, "malloc_trim found something a second time");
  }
  void *mapped = memset(malloc(40 * MIB), 1, 40 * MIB);
  size_t with = resident_bytes();
  free(mapped);
  bool gone = resident_bytes() + 35 * MIB < with; /* in the secure build: it is wiped */
  CHECK((malloc_trim(0) == 1 || gone) && resident_bytes() + 35 * MIB < with,
        "a mapping stays: resident before %zu, after %zu", with, resident_bytes());
}

static void trimming_but_for_a_pad(void) {
  if (runs_as("system")) return;
  usleep(100000);
  use_and_free(20 * MIB);
  CHECK(malloc_trim(SIZE_MAX) <= 1 && malloc_trim((size_t)PTRDIFF_MAX) <= 1, "a pad that is more than there is");
  usleep(100000);
  size_t resident = resident_bytes(), after;
  CHECK(malloc_trim(8 * MIB) == 1, "nothing beside the pad");
  after = resident_bytes();
  CHECK(after + 10 * MIB < resident && after + 14 * MIB > resident, "resident before %zu, after %zu", resident, after);
  CHECK(malloc_trim(0) == 1 && resident_bytes() + 6 * MIB < after, "the pad stays: resident %zu", resident_bytes());
}

static uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A program that trims between all that it does: most of its calls have little to do, and do nothing. */
static void trimming_all_the_time(void) {
  enum { LIVE = 64, CALLS = 20000, AT_LEAST_MS = 100 };
  void *block[LIVE] = {NULL};
  unsigned random = 1, released = 0;
  uint64_t start = now_ms();
  int calls = 0;
  for (; calls < CALLS || now_ms() < start + AT_LEAST_MS; calls++) {
    random = random * 1103515245 + 12345;
    size_t at = (random >> 16) % LIVE, size = 100 + (random >> 8) % 60000;
    free(block[at]);
    block[at] = malloc(size);
    CHECK(block[at] != NULL, "%zu bytes", size);
    fill_block(block[at], size);
    released += (unsigned)malloc_trim(0);
  }
  uint64_t took = now_ms() - start;
  for (int i = 0; i < LIVE; i++) free(block[i]);
  printf("%u of %d calls in %lu ms returned memory\n", released, calls, (unsigned long)took);
  if (runs_as("system")) return;
  /* One in 16 ms, and those before their time that find more and more. */
  CHECK(released > 0 && released <= took / 16 + 10, "%u of %d calls in %lu ms returned memory", released, calls,
        (unsigned long)took);
}

static void info_as_xml(void) {
  char *text = NULL;
  size_t size = 0;
  FILE *file = open_memstream(&text, &size);
  CHECK(malloc_info(1, file) == EINVAL && ftell(file) == 0, "an option that does not exist");
  CHECK(malloc_info(0, file) == 0, "malloc_info");
  fclose(file);
  static const char start[] = "<malloc version=\"1\">\n", end[] = "</malloc>\n";
  CHECK(size > sizeof start + sizeof end && strncmp(text, start, sizeof start - 1) == 0, "it begins with %.30s", text);
  CHECK(strcmp(text + size - (sizeof end - 1), end) == 0, "it ends with %s", text + size - 10);
  int depth = 0; /* every element ends */
  for (const char *at = text; *at != '\0'; at++) {
    if (at[0] == '<') depth += at[1] == '/' ? -1 : 1;
    if (at[0] == '/' && at[1] == '>') depth--;
    CHECK(depth >= 0, "an end without a start at %.30s", at);
  }
  CHECK(depth == 0, "%d elements do not end", depth);
  free(text);
}

static void settings(void) {
  CHECK(mallopt(M_MXFAST, 64) == 1, "M_MXFAST");
  CHECK(mallopt(M_MXFAST, 100000) == 0 && mallopt(M_MXFAST, -1) == 0, "M_MXFAST out of range");
  CHECK(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1 && mallopt(-1000, 0) == 1, "M_MMAP_THRESHOLD");
  CHECK(mallopt(M_TRIM_THRESHOLD, 1 << 20) == 1 && mallopt(M_TOP_PAD, 0) == 1 && mallopt(M_MMAP_MAX, 1000) == 1,
        "sizes");
  CHECK(mallopt(M_ARENA_MAX, 2) == 1 && mallopt(M_ARENA_TEST, 2) == 1 && mallopt(M_PERTURB, 0) == 1, "others");
}

int main(void) {
  check_allocator();
  what_is_in_use();
  names_behind_the_names();
  trimming();
  trimming_but_for_a_pad();
  trimming_all_the_time();
  info_as_xml();
  settings();
  malloc_stats();
  use_every_tier();
  return 0;
}

#else
int main(void) { return 0; } /* musl has none of it */
#endif
