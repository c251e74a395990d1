/* All heaps: their ids, and the stack of those that have no thread. Heaps are made, parked, adopted; never destroyed, so
 * an id stays good and a heap's memory stays readable for whoever comes late. What other threads may do for a heap is
 * settled by its guard (core/guard.h), whether it is parked or not. */
#ifndef HAK_CORE_REGISTRY_H
#define HAK_CORE_REGISTRY_H

#include "core/types.h"
#include "os/os.h"

/* A new heap in state ACTIVE, zeroed but for its id; NULL without memory. _mt */
HAK_HIDDEN hak_theap_t *hak_registry_create_mt(void);

/* The heap with an id that a tag or a ring holds. _mt */
HAK_HIDDEN hak_theap_t *hak_registry_heap(uint32_t id);

/* Ids run from 1 to this. _mt */
HAK_HIDDEN uint32_t hak_registry_count_mt(void);

/* Parks the caller's heap. _mt */
HAK_HIDDEN void hak_registry_park_mt(hak_theap_t *heap);

/* Makes the most recently parked heap the caller's; NULL when there is none. Somebody may still have it claimed: its
 * guard makes the first slow path wait. _mt */
HAK_HIDDEN hak_theap_t *hak_registry_adopt_mt(void);

/* The lock under which ids are given out; for fork and for one-time initialisation. */
HAK_HIDDEN extern hak_lock_t hak_registry_lock;

#endif
