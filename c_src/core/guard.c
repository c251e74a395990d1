#include "core/guard.h"

#include "base/check.h"
#include "core/registry.h"
#include "os/os.h"

/* Values of xclaim. Only the heap's owner waits for it. */
enum { GUARD_FREE, GUARD_CLAIMED, GUARD_AWAITED };

void hak_guard_wait(hak_theap_t *heap) {
  do {
    hak_store_release(&heap->xbusy, false);
    uint32_t held = GUARD_CLAIMED;
    if (hak_cas_relaxed(&heap->xclaim, &held, GUARD_AWAITED) || held == GUARD_AWAITED) {
      hak_os_wait(&heap->xclaim, GUARD_AWAITED);
    }
    hak_store_relaxed(&heap->xbusy, true);
    hak_owner_barrier();
  } while (hak_load_acquire(&heap->xclaim) != GUARD_FREE);
}

/* Whether the heap, just claimed, has no owner in a slow path. A parked heap has no owner; one that adopts it meanwhile
 * changes xstate before it looks at xclaim, both seq_cst, so one of us sees the other. */
static bool guard_is_idle(hak_theap_t *heap) {
  if (hak_load_seq(&heap->xstate) == HAK_THEAP_PARKED) return true;
  return hak_os_barrier_all_threads() && !hak_load_acquire(&heap->xbusy); /* pairs with hak_guard_leave */
}

/* While a thread forks, nobody else claims. Written before claims are awaited, read after one is made, all seq_cst: one
 * of both sees the other. */
static _Atomic bool guard_xforking;

bool hak_guard_claim_mt(hak_theap_t *heap) {
  uint32_t unclaimed = GUARD_FREE;
  if (hak_load_relaxed(&heap->xclaim) != GUARD_FREE || !hak_cas_seq(&heap->xclaim, &unclaimed, GUARD_CLAIMED)) {
    return false;
  }
  if (!hak_load_seq(&guard_xforking) && guard_is_idle(heap)) return true;
  hak_guard_release_mt(heap);
  return false;
}

void hak_guard_release_mt(hak_theap_t *heap) {
  /* release half pairs with the acquire in hak_guard_enter; seq_cst before the second look in core/remote.c */
  if (atomic_exchange_explicit(&heap->xclaim, GUARD_FREE, memory_order_seq_cst) == GUARD_AWAITED)
    hak_os_wake(&heap->xclaim);
}

bool hak_guard_claim_others_mt(const hak_theap_t *mine) {
  hak_store_seq(&guard_xforking, true);
  uint32_t count = hak_registry_count_mt();
  for (uint32_t id = 1; id <= count; id++) {
    hak_theap_t *heap = hak_registry_heap(id);
    for (;;) {
      uint32_t unclaimed = GUARD_FREE;
      if (heap == mine ? hak_load_seq(&heap->xclaim) == GUARD_FREE
                       : hak_cas_seq(&heap->xclaim, &unclaimed, GUARD_CLAIMED)) {
        break;
      }
      hak_os_yield(); /* a claimer is at work: it ends soon, for it waits for nobody */
    }
  }
  if (!hak_os_barrier_all_threads()) return false;
  for (uint32_t id = 1; id <= count; id++) {
    hak_theap_t *heap = hak_registry_heap(id);
    while (heap != mine && hak_load_acquire(&heap->xbusy)) hak_os_yield();
  }
  return true;
}

void hak_guard_release_others_mt(const hak_theap_t *mine) {
  uint32_t count = hak_registry_count_mt();
  for (uint32_t id = 1; id <= count; id++) {
    if (hak_registry_heap(id) != mine) hak_guard_release_mt(hak_registry_heap(id));
  }
  hak_store_seq(&guard_xforking, false);
}

void hak_guard_reset_all(void) {
  uint32_t count = hak_registry_count_mt();
  for (uint32_t id = 1; id <= count; id++) {
    hak_theap_t *heap = hak_registry_heap(id);
    hak_store_relaxed(&heap->xbusy, false);
    hak_store_relaxed(&heap->xclaim, GUARD_FREE);
  }
  hak_store_seq(&guard_xforking, false);
}
