/* The guard of a heap's slow paths: lets another thread do something for a heap whose owner is not in a slow path,
 * because it sleeps, or is gone, or is just not allocating, without costing the owner an atomic operation.
 *
 *   owner                                   claimer
 *   enter: xbusy = 1                        xclaim: 0 -> 1
 *          compiler barrier                 membarrier: every running thread of the process passes a full barrier
 *          xclaim != 0: back off, wait      xbusy != 0: back off
 *   ... slabs, pending, spare ...           ... the same ...
 *   leave: xbusy = 0                        xclaim = 0, wake
 *
 * Either the owner's store of xbusy comes before the barrier that the claimer's system call puts into the owner's
 * instruction stream, then the claimer sees it; or the owner's load of xclaim comes after that barrier, then the owner
 * sees the claim. Where the kernel has no membarrier, claims of heaps in use fail and all else works.
 * The fast paths touch only bins and magazines, which no claimer does, so they need no guard. */
#ifndef HAK_CORE_GUARD_H
#define HAK_CORE_GUARD_H

#include "base/atomic.h"
#include "core/types.h"

HAK_SLOW void hak_guard_wait(hak_theap_t *heap);

/* Owner: begins a slow path, unless somebody has a claim: then false, and hak_guard_wait must follow, which enters when
 * the claim is gone. Does not nest. */
HAK_FAST bool hak_guard_try_enter(hak_theap_t *heap) {
  hak_store_relaxed(&heap->xbusy, true);
  hak_owner_barrier();
  return hak_load_acquire(&heap->xclaim) == 0; /* pairs with the release of xclaim: the claimer's changes are visible */
}

HAK_FAST void hak_guard_enter(hak_theap_t *heap) {
  if (HAK_UNLIKELY(!hak_guard_try_enter(heap))) hak_guard_wait(heap);
}

/* Owner: ends it. release pairs with the claimer's acquire of xbusy. */
HAK_FAST void hak_guard_leave(hak_theap_t *heap) { hak_store_release(&heap->xbusy, false); }

/* Makes the caller the owner of the heap's slabs, pending blocks and spare until it releases them. False when somebody
 * else is at it, which will do what there is to do. _mt; must not be in a slow path of its own. */
HAK_HIDDEN bool hak_guard_claim_mt(hak_theap_t *heap);
HAK_HIDDEN void hak_guard_release_mt(hak_theap_t *heap);

/* For fork, by a thread in no slow path, under the registry lock: claims all heaps but the thread's own, `mine` (which
 * may be NULL), waits for those in a slow path and for whoever claimed `mine`, and lets nobody else claim until the
 * release. False when the kernel cannot help: then a heap may be changing all the same. */
HAK_HIDDEN bool hak_guard_claim_others_mt(const hak_theap_t *mine);
HAK_HIDDEN void hak_guard_release_others_mt(const hak_theap_t *mine);

/* For the child of a fork: nobody is in a slow path, nobody has a claim. Threads that are not there any more may have
 * left marks of both on any heap, the thread's own too, just before they would have backed off. */
HAK_HIDDEN void hak_guard_reset_all(void);

#endif
