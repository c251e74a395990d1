#include "heap/holds.h"

#include "core/magazine.h"
#include "core/registry.h"
#include "core/remote.h"
#include "core/tagmap.h"
#include "heap/theap.h"

/* The blocks of a ring: each carrier, and those that it carries. Only the first may have places left; the others are full, or
 * a NULL ends them (core/remote.h). */
static void holds_ring(const hak_ring_t *ring, hak_thread_stats_t *stats) {
  uint64_t empty = ring->slots;
  for (const hak_block_t *carrier = ring->first; carrier != NULL; carrier = hak_block_next(carrier)) {
    const hak_slab_class_t *info = &hak_slab_classes[hak_tag_class(hak_tagmap_get_mt(carrier))];
    stats->ring_blocks++;
    stats->ring_bytes += info->block_bytes;
    for (uint32_t i = info->ring_slots; i-- > empty;) {
      const hak_block_t *carried = carrier->carried[i];
      if (carried == NULL) break;
      stats->ring_blocks++;
      stats->ring_bytes += hak_slab_classes[hak_tag_class(hak_tagmap_get_mt(carried))].block_bytes;
    }
    if (carrier == ring->last) return;
    empty = 0;
  }
}

void hak_holds(hak_thread_stats_t *stats) {
  hak_theap_t *heap = hak_tls.heap;
  if (heap == NULL) return;
  for (unsigned c = 1; c < HAK_SLAB_CLASSES; c++) {
    for (const hak_block_t *block = hak_tls.bin[c].head; block != NULL; block = hak_block_next(block)) {
      stats->bin_blocks++;
      stats->bin_bytes += hak_slab_classes[c].block_bytes;
    }
  }
  for (unsigned c = 0; c < HAK_SPAN_CLASSES; c++) {
    uint64_t blocks = hak_magazine_of(heap, c)->count;
    stats->magazine_blocks += blocks;
    stats->magazine_bytes += blocks * hak_span_classes[c].block_bytes;
  }
  for (unsigned r = 0; r < HAK_RINGS; r++) holds_ring(&heap->ring[r], stats);
  stats->inbox_posts = hak_remote_posts_mt(heap);
}
