#include "heap/relief.h"

#include <errno.h>

#include "base/limits.h"
#include "base/log.h"
#include "core/limit.h"
#include "core/purge.h"
#include "core/segment.h"
#include "heap/arena.h"
#include "heap/quarantine.h"
#include "heap/theap.h"
#include "os/valgrind.h"
#include "tier/mmap.h"

/* Whether the thread is in the program's function: what that asks for in vain fails, without another call of it. */
static _Thread_local bool relief_is_asking HAK_TLS_MODEL;

static void relief_collect(bool force, size_t keep) {
  hak_theap_t *heap = hak_tls.heap;
  if (heap != NULL) hak_theap_flush(heap);
  if (heap != NULL && force) hak_theap_purge(heap);
  hak_theap_collect_others_mt(force);
  hak_arena_collect_all_mt();
  hak_purge_all_mt(force, keep);
  hak_mmap_collect_mt(force);
}

void hak_relief_collect_mt(bool force) { relief_collect(force, 0); }

static _Atomic uint64_t relief_xrested_ms; /* when the next trim comes at once, */
static _Atomic uint32_t relief_xearly;     /* and how many did before that moment, since much was free */

/* Whether a trim that comes too early has enough to do. */
static bool relief_trims_early(size_t pad) {
  uint32_t early = hak_load_relaxed(&relief_xearly);
  uint64_t mapped, cached = 0, served, returned;
  if (hak_mmap_waits_mt()) hak_mmap_stats_mt(&mapped, &cached, &served, &returned);
  int64_t slices = hak_load_relaxed(hak_segment_dirty_slices());
  uint64_t free = cached + (slices > 0 ? (uint64_t)slices * HAK_SLICE_BYTES : 0);
  if (free <= pad || (free - pad) >> early < HAK_TRIM_EARLY_BYTES) return false;
  return hak_cas_relaxed(&relief_xearly, &early, early + 1); /* else another thread trims */
}

bool hak_relief_trim_mt(size_t pad) {
  uint64_t start = hak_os_now_ms(), rested = hak_load_relaxed(&relief_xrested_ms);
  if (start < rested) {
    if (!relief_trims_early(pad)) return false;
  } else {
    /* else another thread does it */
    if (!hak_cas_relaxed(&relief_xrested_ms, &rested, start + HAK_TRIM_REST_MS)) return false;
    hak_store_relaxed(&relief_xearly, 0);
  }
  uint64_t before = hak_load_relaxed(hak_purge_bytes());
  relief_collect(true, pad);
  uint64_t end = hak_os_now_ms();
  hak_store_relaxed(&relief_xrested_ms, end + HAK_TRIM_REST_MS + (end - start) * HAK_TRIM_REST_FACTOR);
  return hak_load_relaxed(hak_purge_bytes()) != before;
}

/* Whether the program has made room, as it says. */
static bool relief_ask(size_t bytes) {
  void *argument;
  hak_limit_callback_t callback = hak_limit_callback_mt(&argument);
  if (callback == NULL || relief_is_asking) return false;
  relief_is_asking = true;
  hak_memcheck_resume(); /* it is the program */
  int again = callback(argument, HAK_SECURE ? bytes - HAK_TRAILER_BYTES : bytes);
  hak_memcheck_pause();
  relief_is_asking = false;
  return again != 0;
}

/* In the secure build: whether blocks that this thread freed were still waiting. They are let go before anything else, whatever
 * the request failed for, and do not stay in the thread's caches: it may be address space that is missing. */
static inline bool relief_drain(const hak_relief_t *relief) {
  hak_theap_t *heap = hak_tls.heap;
  if (relief->over || heap == NULL || !hak_quarantine_drain(heap, "hak_free")) return false;
  hak_theap_flush(heap);
  hak_limit_met = false;
  return true;
}

bool hak_relief_mt(hak_relief_t *relief, size_t bytes) {
  if (HAK_SECURE && relief_drain(relief)) return true;
  if (!hak_limit_met || relief->over) return false;
  int saved = errno;
  bool fits = (int64_t)bytes >= 0 && (int64_t)bytes <= hak_limit_bytes_mt();
  bool again = (fits && !relief->collected) || relief_ask(bytes);
  if (again) {
    relief->collected = true;
    hak_relief_collect_mt(true);
  } else {
    relief->over = true;
    (void)hak_add_relaxed(hak_limit_failed(), 1);
    hak_log(HAK_LOG_LIMIT, "[LIMIT] refused: size=%zu, held=%zu KB, limit=%zu KB", bytes,
            (size_t)hak_limit_held_mt() / 1024, (size_t)hak_limit_bytes_mt() / 1024);
  }
  hak_limit_met = false; /* what the next try meets, it meets anew */
  errno = saved;
  return again;
}
