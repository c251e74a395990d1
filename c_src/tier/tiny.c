#include "tier/tiny.h"

#include "core/options.h"
#include "core/slab.h"

void *hak_tiny_alloc(hak_theap_t *heap, size_t bytes) {
  return hak_options.tiny ? hak_slab_alloc(heap, hak_slab_class_of(bytes)) : NULL;
}
