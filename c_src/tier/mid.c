#include "tier/mid.h"

#include "core/options.h"
#include "core/slab.h"

void *hak_mid_alloc(hak_theap_t *heap, size_t bytes) {
  if (bytes <= HAK_TINY_MAX) bytes = HAK_TINY_MAX + 1; /* fell through from tiny */
  return hak_options.mid ? hak_slab_alloc(heap, hak_slab_class_of(bytes)) : NULL;
}
