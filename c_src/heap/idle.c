#include "heap/idle.h"

#include "core/adapt.h"
#include "core/guard.h"
#include "core/magazine.h"
#include "core/options.h"
#include "core/purge.h"
#include "core/remote.h"
#include "core/slab.h"
#include "heap/theap.h"
#include "tier/mmap.h"

/* How often magazines are sampled, at most. */
#define IDLE_SAMPLE_MS 16u

/* The bins that were not used since the last look (`look`), or all (`lean`). */
static void idle_flush_bins(hak_theap_t *heap, bool look, bool lean) {
  hak_block_t *others = NULL;
  hak_guard_enter(heap);
  for (unsigned c = 1; c < HAK_SLAB_CLASSES; c++) {
    const hak_bin_t *bin = &heap->tls->bin[c];
    bool idle = look && bin->room == heap->room_then[c];
    if ((idle || lean) && bin->head != NULL) others = hak_slab_flush_bin(heap, c, others);
    heap->room_then[c] = bin->room;
  }
  hak_slab_leave(heap);
  hak_remote_free_chain(heap, others);
}

static void idle_flush_magazines(hak_theap_t *heap, bool look) {
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
}

void hak_idle_flush(hak_theap_t *heap) {
  uint64_t now = hak_os_now_ms();
  int64_t rest_ms = hak_options.purge_delay_ms / 4;
  bool look = (int64_t)(now - heap->looked_ms) >= rest_ms;
  bool lean = (int64_t)(now - heap->lean_ms) >= rest_ms && (hak_purge_waits_mt() || hak_mmap_waits_mt());
  if (look || now - heap->sampled_ms >= IDLE_SAMPLE_MS) {
    heap->sampled_ms = now;
    idle_flush_magazines(heap, look);
  }
  if (look) heap->looked_ms = now;
  if (lean) {
    heap->lean_ms = now;
    heap->lean_calls = HAK_LEAN_CALLS;
  }
  if (look || lean) idle_flush_bins(heap, look, lean);
}
