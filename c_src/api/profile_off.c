/* The profile in builds without it. */
#include <errno.h>

#include "hakmem.h"

static int profile_is_off(void) {
  errno = ENOSYS;
  return 0;
}

int hak_profile_start(size_t mean) {
  (void)mean;
  return profile_is_off();
}

void hak_profile_stop(void) {}
void hak_profile_reset(void) {}
void hak_profile_unwind_with(size_t (*unwind)(const void **addresses, size_t most)) { (void)unwind; }

size_t hak_profile_visit(void (*visit)(const hak_profile_stack_t *stack, void *context), void *context) {
  (void)visit;
  (void)context;
  return (size_t)profile_is_off();
}

int hak_profile_stats(hak_profile_stats_t *stats) {
  (void)stats;
  return profile_is_off();
}

int hak_profile_dump(int fd) {
  (void)fd;
  return profile_is_off();
}
