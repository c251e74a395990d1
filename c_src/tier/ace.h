/* ACE: above 52 KiB to 2 MiB, on ownerless spans; above 256 KiB a span is one block. */
#ifndef HAK_TIER_ACE_H
#define HAK_TIER_ACE_H

#include "core/types.h"

/* A slot with a block of at least `bytes` (to HAK_ACE_MAX; a smaller request gets the smallest ACE block), bit 0 set if
 * it is known to be zero; 0 when the tier is off or there is no memory. `heap` is the calling thread's. */
HAK_HIDDEN uintptr_t hak_ace_alloc(hak_theap_t *heap, size_t bytes);

/* Puts a block of a span class of this tier into the thread's magazine; the returned number of strays (core/span.h)
 * must go to their tiers. */
HAK_HIDDEN uint32_t hak_ace_free(hak_theap_t *heap, void *block, unsigned class_number, void **strays);

#endif
