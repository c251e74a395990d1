#include "tier/ace.h"

#include "core/magazine.h"
#include "core/options.h"
#include "core/stats.h"

uintptr_t hak_ace_alloc(hak_theap_t *heap, size_t bytes) {
  if (!hak_options.ace) return 0;
  if (bytes <= HAK_POOL_MAX) bytes = HAK_POOL_MAX + 1; /* fell through from the tiers before */
  unsigned class_number = hak_span_class_of(bytes);
  return hak_magazine_take(heap, HAK_AT_ACE, class_number, hak_magazine_of(heap, class_number));
}

uint32_t hak_ace_free(hak_theap_t *heap, void *block, unsigned class_number, void **strays) {
  return hak_magazine_put(heap, HAK_AT_ACE, class_number, hak_magazine_of(heap, class_number), block, strays);
}
