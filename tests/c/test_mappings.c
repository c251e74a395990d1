/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What large blocks cost the kernel: mappings, of which a process may have 65530 by default (vm.max_map_count), and
 * address space around aligned blocks.
 */
#include <sys/resource.h>

#include "testing.h"

/* The lines of /proc/self/maps, read without stdio, and the bytes of address space in them that are anonymous. */
static size_t mappings(size_t *anonymous_bytes) {
  static char text[1 << 16];
  int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  CHECK(fd >= 0, "errno %d", errno);
  size_t lines = 0, fill = 0;
  *anonymous_bytes = 0;
  for (ssize_t got; (got = read(fd, text + fill, sizeof text - 1 - fill)) > 0;) {
    fill += (size_t)got;
    text[fill] = '\0';
    char *line = text, *end;
    for (; (end = strchr(line, '\n')) != NULL; line = end + 1, lines++) {
      char *after;
      unsigned long long from = strtoull(line, &after, 16), to = strtoull(after + 1, NULL, 16);
      *end = '\0';
      if (strchr(line, '/') == NULL && strchr(line, '[') == NULL) {
        *anonymous_bytes += (size_t)(to - from);
      }
    }
    fill -= (size_t)(line - text);
    memmove(text, line, fill);
  }
  close(fd);
  return lines;
}

/* Address space without a limit, and memory that the kernel hands out on faith. */
static bool system_allows(size_t bytes) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY) {
    return false;
  }
  char mode = '2';
  int fd = open("/proc/sys/vm/overcommit_memory", O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    (void)!read(fd, &mode, 1);
    close(fd);
  }
  return mode == '1' || (mode == '0' && sysconf(_SC_AVPHYS_PAGES) * sysconf(_SC_PAGESIZE) > (long)bytes);
}

/* 200 000 blocks of 60 KiB to 3 MiB, a byte of each touched: three times as many as there may be mappings, in 300 GiB of
 * address space. */
static void many_blocks_need_few_mappings(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  size_t count = test_work(200000), anonymous, before = mappings(&anonymous);
  if (!system_allows(count * 8 * KIB)) { /* a page of each block, and metadata */
    skip();
  }
  char **blocks = malloc(count * sizeof(char *));
  rng_t rng = {test_seed()};
  size_t large = 0;
  for (size_t i = 0; i < count; i++) {
    size_t size = rng_between(&rng, 60 * KIB, 3 * MIB);
    large += size > ACE_LIMIT;
    blocks[i] = hak_malloc(size);
    CHECK(blocks[i] != NULL, "block %zu of %zu: errno %d", i, count, errno);
    blocks[i][0] = (char)i;
  }
  size_t now = mappings(&anonymous);
  CHECK(now - before < 200 + large / 10, "%zu mappings for %zu blocks, %zu of them above 2 MiB", now - before, count,
        large);
  /* Every other one is freed: holes may split mappings, but not without end, and all is well after that. */
  for (size_t i = 0; i < count; i += 2) {
    CHECK(blocks[i][0] == (char)i, "block %zu", i);
    hak_free(blocks[i]);
  }
  now = mappings(&anonymous);
  CHECK(now < 60000, "%zu mappings for half of %zu blocks", now, count);
  for (size_t i = 0; i < count; i += 2) {
    blocks[i] = hak_malloc(3 * MIB);
    CHECK(blocks[i] != NULL, "block %zu of %zu: errno %d", i, count, errno);
    blocks[i][0] = (char)i;
    if (i % 20 == 0) { /* 30 GiB of them */
      continue;
    }
    hak_free(blocks[i]);
    blocks[i] = NULL;
  }
  for (size_t i = 0; i < count; i++) {
    CHECK(blocks[i] == NULL || blocks[i][0] == (char)i, "block %zu", i);
    hak_free(blocks[i]);
  }
  free(blocks);
  hak_collect(1);
  now = mappings(&anonymous);
  CHECK(now - before < 1000 + count / 20, "%zu mappings are left", now - before);
}

/* The address space that alignment costs is given back, and the block is whole and usable. */
static void alignment_keeps_no_slack(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  hak_free(hak_aligned_alloc(8 * MIB, 3 * MIB)); /* the very first keeps some: hak_os_map_aligned */
  hak_collect(1);
  for (size_t alignment = 4 * MIB; alignment <= GIB; alignment *= 2) {
    char *blocks[4];
    size_t before, now, size = 3 * MIB;
    (void)mappings(&before);
    for (size_t i = 0; i < 4; i++) {
      blocks[i] = hak_aligned_alloc(alignment, size);
      CHECK(blocks[i] != NULL && (uintptr_t)blocks[i] % alignment == 0, "alignment %zu: %p", alignment,
            (void *)blocks[i]);
      pattern_fill_ends(blocks[i], size, i);
    }
    (void)mappings(&now);
    CHECK(growth(before, now) <= 4 * size + 64 * KIB, "alignment %zu: %zu bytes are mapped for %zu", alignment,
          growth(before, now), 4 * size);
    for (size_t i = 0; i < 4; i++) {
      CHECK(pattern_check_ends(blocks[i], size, i), "alignment %zu", alignment);
      hak_free(blocks[i]);
    }
    hak_collect(1);
    (void)mappings(&now);
    CHECK(growth(before, now) <= 64 * KIB, "alignment %zu: %zu bytes stay", alignment, growth(before, now));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(many_blocks_need_few_mappings),
      cmocka_unit_test(alignment_keeps_no_slack),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
