/* Memory back to the system: the pages of free slices. What is free stays resident up to a bound (options dirty_kib and
 * dirty_percent), so that it can be used again without a page fault; what is above the bound goes when it becomes free,
 * what is below goes when it has been free for purge_delay_ms and somebody passes by. */
#ifndef HAK_CORE_PURGE_H
#define HAK_CORE_PURGE_H

#include "base/atomic.h"
#include "core/types.h"

/* Tells that slices which the bound made us purge are in use again: for those, the bound was too low. It rises by them,
 * and sinks again with time. _mt */
HAK_HIDDEN void hak_purge_regret_mt(unsigned slices);

/* Keeps the bound: called after `given` slices were given back. At most HAK_PURGE_CALLS madvise calls for at most
 * given + HAK_PURGE_SLICES slices, and a look at HAK_PURGE_SEGMENTS segments. Keeps errno. _mt */
HAK_HIDDEN void hak_purge_bound_mt(unsigned given);

/* A trade: `bytes` were or will be faulted in that nothing free could be used for, so as much of what is free and resident goes
 * back to the system and the process stays as large as it is; except for as much as was lately wanted back. At most
 * HAK_PURGE_CALLS madvise calls. Returns the bytes given back. Keeps errno. _mt */
HAK_HIDDEN size_t hak_purge_trade_mt(size_t bytes);

/* Bytes of slices taken that were not resident, and not traded yet; 0 while they are few. The caller is to trade them. _mt */
HAK_HIDDEN size_t hak_purge_fresh_mt(void);

/* Gives back what has been free for the delay; looks at the clock, and only four times per delay at the segments. At most
 * HAK_PURGE_CALLS madvise calls for HAK_PURGE_OLD_SLICES slices, and a look at HAK_PURGE_SEGMENTS segments; what is left
 * is for the next call. Called now and then from slow paths. Keeps errno. _mt */
HAK_HIDDEN void hak_purge_old_mt(void);

/* Whether so much is free and resident that it is worth to have threads come by more often than they would. _mt */
HAK_HIDDEN bool hak_purge_waits_mt(void);

/* Gives back all that is free, the free blocks of spans in use too (force), or all slices older than the delay; but for `keep`
 * bytes of free slices, rounded up. Keeps errno. _mt */
HAK_HIDDEN void hak_purge_all_mt(bool force, size_t keep);

/* The word on which the background thread waits (heap/background.c). ASLEEP: nothing was dirty, it waits for that. */
enum { HAK_SLEEPER_NONE, HAK_SLEEPER_AWAKE, HAK_SLEEPER_ASLEEP, HAK_SLEEPER_STOPPED };
HAK_HIDDEN extern _Atomic uint32_t hak_purge_xsleeper;
HAK_SLOW void hak_purge_wake_mt(void);

/* To be called after something became dirty, not under a lock. A load; a system call when the first thing does so after
 * all was clean. seq_cst as what made it dirty: if this misses ASLEEP, the sleeper's last look finds what is dirty. _mt */
HAK_FAST void hak_purge_dirtied_mt(void) {
  if (HAK_UNLIKELY(hak_load_seq(&hak_purge_xsleeper) == HAK_SLEEPER_ASLEEP)) hak_purge_wake_mt();
}

/* Bytes given back by purges and unmappings so far. */
HAK_HIDDEN _Atomic(uint64_t) *hak_purge_bytes(void);

#endif
