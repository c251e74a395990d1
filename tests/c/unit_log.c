/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * base/log: the formatter against snprintf, lines that are cut, the rate limit, and the last words.
 */
#include "unit.h"

#define SAME(format, ...)                                                                                \
  do {                                                                                                   \
    char expected[256], got[256];                                                                        \
    int length = snprintf(expected, sizeof expected, format, __VA_ARGS__);                               \
    size_t written = hak_format(got, sizeof got, format, __VA_ARGS__);                                   \
    CHECK(written == (size_t)length && strcmp(expected, got) == 0, "\"%s\", not \"%s\"", got, expected); \
  } while (0)

static const int64_t numbers[] = {
    0, 1, -1, 9, 10, -10, INT32_MAX, INT32_MIN, UINT32_MAX, INT64_MAX, INT64_MIN, INT64_MIN + 1, 1000000007, -99};

static void test_format(void **state) {
  (void)state;
  SAME("%s", "");
  SAME("%s|%s", "left", "right");
  SAME("100%% %d", 1);
  for (size_t i = 0; i < COUNT_OF(numbers); i++) {
    int64_t n = numbers[i];
    SAME("%d %u %x", (int)n, (unsigned)n, (unsigned)n);
    SAME("[%ld] [%lu] [%lx]", (long)n, (unsigned long)n, (unsigned long)n);
    SAME("%zu, %llx.", (size_t)n, (unsigned long long)n);
    SAME("a%db%uc%sd%zu", (int)n, (unsigned)n, "text", (size_t)n);
  }
}

static void test_cut(void **state) {
  (void)state;
  char whole[64];
  size_t length = hak_format(whole, sizeof whole, "%s=%d, %lx", "number", -12345, 0xabcdefUL);
  for (size_t capacity = 1; capacity < sizeof whole; capacity++) {
    char out[80];
    memset(out, '#', sizeof out);
    size_t written = hak_format(out, capacity, "%s=%d, %lx", "number", -12345, 0xabcdefUL);
    size_t expected = length < capacity ? length : capacity - 1;
    CHECK(written == expected && memcmp(out, whole, written) == 0 && out[written] == 0, "%zu bytes: %zu", capacity,
          written);
    for (size_t i = written + 1; i < sizeof out; i++) {
      CHECK(out[i] == '#', "%zu bytes: wrote at %zu", capacity, i);
    }
  }
  char untouched = '#';
  CHECK(hak_format(&untouched, 0, "%s", "text") == 0 && untouched == '#', "a buffer of no bytes");
}

/* Reads what is in the pipe, all of which was written before. */
static size_t drain(int fd, char *out, size_t capacity) {
  ssize_t n = read(fd, out, capacity - 1);
  out[n > 0 ? n : 0] = 0;
  return n > 0 ? (size_t)n : 0;
}

static void test_print(void **state) {
  (void)state;
  int ends[2];
  CHECK(pipe(ends) == 0, "errno %d", errno);
  char got[2048], text[1024];
  errno = 77;
  hak_print(ends[1], "%s %d", "line", 5);
  CHECK(errno == 77, "errno %d", errno);
  drain(ends[0], got, sizeof got);
  CHECK(strcmp(got, "line 5\n") == 0, "\"%s\"", got);
  for (size_t length = 500; length < 530; length++) { /* a line has at most 512 bytes and always ends */
    memset(text, 'x', length);
    text[length] = 0;
    hak_print(ends[1], "%s", text);
    size_t n = drain(ends[0], got, sizeof got);
    size_t kept = n - 1;
    CHECK(n <= 512 && n != 0 && got[kept] == '\n' && (kept == length || (kept < length && kept >= 509)), "%zu of %zu",
          n, length);
    CHECK(strspn(got, "x") == kept, "%zu of %zu", strspn(got, "x"), length);
  }
  close(ends[0]);
  close(ends[1]);
  errno = 77;
  hak_print(ends[1], "to nobody"); /* EBADF: given up, not retried for ever */
  CHECK(errno == 77, "errno %d", errno);
}

static void print_much(size_t lines) {
  for (size_t i = 0; i < lines; i++) {
    hak_log(HAK_LOG_CHUNK, "chunk %zu", i);
    hak_log(HAK_LOG_OOM, "oom %zu", i);
  }
}

static void limited(size_t lines) {
  print_much(lines); /* off: nothing, and nothing is counted */
  hak_log_enable(true);
  print_much(lines);
  hak_log_enable(false);
  print_much(1);
}

static void test_rate_limit(void **state) {
  (void)state;
  child_t child = child_run(limited, 25);
  CHECK(child.status == 0, "status 0x%x", (unsigned)child.status);
  CHECK(occurrences(child.output, "chunk ") == 10 && occurrences(child.output, "oom ") == 10, "%s", child.output);
  CHECK(occurrences(child.output, "chunk 9\n") == 1 && occurrences(child.output, "\n") == 20, "%s", child.output);
  child = child_run(limited, 4);
  CHECK(occurrences(child.output, "chunk ") == 4 && occurrences(child.output, "oom ") == 4, "%s", child.output);
}

static void die(size_t pointer) { hak_fatal("hak_free", HAK_BAD_INTERIOR, (void *)pointer); }

static void fail_check(size_t value) { hak_check(value == 1); }

static void test_last_words(void **state) {
  (void)state;
  child_aborts(die, 0x7f00abcd1230, "hakmem: hak_free: pointer inside a block: 0x7f00abcd1230\n");
  child_aborts(die, 0, "hakmem: hak_free: pointer inside a block: 0x0\n");
  child_passes(fail_check, 1);
  child_aborts(fail_check, 2, "hakmem: fail_check: corrupted: not value == 1: 0x0\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_format),     cmocka_unit_test(test_cut),        cmocka_unit_test(test_print),
      cmocka_unit_test(test_rate_limit), cmocka_unit_test(test_last_words),
  };
  return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
