#include "api/count.h"

#include "core/tagmap.h"
#include "heap/theap.h"

/* The tier of a block of a slab or a span; HAK_TIERS for what is in none of a thread's. */
static unsigned count_tier(const void *p) {
  hak_tag_t tag = hak_tagmap_get_mt(p);
  if (hak_tag_is_slab(tag)) return hak_slab_class_tier(hak_tag_class(tag));
  if (hak_tag_is_span(tag)) return hak_span_class_tier(hak_tag_class(tag));
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
