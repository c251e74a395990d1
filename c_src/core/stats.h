/* Counters: one table of the tiers', counted in slow paths in the heap of the thread, summed up when asked. In a build with
 * HAK_STATS the hits count, too. */
#ifndef HAK_CORE_STATS_H
#define HAK_CORE_STATS_H

#include "base/atomic.h"
#include "core/types.h"

/*   X(name, meaning): the fields of hak_tier_counters_t and hak_tier_stats_t */
#define HAK_TIER_COUNTERS(X)                                                                 \
  X(refills, "times a thread's cache ran empty and was filled, or a mapping was handed out") \
  X(served, "blocks handed to thread caches by those refills")                               \
  X(returned, "blocks that came back out of thread caches")                                  \
  X(fell_through, "requests the tier could not serve and passed to the next")                \
  X(failed, "requests that began at this tier and that no tier served")                      \
  X(allocated, "blocks handed to the program (mmap, or HAK_STATS)")                          \
  X(freed, "blocks that came back from it (the same)")

#ifdef HAK_STATS
#define HAK_COUNTS_HITS 1
#else
#define HAK_COUNTS_HITS 0
#endif

/* Tiers by number, as HAK_TIER_* of the public header. */
enum { HAK_AT_TINY, HAK_AT_MID, HAK_AT_POOL, HAK_AT_ACE, HAK_AT_MMAP };

/* The tier of a slab class, and of a span class. */
HAK_FAST unsigned hak_slab_class_tier(unsigned class_number) {
  return class_number <= HAK_TINY_CLASSES ? HAK_AT_TINY : HAK_AT_MID;
}
HAK_FAST unsigned hak_span_class_tier(unsigned class_number) {
  return class_number < HAK_POOL_CLASSES ? HAK_AT_POOL : HAK_AT_ACE;
}

HAK_FAST void hak_stats_refilled(hak_theap_t *heap, unsigned tier) { hak_count(&heap->tier[tier].refills, 1); }
HAK_FAST void hak_stats_served(hak_theap_t *heap, unsigned tier, uint64_t blocks) {
  hak_count(&heap->tier[tier].served, blocks);
}
HAK_FAST void hak_stats_returned(hak_theap_t *heap, unsigned tier, uint64_t blocks) {
  hak_count(&heap->tier[tier].returned, blocks);
}

/* What threads without a heap count: those that end. */
HAK_HIDDEN extern hak_tier_counters_t hak_stats_heapless[HAK_TIERS];

/* The sum over all heaps of one tier's counters; relaxed reads, so each is exact and their sums may be a moment apart. */
HAK_HIDDEN hak_tier_counters_t hak_stats_sum_mt(unsigned tier);

/* Blocks and messages posted by all heaps so far. */
HAK_HIDDEN void hak_stats_sum_remote_mt(uint64_t *posts, uint64_t *blocks);

#endif
