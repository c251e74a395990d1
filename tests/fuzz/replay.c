/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Runs the state machine of fuzz.c without libFuzzer: on files, or on all in a folder, and on random inputs.
 *
 *   fuzz_replay [PATH]...           those; without any, the corpus and some random inputs, with HAK_TEST_SHORT fewer
 *   fuzz_replay --random COUNT SEED
 *
 * When one fails, the last line says which it was. A random input is made from its number alone: SEED of it and COUNT 1
 * repeat it. */
#include "fuzz.c"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>

enum { INPUT_MAX = 4096 };

static char current[512]; /* the input that runs */

static void on_abort(int number) {
  (void)number;
  if (write(2, current, strlen(current)) < 0) _exit(3);
  _exit(1);
}

static size_t runs;

static void run_file(const char *path) {
  static uint8_t data[1 << 20];
  FILE *file = fopen(path, "rb");
  CHECK(file != NULL, "%s: errno %d", path, errno);
  size_t bytes = fread(data, 1, sizeof data, file);
  fclose(file);
  snprintf(current, sizeof current, "the input: %s\n", path);
  LLVMFuzzerTestOneInput(data, bytes);
  runs++;
}

static int not_hidden(const struct dirent *entry) { return entry->d_name[0] != '.'; }

static void run_path(const char *path) {
  struct stat status;
  CHECK(stat(path, &status) == 0, "%s: errno %d", path, errno);
  if (!S_ISDIR(status.st_mode)) {
    run_file(path);
    return;
  }
  struct dirent **entries;
  int count = scandir(path, &entries, not_hidden, alphasort);
  CHECK(count > 0, "%s: no input", path);
  for (int i = 0; i < count; i++) {
    char name[4096];
    snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
    run_file(name);
    free(entries[i]);
  }
  free(entries);
}

static void run_random(unsigned long count, uint64_t seed) {
  for (unsigned long i = 0; i < count; i++) {
    uint8_t data[INPUT_MAX];
    uint64_t state = (seed + i) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    for (size_t at = 0; at < sizeof data; at++) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      data[at] = (uint8_t)(state >> 32);
    }
    snprintf(current, sizeof current, "the input: --random 1 %llu\n", (unsigned long long)(seed + i));
    LLVMFuzzerTestOneInput(data, state % sizeof data);
    runs++;
  }
}

int main(int count, char **arguments) {
  signal(SIGABRT, on_abort);
  signal(SIGSEGV, on_abort);
  if (count == 4 && strcmp(arguments[1], "--random") == 0) {
    run_random(strtoul(arguments[2], NULL, 0), strtoull(arguments[3], NULL, 0));
  } else {
    for (int i = 1; i < count; i++) run_path(arguments[i]);
  }
  if (count == 1) {
    run_path(FUZZ_CORPUS);
    const char *less = getenv("HAK_TEST_SHORT");
    run_random(less != NULL && less[0] != '\0' && less[0] != '0' ? 4 : 20, 1);
  }
  printf("%zu inputs\n", runs);
  return 0;
}
