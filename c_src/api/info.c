/* What can be asked: sizes, tiers, statistics; and the collection of memory. */
#include <string.h>

#include "api/ace.h"
#include "api/block.h"
#include "base/check.h"
#include "core/limit.h"
#include "core/registry.h"
#include "core/segment.h"
#include "core/stats.h"
#include "hakmem.h"
#include "heap/arena.h"
#include "heap/holds.h"
#include "heap/relief.h"
#include "heap/theap.h"
#include "tier/mmap.h"
#include "tier/tiers.h"

int hak_version(void) { return HAK_VERSION; }

size_t hak_usable_size(const void *p) { return p == NULL ? 0 : hak_block_check(p, "hak_usable_size").bytes; }

size_t hak_good_size(size_t size) {
  if (size <= HAK_MID_MAX) return hak_slab_classes[hak_slab_class_of(size)].block_bytes;
  if (size <= HAK_ACE_MAX) return hak_span_classes[hak_span_class_of(size)].block_bytes;
  return size > PTRDIFF_MAX - hak_os_page_bytes() ? 0 : hak_align_up(size, hak_os_page_bytes());
}

int hak_tier_of(const void *p) { return p == NULL ? HAK_TIER_NONE : hak_block_find(p).tier; }

const char *hak_tier_name(int tier) {
  switch (tier) {
#define INFO_NAME(NAME, name, max, what) \
  case HAK_TIER_##NAME:                  \
    return #name;
    HAK_TIERS_TABLE(INFO_NAME)
#undef INFO_NAME
  default:
    return "none";
  }
}

void hak_collect(int force) { hak_relief_collect_mt(force != 0); }

int hak_thread_stats_get(hak_thread_stats_t *stats) {
  if (stats->size != sizeof(*stats)) return 0;
  *stats = (hak_thread_stats_t){.size = sizeof(*stats)};
  hak_holds(stats);
  const hak_theap_t *heap = hak_tls.heap;
  for (unsigned tier = 0; heap != NULL && tier < HAK_TIER_COUNT; tier++) {
    stats->allocated[tier] = hak_load_relaxed(&heap->tier[tier].allocated) - heap->allocated_before[tier];
    stats->freed[tier] = hak_load_relaxed(&heap->tier[tier].freed) - heap->freed_before[tier];
  }
  return 1;
}

static uint64_t info_slices(_Atomic(int64_t) *slices) {
  int64_t n = hak_load_relaxed(slices);
  return n > 0 ? (uint64_t)n * HAK_SLICE_BYTES : 0;
}

int hak_stats_get(hak_stats_t *stats) {
  if (stats->size != sizeof(*stats)) return 0;
  *stats = (hak_stats_t){.size = sizeof(*stats)};
  stats->segment_bytes = hak_segment_bytes_mt();
  stats->active_bytes = info_slices(hak_segment_active_slices());
  stats->dirty_bytes = info_slices(hak_segment_dirty_slices());
  stats->purged_bytes = hak_load_relaxed(hak_purge_bytes());
  stats->heaps = hak_registry_count_mt();
  for (uint32_t id = 1; id <= stats->heaps; id++) {
    stats->heaps_parked += hak_load_relaxed(&hak_registry_heap(id)->xstate) != HAK_THEAP_ACTIVE;
  }
  hak_stats_sum_remote_mt(&stats->remote_posts, &stats->remote_blocks);
  for (unsigned tier = 0; tier < HAK_TIER_COUNT; tier++) {
    hak_tier_counters_t sum = hak_stats_sum_mt(tier);
#define INFO_COUNTER(name, meaning) stats->tier[tier].name = hak_load_relaxed(&sum.name);
    HAK_TIER_COUNTERS(INFO_COUNTER)
#undef INFO_COUNTER
  }
  hak_tier_stats_t *mmap = &stats->tier[HAK_TIER_MMAP];
  hak_mmap_stats_mt(&stats->mmap_bytes, &stats->mmap_cached_bytes, &mmap->served, &mmap->returned);
  mmap->refills = mmap->allocated = mmap->served;
  mmap->freed = mmap->returned;
  hak_arena_sum_mt(&stats->program_heaps, &stats->program_heap_bytes);
  stats->held_bytes = (uint64_t)hak_limit_held_mt();
  stats->limit_bytes = hak_limit_bytes_mt() == INT64_MAX ? 0 : (uint64_t)hak_limit_bytes_mt();
  stats->limit_failed = hak_load_relaxed(hak_limit_failed());
  return 1;
}

void hak_stats_print(int fd) {
  hak_stats_t stats = {.size = sizeof(stats)};
  if (!hak_stats_get(&stats)) return;
#define INFO_FIGURE(name) hak_print(fd, "%s: %lu", #name, (unsigned long)stats.name)
  INFO_FIGURE(segment_bytes);
  INFO_FIGURE(active_bytes);
  INFO_FIGURE(dirty_bytes);
  INFO_FIGURE(mmap_bytes);
  INFO_FIGURE(mmap_cached_bytes);
  INFO_FIGURE(purged_bytes);
  INFO_FIGURE(heaps);
  INFO_FIGURE(heaps_parked);
  INFO_FIGURE(remote_posts);
  INFO_FIGURE(remote_blocks);
  INFO_FIGURE(program_heaps);
  INFO_FIGURE(program_heap_bytes);
  INFO_FIGURE(held_bytes);
  INFO_FIGURE(limit_bytes);
  INFO_FIGURE(limit_failed);
#undef INFO_FIGURE
  for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
#define INFO_COUNTER(name, meaning) \
  hak_print(fd, "%s.%s: %lu", hak_tier_name(tier), #name, (unsigned long)stats.tier[tier].name);
    HAK_TIER_COUNTERS(INFO_COUNTER)
#undef INFO_COUNTER
  }
  hak_ace_print(fd);
}

/* The tiers of the public header are those of the table, in its order. */
enum {
#define INFO_COUNT(NAME, name, max, what) INFO_TIER_##NAME,
  HAK_TIERS_TABLE(INFO_COUNT)
#undef INFO_COUNT
      INFO_TIERS
};
#define INFO_SAME(NAME, name, max, what) \
  _Static_assert((int)HAK_TIER_##NAME == (int)INFO_TIER_##NAME && (int)HAK_AT_##NAME == (int)INFO_TIER_##NAME, #name);
HAK_TIERS_TABLE(INFO_SAME)
#undef INFO_SAME
_Static_assert(INFO_TIERS == HAK_TIER_COUNT && INFO_TIERS == HAK_TIERS, "as many tiers everywhere");
