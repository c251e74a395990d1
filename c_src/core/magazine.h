/* Magazines: what a thread holds of a span class. The slow paths; popping and pushing are in api/. */
#ifndef HAK_CORE_MAGAZINE_H
#define HAK_CORE_MAGAZINE_H

#include "core/types.h"

/* The magazine of a class of the calling thread's heap. */
HAK_FAST hak_magazine_t *hak_magazine_of(hak_theap_t *heap, unsigned class_number) {
  return class_number < HAK_POOL_CLASSES ? &heap->tls->pool[class_number] : &heap->ace[class_number - HAK_POOL_CLASSES];
}

/* Takes a slot (a block, bit 0 set if it is known to be zero) out of the magazine, refilled when it is empty; 0 without
 * memory. How much is for core/adapt.h to say. `tier` is counted. The thread's own heap and magazine. */
HAK_HIDDEN uintptr_t hak_magazine_take(hak_theap_t *heap, unsigned tier, unsigned class_number,
                                       hak_magazine_t *magazine);

/* Puts a block into the magazine, of which older ones may be spilled first when it is full. Returns the number of strays
 * (see core/span.h), for which `strays` has room: HAK_POOL_MAGAZINE_BLOCKS_MAX. */
HAK_HIDDEN uint32_t hak_magazine_put(hak_theap_t *heap, unsigned tier, unsigned class_number, hak_magazine_t *magazine,
                                     void *block, void **strays);

/* Spills the oldest `blocks` of the magazine. Returns the strays as hak_magazine_put does. */
HAK_HIDDEN uint32_t hak_magazine_spill(hak_theap_t *heap, unsigned tier, hak_magazine_t *magazine, uint32_t blocks,
                                       void **strays);

#endif
