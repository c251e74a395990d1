#include "api/count.h"

#include "core/tagmap.h"
#include "heap/theap.h"

/* The tier of a block of a slab or a span; HAK_TIERS for what is in none of a thread's. */
static unsigned count_tier(const void *p) {
  hak_tag_t tag = hak_tagmap_get_mt(p);
  if (hak_tag_is_slab(tag)) {
    return hak_slab_classes[hak_tag_class(tag)].block_bytes <= HAK_TINY_MAX ? HAK_AT_TINY : HAK_AT_MID;
  }
  if (hak_tag_is_span(tag)) return hak_tag_class(tag) < HAK_POOL_CLASSES ? HAK_AT_POOL : HAK_AT_ACE;
  return HAK_TIERS;
}

void hak_count_allocated_mt(const void *p) {
  unsigned tier = count_tier(p);
  if (tier == HAK_TIERS) return;
  hak_theap_t *heap = hak_tls.heap;
  if (HAK_LIKELY(heap != NULL)) {
    hak_count(&heap->tier[tier].allocated, 1);
  } else {
    (void)hak_add_relaxed(&hak_stats_heapless[tier].allocated, 1);
  }
}

void hak_count_freed_mt(const void *p) {
  unsigned tier = count_tier(p);
  if (tier == HAK_TIERS) return;
  hak_theap_t *heap = hak_tls.heap;
  if (HAK_LIKELY(heap != NULL)) {
    hak_count(&heap->tier[tier].freed, 1);
  } else {
    (void)hak_add_relaxed(&hak_stats_heapless[tier].freed, 1);
  }
}
