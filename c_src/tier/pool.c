#include "tier/pool.h"

#include "core/magazine.h"
#include "core/options.h"
#include "core/stats.h"

uintptr_t hak_pool_alloc(hak_theap_t *heap, size_t bytes) {
  if (!hak_options.pool) return 0;
  if (bytes <= HAK_MID_MAX) bytes = HAK_MID_MAX + 1; /* fell through from tiny or mid */
  unsigned class_number = hak_span_class_of(bytes);
  return hak_magazine_take(heap, HAK_AT_POOL, class_number, hak_magazine_of(heap, class_number));
}

uint32_t hak_pool_free(hak_theap_t *heap, void *block, unsigned class_number, void **strays) {
  return hak_magazine_put(heap, HAK_AT_POOL, class_number, hak_magazine_of(heap, class_number), block, strays);
}
