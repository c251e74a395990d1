/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * core/options: what is a number, what is in range, and that the environment reaches the allocator's first block.
 */
#include <sys/mman.h>
#include <sys/resource.h>

#include "unit.h"

static void test_parse(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int64_t least, most, expected; /* -7 is the default */
  } cases[] = {
      {NULL, 0, 9, -7},
      {"", 0, 9, -7},
      {"0", 0, 9, 0},
      {"9", 0, 9, 9},
      {"10", 0, 9, -7},
      {"3", 4, 9, -7},
      {"4", 4, 9, 4},
      {"007", 0, 9, 7},
      {" 7", 0, 9, -7},
      {"7 ", 0, 9, -7},
      {"+7", 0, 9, -7},
      {"-3", -9, 9, -3},
      {"-9", -9, 9, -9},
      {"-10", -9, 9, -7},
      {"-3", 0, 9, -7},
      {"-", -9, 9, -7},
      {"--3", -9, 9, -7},
      {"- 3", -9, 9, -7},
      {"7x", 0, 9, -7},
      {"x", 0, 9, -7},
      {"0x7", 0, 9, -7},
      {"1e3", 0, 9999, -7},
      {"7.0", 0, 9, -7},
      {"7/", 0, 999, -7}, /* the characters beside the digits */
      {"7:", 0, 999, -7},
      {"\xff", 0, 9, -7},
      {"9223372036854775807", 0, INT64_MAX, INT64_MAX},
      {"9223372036854775808", 0, INT64_MAX, -7},
      {"18446744073709551616", 0, INT64_MAX, -7}, /* 2^64 is not 0 */
      {"18446744073709551617", 0, INT64_MAX, -7},
      {"99999999999999999999999999", 0, INT64_MAX, -7},
      {"00000000000000000000000000000001", 0, INT64_MAX, 1},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    int64_t got = options_parse(cases[i].text, -7, cases[i].least, cases[i].most);
    CHECK(got == cases[i].expected, "\"%s\": %lld", cases[i].text == NULL ? "(none)" : cases[i].text, (long long)got);
  }
}

static void all_defaults(size_t garbage) {
  if (garbage != 0) {
    setenv("HAKMEM_TINY", "2", 1);
    setenv("HAKMEM_MID", "yes", 1);
    setenv("HAKMEM_POOL", "-1", 1);
    setenv("HAKMEM_ACE", "", 1);
    setenv("HAKMEM_DIRTY_KIB", "9007199254740992", 1); /* one more than may be multiplied by 1024 */
    setenv("HAKMEM_DIRTY_PERCENT", "101", 1);
    setenv("HAKMEM_LOG", "01x", 1);
    setenv("HAKMEM_TINYX", "0", 1);
    setenv("HAKMEM_MI", "0", 1);
  }
  hak_free(hak_malloc(1));
#define IS_DEFAULT(name, NAME, standard, least, most, meaning) \
  CHECK(hak_options.name == (standard), "%s: %lld", #NAME, (long long)hak_options.name);
  HAK_OPTIONS(IS_DEFAULT)
#undef IS_DEFAULT
  CHECK(!hak_log_wanted(HAK_LOG_MMAP), "the log is on");
}

static void test_defaults(void **state) {
  (void)state;
  child_passes(all_defaults, 0);
  child_passes(all_defaults, 1);
}

static void every_option(size_t unused) {
  (void)unused;
#define SET(name, NAME, standard, least, most, meaning)                                       \
  {                                                                                           \
    char value[32];                                                                           \
    snprintf(value, sizeof value, "%lld", (long long)(most));                                 \
    setenv("HAKMEM_" #NAME, (least) == 0 && (most) == 1 && (standard) == 1 ? "0" : value, 1); \
  }
  HAK_OPTIONS(SET)
#undef SET
  hak_options_init();
#define IS_SET(name, NAME, standard, least, most, meaning)                                                             \
  CHECK(hak_options.name == ((least) == 0 && (most) == 1 && (standard) == 1 ? 0 : (int64_t)(most)), "%s: %lld", #NAME, \
        (long long)hak_options.name);
  HAK_OPTIONS(IS_SET)
#undef IS_SET
  CHECK(hak_log_wanted(HAK_LOG_MMAP), "the log is off");
}

static void first_block(size_t tier) {
  static const char *const names[] = {"HAKMEM_TINY", "HAKMEM_MID", "HAKMEM_POOL", "HAKMEM_ACE"};
  setenv(names[tier], "0", 1);
  void *block = hak_malloc(tier_sizes[tier]);
  CHECK(hak_tier_of(block) == (int)tier + 1, "%s", hak_tier_name(hak_tier_of(block)));
  setenv(names[tier], "1", 1); /* read once */
  void *other = hak_malloc(tier_sizes[tier]);
  CHECK(hak_tier_of(other) == (int)tier + 1, "%s", hak_tier_name(hak_tier_of(other)));
  hak_free(block);
  hak_free(other);
}

static long faults_so_far(void) {
  struct rusage usage;
  CHECK(getrusage(RUSAGE_SELF, &usage) == 0, "getrusage");
  return usage.ru_minflt;
}

/* The first blocks of a thread come out of its magazines and are resident. */
static void prewarmed(size_t kib) {
  char value[16];
  snprintf(value, sizeof value, "%zu", kib);
  setenv("HAKMEM_PREWARM_KIB", value, 1);
  hak_free(hak_malloc(1));
  hak_theap_t *heap = hak_theap_get();
  size_t pages = 0;
  long before = faults_so_far();
  for (unsigned c = 0; c < HAK_POOL_CLASSES; c++) {
    const hak_magazine_t *magazine = &heap->tls->pool[c];
    size_t bytes = hak_span_classes[c].block_bytes, wanted = kib * KIB / bytes;
    wanted = wanted < magazine->capacity ? wanted : magazine->capacity;
    CHECK(magazine->count == wanted, "class %u: %u blocks, not %zu", c, magazine->count, wanted);
    for (size_t i = 0; i < wanted; i++) {
      char *block = hak_malloc(bytes);
      CHECK(first_nonzero(block, bytes) == bytes, "class %u: not zero", c);
      for (size_t at = 0; at < bytes; at += 4096, pages++) {
        block[at] = 1;
      }
    }
  }
  long faults = faults_so_far() - before;
  bool can_populate = madvise((void *)((uintptr_t)heap & ~(uintptr_t)4095), 4096, 23 /* MADV_POPULATE_WRITE */) == 0;
  CHECK(HAK_SANITIZED || !can_populate || faults < 16, "%ld faults for %zu pages", faults, pages);
  CHECK(kib == 0 || pages > 100, "%zu pages", pages);
}

static void test_prewarm(void **state) {
  (void)state;
  child_passes(prewarmed, 0);
  child_passes(prewarmed, 100);
  child_passes(prewarmed, 256);
}

static void test_environment(void **state) {
  (void)state;
  child_passes(every_option, 0);
  for (size_t tier = 0; tier < HAK_TIER_MMAP; tier++) {
    child_passes(first_block, tier);
  }
}

static void print_options(size_t unused) {
  (void)unused;
  setenv("HAKMEM_DIRTY_PERCENT", "37", 1);
  hak_options_init();
  hak_options_print(2);
}

static void test_print(void **state) {
  (void)state;
  child_t child = child_run(print_options, 0);
  CHECK(child.status == 0, "status 0x%x", (unsigned)child.status);
  CHECK(strstr(child.output, "HAKMEM_DIRTY_PERCENT=37 (default 10): ") != NULL, "%s", child.output);
#define IS_PRINTED(name, NAME, standard, least, most, meaning)                                                         \
  CHECK(occurrences(child.output, "HAKMEM_" #NAME "=") == 1 && strstr(child.output, meaning) != NULL, "%s: %s", #NAME, \
        child.output);
  HAK_OPTIONS(IS_PRINTED)
#undef IS_PRINTED
}

int main(void) {
#define UNSET(name, NAME, standard, least, most, meaning) unsetenv("HAKMEM_" #NAME);
  HAK_OPTIONS(UNSET)
#undef UNSET
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_parse),   cmocka_unit_test(test_defaults), cmocka_unit_test(test_environment),
      cmocka_unit_test(test_prewarm), cmocka_unit_test(test_print),
  };
  return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
