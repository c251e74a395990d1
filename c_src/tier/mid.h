/* Mid: above 1 KiB to 8 KiB, on slabs. The fast paths are in api/; here is what they fall back to. */
#ifndef HAK_TIER_MID_H
#define HAK_TIER_MID_H

#include "core/types.h"

/* A block of at least `bytes` (to HAK_MID_MAX; a smaller request gets the smallest mid block) when the thread's bin of
 * its class is empty; NULL when the tier is off or there is no memory. `heap` is the calling thread's. */
HAK_HIDDEN void *hak_mid_alloc(hak_theap_t *heap, size_t bytes);

#endif
