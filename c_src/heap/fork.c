#include "heap/fork.h"

#include <string.h>

#include "base/atomic.h"
#include "core/adapt.h"
#include "core/guard.h"
#include "core/limit.h"
#include "core/profile.h"
#include "core/registry.h"
#include "core/segment.h"
#include "heap/arena.h"
#include "heap/background.h"
#include "heap/quarantine.h"
#include "heap/theap.h"
#include "os/os.h"
#include "os/valgrind.h"
#include "tier/mmap.h"

static bool fork_heaps_are_still; /* between prepare and the other two, under the registry lock */
static hak_theap_t *fork_mine;    /* the heap of the forking thread when it began; the same */

/* Locks and guards are taken in this order. No other path takes two locks, or one inside of a guard but the segment lock,
 * which comes after the guards. */
static void fork_prepare(void) {
  hak_memcheck_pause();
  (void)hak_theap_get(); /* a handler of others that allocates between ours must not adopt a heap that we claim */
  hak_lock(&hak_registry_lock); /* no heap is made from here on, except by this thread */
  fork_mine = hak_tls.heap;
  fork_heaps_are_still = hak_guard_claim_others_mt(fork_mine);
  hak_arena_lock_all_mt();
  hak_lock(&hak_segment_lock);
  hak_lock(&hak_mmap_lock);
  hak_lock(&hak_limit_lock);
  if (HAK_PROFILING) hak_lock(&hak_profile_lock);
  hak_locks_begin_mine();
  hak_memcheck_resume();
}

static void fork_parent(void) {
  hak_memcheck_pause();
  hak_locks_end_mine();
  if (HAK_PROFILING) hak_unlock(&hak_profile_lock);
  hak_unlock(&hak_limit_lock);
  hak_unlock(&hak_mmap_lock);
  hak_unlock(&hak_segment_lock);
  hak_arena_unlock_all_mt();
  hak_guard_release_others_mt(fork_mine);
  hak_unlock(&hak_registry_lock);
  hak_memcheck_resume();
}

/* The other threads do not exist here. Their heaps are parked, for the child's threads to adopt. What was in their bins,
 * magazines, rings and quarantines is lost: those are changed without a guard, so they may be torn. */
static void fork_child(void) {
  hak_memcheck_pause();
  hak_locks_end_mine();
  hak_os_reset();
  hak_background_init();
  hak_lock_reset(&hak_limit_lock);
  if (HAK_PROFILING) hak_lock_reset(&hak_profile_lock);
  hak_lock_reset(&hak_mmap_lock);
  hak_lock_reset(&hak_segment_lock);
  hak_arena_reset_locks();
  uint32_t count = hak_registry_count_mt();
  for (uint32_t id = 1; id <= count && fork_heaps_are_still; id++) {
    hak_theap_t *heap = hak_registry_heap(id);
    if (heap == hak_tls.heap || hak_load_relaxed(&heap->xstate) != HAK_THEAP_ACTIVE) continue;
    memset(heap->ring, 0, sizeof(heap->ring));
    if (HAK_SECURE) hak_quarantine_forget(heap);
    heap->tls = NULL;
    hak_registry_park_mt(heap);
  }
  hak_adapt_recount();
  hak_segment_recount_dirty();
  hak_guard_reset_all();
  hak_lock_reset(&hak_registry_lock);
  hak_memcheck_resume();
}

void hak_fork_hook(void) { hak_os_at_fork(fork_prepare, fork_parent, fork_child); }
