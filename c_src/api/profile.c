/* The profile's public functions, on top of core/profile.h. */
#include "core/profile.h"

#include <errno.h>

#include "base/log.h"
#include "core/options.h"
#include "hakmem.h"
#include "heap/theap.h"
#include "os/process.h"

#define PROFILE_MEAN_MAX ((uint64_t)1 << 50)

int hak_profile_start(size_t mean) {
  (void)hak_theap_get(); /* the options, and the hooks for fork */
  uint64_t bytes = mean != 0 ? mean : (uint64_t)hak_options.profile_rate;
  if (bytes == 0) {
    errno = EINVAL;
    return 0;
  }
  if (!hak_profile_begin_mt(bytes < PROFILE_MEAN_MAX ? bytes : PROFILE_MEAN_MAX)) {
    errno = ENOMEM;
    return 0;
  }
  hak_profile_tls.left = 0; /* this thread begins at once */
  hak_profile_tls.rest = 0;
  hak_profile_tls.mean = 0;
  return 1;
}

void hak_profile_stop(void) { hak_store_relaxed(&hak_profile_xmean, 0); }

void hak_profile_reset(void) { hak_profile_clear_mt(); }

void hak_profile_unwind_with(size_t (*unwind)(const void **addresses, size_t most)) {
  hak_store_release(&hak_profile_xunwinder, unwind); /* pairs with hak_profile_walk */
}

static uint64_t profile_blocks(uint64_t parts) { return (parts + 32768) >> 16; }

size_t hak_profile_visit(void (*visit)(const hak_profile_stack_t *stack, void *context), void *context) {
  const void *addresses[HAK_PROFILE_DEPTH];
  hak_profile_sums_t sums;
  uint32_t at = 0, generation = 0;
  size_t visited = 0, depth;
  for (; (depth = hak_profile_next_mt(&at, &generation, addresses, &sums)) != 0; visited++) {
    const hak_profile_stack_t stack = {.addresses = addresses,
                                       .depth = depth,
                                       .live_samples = sums.live_samples,
                                       .live_blocks = profile_blocks(sums.live_blocks),
                                       .live_bytes = sums.live_bytes,
                                       .total_samples = sums.total_samples,
                                       .total_blocks = profile_blocks(sums.total_blocks),
                                       .total_bytes = sums.total_bytes};
    visit(&stack, context);
  }
  return visited;
}

int hak_profile_stats(hak_profile_stats_t *stats) {
  if (stats->size != sizeof(*stats)) return 0;
  hak_profile_sums_t sums;
  uint64_t dropped, stacks;
  hak_profile_totals_mt(&sums, &dropped, &stacks);
  *stats = (hak_profile_stats_t){.size = sizeof(*stats),
                                 .mean_bytes = hak_load_relaxed(&hak_profile_xmean),
                                 .stacks = stacks,
                                 .dropped = dropped,
                                 .live_samples = sums.live_samples,
                                 .live_blocks = profile_blocks(sums.live_blocks),
                                 .live_bytes = sums.live_bytes,
                                 .total_samples = sums.total_samples,
                                 .total_blocks = profile_blocks(sums.total_blocks),
                                 .total_bytes = sums.total_bytes};
  return 1;
}

typedef struct profile_dump {
  int fd;
  bool written;
} profile_dump_t;

static void profile_dump_stack(const hak_profile_stack_t *stack, void *context) {
  profile_dump_t *dump = context;
  char line[128 + HAK_PROFILE_DEPTH * 20];
  size_t used = hak_format(line, sizeof(line), "%lu: %lu [%lu: %lu] @", stack->live_blocks, stack->live_bytes,
                           stack->total_blocks, stack->total_bytes);
  for (size_t i = 0; i < stack->depth; i++) {
    used += hak_format(line + used, sizeof(line) - used, " 0x%lx", (unsigned long)(uintptr_t)stack->addresses[i]);
  }
  line[used++] = '\n';
  dump->written = dump->written && hak_os_write(dump->fd, line, used);
}

int hak_profile_dump(int fd) {
  hak_profile_stats_t stats = {.size = sizeof(stats)};
  (void)hak_profile_stats(&stats);
  char line[256];
  /* "heapprofile": the figures are estimates already; "heap_v2" would have pprof make them out of samples */
  size_t used = hak_format(line, sizeof(line), "heap profile: %lu: %lu [%lu: %lu] @ heapprofile\n", stats.live_blocks,
                           stats.live_bytes, stats.total_blocks, stats.total_bytes);
  profile_dump_t dump = {.fd = fd, .written = hak_os_write(fd, line, used)};
  (void)hak_profile_visit(profile_dump_stack, &dump);
  static const char maps[] = "\nMAPPED_LIBRARIES:\n";
  return dump.written && hak_os_write(fd, maps, sizeof(maps) - 1) && hak_os_write_mappings(fd);
}

/* With the option profile = 2: hakmem.<process>.heap in the current folder. */
__attribute__((destructor)) static void profile_at_exit(void) {
  if (hak_options.profile != 2 || hak_load_relaxed(&hak_profile_xmean) == 0) return;
  char path[64];
  (void)hak_format(path, sizeof(path), "hakmem.%u.heap", hak_os_process_id());
  int fd = hak_os_create_file(path);
  if (fd < 0 || !hak_profile_dump(fd))
    hak_print(2, "hakmem: the profile could not be written to %s: errno=%d", path, errno);
  if (fd >= 0) hak_os_close(fd);
}
