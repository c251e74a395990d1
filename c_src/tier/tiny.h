/* Tiny: 1 B to 1 KiB, on slabs. The fast paths are in api/; here is what they fall back to. */
#ifndef HAK_TIER_TINY_H
#define HAK_TIER_TINY_H

#include "core/types.h"

/* A block of at least `bytes` (to HAK_TINY_MAX) when the thread's bin of
 * its class is empty; NULL when the tier is off or there is no memory. `heap` is the calling thread's. */
HAK_HIDDEN void *hak_tiny_alloc(hak_theap_t *heap, size_t bytes);

#endif
