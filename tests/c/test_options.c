/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A tier that an option disables passes its requests to the next one, and all still work. Options are read once at the
 * start, so each case is a process of its own: this program again, with the environment set.
 */
#include <sys/wait.h>

#include "testing.h"

static const char *const variables[HAK_TIER_COUNT] = {"HAKMEM_TINY", "HAKMEM_MID", "HAKMEM_POOL", "HAKMEM_ACE", NULL};

/* `disabled`: bit t is set when tier t is off. */
static int expected_tier(size_t size, unsigned disabled) {
  int tier = tier_for(size);
  while (tier < HAK_TIER_MMAP && (disabled >> tier & 1) != 0) {
    tier++;
  }
  return tier;
}

static int child(unsigned disabled) {
  test_main_pid = 0; /* CHECK is to _exit */
  static void *live[64];
  static size_t live_size[64];
  size_t slot = 0;
  for (size_t size = 1; size <= 4 * MIB; size += size / 23 + 1) {
    if (live[slot] != NULL) {
      CHECK(pattern_check_ends(live[slot], live_size[slot], live_size[slot]), "%zu bytes", live_size[slot]);
    }
    hak_free(live[slot]);
    live[slot] = size % 5 == 0 ? hak_calloc(1, size) : hak_malloc(size);
    live_size[slot] = size;
    CHECK(live[slot] != NULL, "%zu bytes with tiers 0x%x disabled", size, disabled);
    int tier = hak_tier_of(live[slot]);
    CHECK(tier == expected_tier(size, disabled), "%zu bytes with tiers 0x%x disabled: served by %s", size, disabled,
          hak_tier_name(tier));
    CHECK(hak_usable_size(live[slot]) >= size, "%zu bytes: usable %zu", size, hak_usable_size(live[slot]));
    pattern_fill_ends(live[slot], size, size);
    slot = (slot + 1) % 64;
  }
  for (size_t i = 0; i < 64; i++) {
    hak_free(live[i]);
  }
  void *block = NULL;
  for (size_t size = 1; size <= 4 * MIB; size += size / 5 + 1) {
    block = hak_realloc(block, size);
    CHECK(block != NULL, "realloc to %zu with tiers 0x%x disabled", size, disabled);
  }
  hak_free(block);
  block = hak_aligned_alloc(64, 640);
  CHECK(block != NULL && (uintptr_t)block % 64 == 0, "aligned %p", block);
  hak_free_aligned_sized(block, 64, 640);
  hak_stats_t stats = stats_now();
  for (int tier = 0; tier < HAK_TIER_MMAP; tier++) {
    bool off = (disabled >> tier & 1) != 0;
    CHECK(off == (stats.tier[tier].fell_through > 0), "%s with tiers 0x%x disabled: %llu fell through",
          hak_tier_name(tier), disabled, (unsigned long long)stats.tier[tier].fell_through);
  }
  return 0;
}

static void run_child(unsigned disabled, const char *value) {
  pid_t pid = fork();
  CHECK(pid >= 0, "fork: errno %d", errno);
  if (pid == 0) {
    for (int tier = 0; variables[tier] != NULL; tier++) {
      if ((disabled >> tier & 1) != 0) {
        setenv(variables[tier], value, 1);
      } else {
        unsetenv(variables[tier]);
      }
    }
    alarm(60);
    char text[16];
    snprintf(text, sizeof text, "%u", strcmp(value, "0") == 0 ? disabled : 0);
    char *arguments[] = {(char *)"test_options", text, NULL};
    execv("/proc/self/exe", arguments);
    _exit(99);
  }
  int status = 0;
  CHECK(waitpid(pid, &status, 0) == pid, "waitpid: errno %d", errno);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "tiers 0x%x=%s: status 0x%x", disabled, value, status);
}

static void every_set_of_tiers_can_be_off(void **state) {
  (void)state;
  for (unsigned disabled = 0; disabled < 16; disabled++) {
    run_child(disabled, "0");
  }
}

static void nonsense_leaves_the_default(void **state) {
  (void)state;
  static const char *const values[] = {
      "", "no", "-1", "2", "0x0", "00000000000000000000000000001x", "99999999999999999999"};
  for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
    run_child(15, values[i]);
  }
}

int main(int argc, char **argv) {
  if (argc == 2) {
    return child((unsigned)strtoul(argv[1], NULL, 10));
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_set_of_tiers_can_be_off),
      cmocka_unit_test(nonsense_leaves_the_default),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
