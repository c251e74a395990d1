#include "heap/idle.h"

#include "core/adapt.h"
#include "core/guard.h"
#include "core/magazine.h"
#include "core/options.h"
#include "core/remote.h"
#include "core/slab.h"
#include "heap/theap.h"

/* How often magazines are sampled, at most. */
#define IDLE_SAMPLE_MS 16u

static void idle_flush_bins(hak_theap_t *heap) {
  hak_block_t *others = NULL;
  hak_guard_enter(heap);
  for (unsigned c = 1; c < HAK_SLAB_CLASSES; c++) {
    const hak_bin_t *bin = &heap->tls->bin[c];
    if (bin->room == heap->room_then[c] && bin->head != NULL) others = hak_slab_flush_bin(heap, c, others);
    heap->room_then[c] = bin->room;
  }
  hak_guard_leave(heap);
  hak_remote_free_chain(heap, others);
}

void hak_idle_flush(hak_theap_t *heap) {
  uint64_t now = hak_os_now_ms();
  if (now - heap->sampled_ms < IDLE_SAMPLE_MS) return;
  heap->sampled_ms = now;
  bool look = (int64_t)(now - heap->looked_ms) >= hak_options.purge_delay_ms / 4;
  for (uint64_t open = heap->open; open != 0; open &= open - 1) {
    unsigned c = hak_lowest_bit(open);
    hak_magazine_t *magazine = hak_magazine_of(heap, c);
    uint32_t surplus = 0;
    if (!look) {
      hak_adapt_sample(heap, c, magazine);
    } else if (hak_adapt_is_idle(heap, c, magazine, &surplus)) {
      hak_theap_flush_magazine(heap, c);
    } else {
      hak_theap_spill(heap, c, surplus);
    }
  }
  if (!look) return;
  heap->looked_ms = now;
  idle_flush_bins(heap);
}
