#include "core/stats.h"

#include "core/registry.h"

hak_tier_counters_t hak_stats_heapless[HAK_TIERS];

static void stats_add(hak_tier_counters_t *sum, const hak_tier_counters_t *c) {
#define STATS_ADD(name, meaning) hak_count(&sum->name, hak_load_relaxed(&c->name));
  HAK_TIER_COUNTERS(STATS_ADD)
#undef STATS_ADD
}

hak_tier_counters_t hak_stats_sum_mt(unsigned tier) {
  hak_tier_counters_t sum = {0};
  stats_add(&sum, &hak_stats_heapless[tier]);
  uint32_t count = hak_registry_count_mt();
  for (uint32_t id = 1; id <= count; id++) {
    stats_add(&sum, &hak_registry_heap(id)->tier[tier]);
  }
  return sum;
}

void hak_stats_sum_remote_mt(uint64_t *posts, uint64_t *blocks) {
  *posts = *blocks = 0;
  uint32_t count = hak_registry_count_mt();
  for (uint32_t id = 1; id <= count; id++) {
    const hak_theap_t *heap = hak_registry_heap(id);
    *posts += hak_load_relaxed(&heap->remote_posts);
    *blocks += hak_load_relaxed(&heap->remote_blocks);
  }
}
