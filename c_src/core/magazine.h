/* Magazines: what a thread holds of a span class. The slow paths; popping and pushing are in api/. */
#ifndef HAK_CORE_MAGAZINE_H
#define HAK_CORE_MAGAZINE_H

#include "core/types.h"

/* Takes a slot (a block, bit 0 set if it is known to be zero) out of the magazine, refilled to half its capacity when
 * it is empty; 0 without memory. `tier` is counted. The thread's own heap and magazine. */
HAK_HIDDEN uintptr_t hak_magazine_take(hak_theap_t *heap, unsigned tier, unsigned class_number,
                                       hak_magazine_t *magazine);

/* Puts a block into the magazine, of which the older half is spilled first when it is full. Returns the number of
 * strays (see core/span.h), for which `strays` has room: HAK_POOL_MAGAZINE_BLOCKS. */
HAK_HIDDEN uint32_t hak_magazine_put(hak_theap_t *heap, unsigned tier, hak_magazine_t *magazine, void *block,
                                     void **strays);

#endif
