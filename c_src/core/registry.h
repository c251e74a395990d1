/* All heaps: their ids, and the stack of those that have no thread. Heaps are made, parked, adopted, claimed; never
 * destroyed, so an id stays good and a heap's memory stays readable for whoever comes late.
 *
 *            start                 thread exit
 *   (new) ----------> ACTIVE <------------------> PARKED <----------> CLAIMED
 *                             adopt                       claim / release
 *
 * Who moves a heap from PARKED to another state by compare-and-swap owns all its non-x fields. */
#ifndef HAK_CORE_REGISTRY_H
#define HAK_CORE_REGISTRY_H

#include "core/types.h"
#include "os/os.h"

/* A new heap in state ACTIVE, zeroed but for its id; NULL without memory. _mt */
HAK_HIDDEN hak_heap_t *hak_registry_create_mt(void);

/* The heap with an id that a tag or a ring holds. _mt */
HAK_HIDDEN hak_heap_t *hak_registry_heap(uint32_t id);

/* Ids run from 1 to this. _mt */
HAK_HIDDEN uint32_t hak_registry_count_mt(void);

/* Parks the caller's heap. _mt */
HAK_HIDDEN void hak_registry_park_mt(hak_heap_t *heap);

/* Makes the most recently parked heap that nobody claims the caller's; NULL when there is none. _mt */
HAK_HIDDEN hak_heap_t *hak_registry_adopt_mt(void);

/* Makes a parked heap the caller's for a moment; false when it is not parked. _mt */
HAK_HIDDEN bool hak_registry_claim_mt(hak_heap_t *heap);
HAK_HIDDEN void hak_registry_release_mt(hak_heap_t *heap);

/* The lock under which ids are given out; for fork and for one-time initialisation. */
HAK_HIDDEN extern hak_lock_t hak_registry_lock;

#endif
