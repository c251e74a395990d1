#include "core/magazine.h"

#include "base/check.h"
#include "core/adapt.h"
#include "core/span.h"
#include "core/stats.h"

uintptr_t hak_magazine_take(hak_theap_t *heap, unsigned tier, unsigned class_number, hak_magazine_t *magazine) {
  if (magazine->count == 0) {
    uint32_t wanted = hak_adapt_missed(heap, class_number, magazine, hak_os_now_ms());
    uint32_t got = hak_span_refill(heap, class_number, magazine, wanted);
    if (got == 0) {
      hak_log(HAK_LOG_REFILL, "[POOL_TLS] pool_refill_and_alloc FAILED: class=%u, size=%u", class_number,
              hak_span_classes[class_number].block_bytes);
      return 0;
    }
    hak_stats_refilled(heap, tier);
    hak_stats_served(heap, tier, got);
  }
  uintptr_t slot = magazine->slots[--magazine->count];
  if ((slot & HAK_SLOT_ZERO) == 0) ((hak_block_t *)slot)->key = 0; /* the mark of a free block; see hak_freed_key */
  return slot;
}

uint32_t hak_magazine_put(hak_theap_t *heap, unsigned tier, unsigned class_number, hak_magazine_t *magazine,
                          void *block, void **strays) {
  uint32_t strayed = 0;
  if (magazine->count >= magazine->capacity) {
    uint32_t blocks = hak_adapt_overflowed(heap, class_number, magazine, hak_os_now_ms());
    if (blocks != 0) strayed = hak_magazine_spill(heap, tier, magazine, blocks, strays);
  }
  magazine->slots[magazine->count++] = (uintptr_t)block;
  if (magazine->capacity == 0) { /* one that does not keep any (core/adapt.c) */
    strayed += hak_magazine_spill(heap, tier, magazine, magazine->count, strays + strayed);
  }
  return strayed;
}

uint32_t hak_magazine_spill(hak_theap_t *heap, unsigned tier, hak_magazine_t *magazine, uint32_t blocks,
                            void **strays) {
  uint32_t strayed = hak_span_spill(magazine, blocks, strays);
  hak_stats_returned(heap, tier, blocks - strayed);
  return strayed;
}
