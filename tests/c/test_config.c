/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * hak_config_get and hak_option_get say what hak_config_print prints, and their structures may only have a known size.
 */
#include "testing.h"

static char printed[64 * KIB];

static int read_printed(void **state) {
  (void)state;
  FILE *file = tmpfile();
  CHECK(file != NULL, "tmpfile");
  hak_config_print(fileno(file));
  rewind(file);
  size_t length = fread(printed, 1, sizeof printed - 1, file);
  printed[length] = 0;
  fclose(file);
  return 0;
}

static void config_is_what_is_printed(void **state) {
  (void)state;
  hak_config_t config = {.size = sizeof config};
  CHECK(hak_config_get(&config) == 1, "refused");
  CHECK(config.size == sizeof config && config.version == hak_version(), "version %d", config.version);
  char line[4 * KIB];
  snprintf(line, sizeof line, "\ncompiler: %s\n", config.compiler);
  CHECK(strstr(printed, line) != NULL, "not printed: %s", line);
  snprintf(line, sizeof line, "\nflags: %s\n", config.flags);
  CHECK(strstr(printed, line) != NULL, "not printed: %s", line);
  snprintf(line, sizeof line, "\nmalloc and free replaced: %s; assertions: level %d\n",
           config.replaces_malloc ? "yes" : "no", config.assertions);
  CHECK(strstr(printed, line) != NULL, "not printed: %s", line);
  for (int tier = 0; tier < HAK_TIER_MMAP; tier++) {
    CHECK(hak_tier_of(NULL) == HAK_TIER_NONE, "NULL");
    void *block = hak_malloc(config.tier_bytes[tier]), *larger = hak_malloc(config.tier_bytes[tier] + 1);
    CHECK(hak_tier_of(block) == tier, "%s: %zu bytes", hak_tier_name(tier), config.tier_bytes[tier]);
    CHECK(hak_tier_of(larger) == tier + 1, "%s: %zu bytes and one", hak_tier_name(tier), config.tier_bytes[tier]);
    hak_free(block);
    hak_free(larger);
  }
  CHECK(hak_malloc(config.tier_bytes[HAK_TIER_MMAP]) == NULL, "no machine has so much memory");
}

static void options_are_what_is_printed(void **state) {
  (void)state;
  unsigned number = 0;
  const char *from = strstr(printed, "\nHAKMEM_");
  CHECK(from != NULL, "no option is printed");
  for (hak_option_t option = {.size = sizeof option}; hak_option_get(number, &option); number++) {
    CHECK(option.size == sizeof option, "%zu bytes are filled in", option.size);
    char line[KIB];
    snprintf(line, sizeof line, "\n%s=%lld (default %lld): %s\n", option.variable, (long long)option.value,
             (long long)option.standard, option.meaning);
    CHECK(strncmp(from, line, strlen(line)) == 0, "not printed in its place: %s", line);
    CHECK(option.least <= option.value && option.value <= option.most, "%s is out of range", option.variable);
    from += strlen(line) - 1;
  }
  CHECK(number >= 10 && strcmp(from, "\n") == 0, "printed, but no option: %s", from);
  hak_option_t none = {.size = sizeof none, .variable = "untouched"};
  CHECK(hak_option_get(UINT_MAX, &none) == 0, "there is an option %u", UINT_MAX);
  CHECK(strcmp(none.variable, "untouched") == 0, "something was written for an option that is none");
}

static void unknown_sizes_are_refused(void **state) {
  (void)state;
  static const size_t sizes[] = {0,
                                 1,
                                 sizeof(hak_config_t) - 1,
                                 sizeof(hak_config_t) + 1,
                                 sizeof(hak_option_t) - 1,
                                 sizeof(hak_option_t) + 1,
                                 SIZE_MAX};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    hak_config_t config = {.size = sizes[i], .version = -7};
    hak_option_t option = {.size = sizes[i], .value = -7};
    CHECK(hak_config_get(&config) == 0, "a configuration of %zu bytes", sizes[i]);
    CHECK(hak_option_get(0, &option) == 0, "an option of %zu bytes", sizes[i]);
    CHECK(config.size == sizes[i] && config.version == -7, "a refused configuration was written to");
    CHECK(option.size == sizes[i] && option.value == -7, "a refused option was written to");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(config_is_what_is_printed, read_printed),
      cmocka_unit_test_setup(options_are_what_is_printed, read_printed),
      cmocka_unit_test(unknown_sizes_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
