#include "heap/background.h"

#include "base/log.h"
#include "core/guard.h"
#include "core/options.h"
#include "core/purge.h"
#include "core/registry.h"
#include "core/remote.h"
#include "core/segment.h"
#include "core/slab.h"
#include "os/os.h"
#include "tier/mmap.h"

_Atomic bool hak_background_xwanted;

void hak_background_init(void) {
  hak_store_relaxed(&hak_purge_xsleeper, HAK_SLEEPER_NONE);
  hak_store_relaxed(&hak_background_xwanted, hak_options.background != 0);
}

/* A number that changes when the heap's thread is in slow paths that refill its caches, or its inbox changes. */
static uint64_t background_look(hak_theap_t *heap) {
  uint64_t refills = 0;
  for (unsigned tier = 0; tier < HAK_TIERS; tier++) refills += hak_load_relaxed(&heap->tier[tier].refills);
  return hak_load_relaxed(&heap->xinbox) +
         (refills << 48 | refills >> 16); /* an inbox has a count there, too, of posts */
}

/* Takes in what was freed to a heap whose thread did not come by since the last look, and releases its spare slab. What is
 * in that thread's bins and magazines is its own: its hits ask nobody. True when something may be left to do. */
static bool background_help(hak_theap_t *heap) {
  uint64_t seen = background_look(heap);
  if (seen != heap->seen) {
    heap->seen = seen;
    heap->seen_idle = false;
    return true;
  }
  if (heap->seen_idle) return false;
  if (!hak_guard_claim_mt(heap)) return true;
  hak_remote_drain(heap, NULL, UINT32_MAX);
  hak_slab_release_spare(heap);
  hak_slab_unclaim_mt(heap);
  heap->seen = background_look(heap);
  heap->seen_idle = hak_load_relaxed(&heap->xinbox) == 0;
  return !heap->seen_idle;
}

/* Gives back all that is old. True when there may be more to do, at a later time. */
static bool background_pass(void) {
  bool more = false;
  uint32_t count = hak_registry_count_mt();
  for (uint32_t id = 1; id <= count; id++) more |= background_help(hak_registry_heap(id));
  hak_purge_old_mt(); /* the bound sinks with time */
  hak_purge_all_mt(false, 0);
  hak_mmap_collect_mt(false);
  return more || hak_load_seq(hak_segment_dirty_slices()) > 0 || hak_mmap_waits_mt();
}

static bool background_is_stopped(void) { return hak_load_relaxed(&hak_purge_xsleeper) == HAK_SLEEPER_STOPPED; }

/* Four looks in a delay while anything is dirty. Else it says that it sleeps, looks once more (hak_purge_dirtied_mt has
 * the other half), and sleeps until somebody has something. */
static void background_run(void) {
  uint64_t rest_ms = (uint64_t)hak_options.purge_delay_ms / 4 + 1;
  while (!background_is_stopped()) {
    uint32_t awake = HAK_SLEEPER_AWAKE;
    if (background_pass() || !hak_cas_seq(&hak_purge_xsleeper, &awake, HAK_SLEEPER_ASLEEP)) {
      hak_os_wait_ms(&hak_purge_xsleeper, HAK_SLEEPER_AWAKE, rest_ms);
      continue;
    }
    if (hak_load_seq(hak_segment_dirty_slices()) <= 0 && !hak_mmap_waits_mt())
      hak_os_wait(&hak_purge_xsleeper, HAK_SLEEPER_ASLEEP);
    uint32_t asleep = HAK_SLEEPER_ASLEEP;
    (void)hak_cas_seq(&hak_purge_xsleeper, &asleep, HAK_SLEEPER_AWAKE); /* woken by a signal, or not asleep at all */
  }
}

static void background_stop(void) {
  hak_store_seq(&hak_purge_xsleeper, HAK_SLEEPER_STOPPED);
  hak_os_wake(&hak_purge_xsleeper);
}

void hak_background_start_mt(void) {
  if (!hak_os_may_make_thread() || !atomic_exchange_explicit(&hak_background_xwanted, false, memory_order_relaxed))
    return;
  hak_store_relaxed(&hak_purge_xsleeper, HAK_SLEEPER_AWAKE); /* making the thread publishes it */
  if (!hak_os_make_thread(background_run, background_stop))
    hak_log(HAK_LOG_BACKGROUND, "[BACKGROUND] pthread_create FAILED");
}
