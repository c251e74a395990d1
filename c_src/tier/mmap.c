#include "tier/mmap.h"

#include <errno.h>

#include "base/bits.h"
#include "base/check.h"
#include "base/limits.h"
#include "core/limit.h"
#include "core/options.h"
#include "core/purge.h"
#include "core/segment.h"
#include "tier/mmap_cache.h"
#include "tier/mmap_table.h"

/* What one free gives back at most beyond as much as it brought, and one look at the age: so many extents, so many bytes.
 * Giving back 1 MiB of resident pages takes 50 to 100 us. */
#define MMAP_EVICT_MAX 4u
#define MMAP_EVICT_BYTES (4 * HAK_MIB)
#define MMAP_EVICT_ALL 256u /* as many as the cache has: those that are refused come back */

hak_lock_t hak_mmap_lock;

/* Everything below is under the lock. */
static size_t mmap_live_bytes;

/* What was lately so; all three sink, see mmap_sink_locked. */
static size_t mmap_peak_bytes;    /* the most that was live */
static size_t mmap_evicted_bytes; /* purged only because of the bound, and not wanted again */
static size_t mmap_regret_bytes;  /* and wanted again: for those the bound was too low */
static uint64_t mmap_sunk_ms;     /* when they last did */
static uint64_t mmap_served, mmap_returned;

/* For the limit: what is counted there, and blocks that are being moved, which are in no table then. */
static size_t mmap_counted_bytes, mmap_moving_bytes;

/* Frees the lock after live blocks or the cache changed, and counts that, but for `taken` bytes that the limit has granted
 * and so counted for it. (What is on its way to be unmapped or purged is not counted any more.) */
static void mmap_unlock_changed(size_t taken) {
  size_t bytes = mmap_live_bytes + mmap_moving_bytes + hak_mmap_cache_dirty_locked();
  if (bytes != mmap_counted_bytes + taken) hak_limit_correct((int64_t)bytes - (int64_t)(mmap_counted_bytes + taken));
  mmap_counted_bytes = bytes;
  hak_unlock(&hak_mmap_lock);
}

static void mmap_live_locked(size_t more) {
  mmap_live_bytes += more;
  if (mmap_live_bytes > mmap_peak_bytes) mmap_peak_bytes = mmap_live_bytes;
}

static void mmap_insert_locked(char *base, size_t bytes, hak_mmap_list_t *list) {
  hak_mmap_table_insert_locked(base, bytes, list);
  mmap_live_locked(bytes);
}

static void mmap_remove_locked(hak_mmap_block_t *block) {
  mmap_live_bytes -= block->bytes;
  hak_mmap_table_remove_locked(block);
}

/* Refused at the limit of mappings (unmapping may split one): its pages go, and the cache has it again, as new, if there is
 * room. False then. */
static bool mmap_unmap(hak_extent_t extent) {
  if (extent.bytes == 0) return true;
  bool unmapped = hak_os_unmap(extent.base, extent.bytes);
  if (unmapped || hak_os_purge(extent.base, extent.bytes)) {
    (void)hak_add_relaxed(hak_purge_bytes(), extent.dirty);
    extent.dirty = 0;
  }
  if (unmapped) return true;
  extent.freed_ms = hak_os_now_ms();
  hak_lock(&hak_mmap_lock);
  (void)hak_mmap_cache_put_locked(extent);
  mmap_unlock_changed(0);
  hak_purge_dirtied_mt();
  return false;
}

/* The pages of the first part of an extent, which comes back to the cache; or, if they are locked, all of it. */
static bool mmap_purge(hak_extent_t extent) {
  hak_assert(extent.dirty_at == 0);
  if (!hak_os_purge(extent.base, extent.dirty)) return mmap_unmap(extent);
  (void)hak_add_relaxed(hak_purge_bytes(), extent.dirty);
  extent.dirty = 0;
  hak_lock(&hak_mmap_lock);
  extent = hak_mmap_cache_put_locked(extent);
  mmap_unlock_changed(0);
  hak_purge_dirtied_mt(); /* for a moment the cache may have looked empty */
  return mmap_unmap(extent);
}

/* In each half of the delay the peak comes closer to what is live by a quarter of the difference, and a quarter of the others
 * wears off. */
static void mmap_sink_locked(uint64_t now_ms) {
  int64_t step = hak_options.purge_delay_ms / 2 + 1;
  if (mmap_sunk_ms == 0) mmap_sunk_ms = now_ms;
  /* signed: another thread may have read the clock after us */
  for (unsigned n = 0; n < 16 && (int64_t)(now_ms - mmap_sunk_ms) >= step; n++) {
    mmap_peak_bytes -= (mmap_peak_bytes - mmap_live_bytes + 3) / 4;
    mmap_evicted_bytes -= (mmap_evicted_bytes + 3) / 4;
    mmap_regret_bytes -= (mmap_regret_bytes + 3) / 4;
    mmap_sunk_ms += (uint64_t)step;
  }
  if ((int64_t)(now_ms - mmap_sunk_ms) < step) return;
  mmap_peak_bytes = mmap_live_bytes; /* next to nothing is left of them after 16 steps */
  mmap_evicted_bytes = mmap_regret_bytes = 0;
  mmap_sunk_ms = now_ms;
}

static size_t mmap_fixed_bound_locked(void) {
  size_t bound = (size_t)hak_options.mmap_cache_kib * HAK_KIB;
  return bound > mmap_live_bytes / 2 ? bound : mmap_live_bytes / 2;
}

/* How much may be cached: what the option says or half of what is live; and what the program was seen to want back. A
 * program that frees a lot once gives it back, one that does so again and again finds it. */
static size_t mmap_bound_locked(uint64_t now_ms) {
  mmap_sink_locked(now_ms);
  return mmap_fixed_bound_locked() + mmap_regret_bytes;
}

/* To be called when a block was mapped or has so many bytes without pages. To fault pages in again costs so much more than to
 * keep them that few such blocks raise the bound to the most there is a use for: as much as was lately live. (Free extents
 * of many sizes are rarely all used, so that twice what is live is what a program of 5 to 25 MiB blocks needs.) */
static void mmap_regret_locked(size_t bytes) {
  if (bytes > mmap_evicted_bytes) bytes = mmap_evicted_bytes;
  mmap_evicted_bytes -= bytes;
  size_t regret = mmap_regret_bytes + HAK_REGRET_FACTOR * bytes;
  mmap_regret_bytes = regret < mmap_peak_bytes ? regret : mmap_peak_bytes;
}

/* Takes out of the cache what is to go back so that no more than `dirty_max` bytes of it are resident, no more than `bytes`.
 * *unmap: not only its pages go, since address space is bounded, too: by the option, or as much as is live. */
static hak_extent_t mmap_excess_locked(size_t dirty_max, size_t bytes, bool *unmap) {
  hak_extent_t extent = hak_mmap_cache_purge_locked(dirty_max, bytes);
  mmap_evicted_bytes += extent.dirty;
  size_t clean_max = (size_t)hak_options.mmap_cache_kib * HAK_KIB;
  if (clean_max < mmap_live_bytes) clean_max = mmap_live_bytes;
  *unmap = hak_mmap_cache_clean_locked() + extent.bytes > clean_max;
  return extent;
}

/* Unmaps what is old and purges what is over the bound, `most` extents and `bytes` resident bytes at most, and returns whether
 * there was any. Without the lock. */
static bool mmap_trim(bool everything, unsigned most, size_t bytes) {
  uint64_t now = hak_os_now_ms(), delay = (uint64_t)hak_options.purge_delay_ms;
  uint64_t old = now > delay ? now - delay : 0;
  unsigned refused = 0;
  for (unsigned n = 0; n < most && bytes != 0; n++) {
    hak_lock(&hak_mmap_lock);
    if (everything) mmap_regret_bytes = mmap_evicted_bytes = 0; /* mapping it again is then no regret */
    hak_extent_t extent = hak_mmap_cache_evict_locked(everything ? UINT64_MAX : old, bytes);
    bool unmap = extent.bytes != 0;
    if (!unmap) extent = mmap_excess_locked(mmap_bound_locked(now), bytes, &unmap);
    mmap_unlock_changed(0);
    if (extent.bytes == 0) return n != 0;
    bool done = unmap ? mmap_unmap(extent) : mmap_purge(extent);
    if (!done && (++refused == MMAP_EVICT_MAX || !everything)) return n >= refused; /* later once more */
    bytes -= extent.dirty;
  }
  return true;
}

/* Gives back so many bytes of the cache, but for what was lately wanted back; or, since that had nothing that fits for the
 * one who comes (`misfit`), but for what may be kept without such a reason. */
static void mmap_trade(size_t bytes, bool misfit) {
  if (!hak_mmap_waits_mt()) return;
  for (unsigned n = 0; n < MMAP_EVICT_MAX && bytes != 0; n++) {
    bool unmap;
    hak_lock(&hak_mmap_lock);
    mmap_sink_locked(hak_os_now_ms());
    hak_extent_t extent = mmap_excess_locked(misfit ? mmap_fixed_bound_locked() : mmap_regret_bytes, bytes, &unmap);
    mmap_unlock_changed(0);
    if (extent.bytes == 0 || !(unmap ? mmap_unmap(extent) : mmap_purge(extent))) return;
    bytes -= extent.dirty;
  }
}

void hak_mmap_trade_mt(size_t bytes) { mmap_trade(bytes, false); }

static void *mmap_out_of_memory(size_t bytes) {
  hak_log(HAK_LOG_MMAP, "[MMAP] mmap FAILED: size=%zu, errno=%d", bytes, errno);
  errno = ENOMEM;
  return NULL;
}

void *hak_mmap_alloc_mt(size_t bytes, size_t alignment, bool *zeroed) {
  return hak_mmap_alloc_on_mt(NULL, bytes, alignment, zeroed);
}

/* By the limit. */
static void *mmap_refused(void) {
  errno = ENOMEM;
  return NULL;
}

/* Whether the limit has so much more, if need be without what the cache holds; it is counted then. */
static bool mmap_is_allowed(size_t bytes) {
  return HAK_LIKELY(hak_limit_take_mt(bytes)) ||
         (mmap_trim(true, MMAP_EVICT_ALL, SIZE_MAX) && hak_limit_take_mt(bytes));
}

/* A block that the cache has not. NULL with errno ENOMEM. */
static char *mmap_map(hak_mmap_list_t *list, size_t bytes, size_t alignment) {
  if (HAK_UNLIKELY(!mmap_is_allowed(bytes))) return mmap_refused();
  char *base = hak_os_map_aligned(bytes, alignment);
  if (base == NULL) { /* what the cache or free segments hold may be what is missing */
    mmap_trim(true, MMAP_EVICT_ALL, SIZE_MAX);
    base = hak_os_map_aligned(bytes, alignment);
    if (base == NULL && hak_segment_unmap_free_mt() != 0) base = hak_os_map_aligned(bytes, alignment);
  }
  if (base == NULL) {
    hak_limit_give_mt(bytes);
    return mmap_out_of_memory(bytes);
  }
  hak_lock(&hak_mmap_lock);
  bool room = hak_mmap_table_reserve_locked(); /* again: others may have come between */
  if (room) {
    mmap_insert_locked(base, bytes, list);
    mmap_regret_locked(bytes);
    mmap_served++;
  }
  mmap_unlock_changed(room ? bytes : 0);
  if (room) return base;
  hak_os_unmap(base, bytes);
  hak_limit_give_mt(bytes);
  return mmap_out_of_memory(bytes);
}

void *hak_mmap_alloc_on_mt(hak_mmap_list_t *list, size_t bytes, size_t alignment, bool *zeroed) {
  size_t page = hak_os_page_bytes();
  if (bytes > PTRDIFF_MAX - page) return mmap_out_of_memory(bytes);
  bytes = bytes == 0 ? page : hak_align_up(bytes, page);
  hak_lock(&hak_mmap_lock);
  hak_extent_t cached = {0}, too_many = {0};
  bool room = hak_mmap_table_reserve_locked();
  if (room) cached = hak_mmap_cache_take_locked(bytes, alignment < page ? page : alignment);
  char *base = cached.base;
  size_t clean = bytes - cached.dirty;
  bool granted = base == NULL || clean == 0 || HAK_LIKELY(hak_limit_take_mt(clean));
  if (!granted) {
    cached.freed_ms = hak_os_now_ms();
    too_many = hak_mmap_cache_put_locked(cached);
  } else if (base != NULL) {
    mmap_insert_locked(base, bytes, list);
    mmap_regret_locked(clean);
    mmap_served++;
  }
  mmap_unlock_changed(granted && base != NULL ? clean : 0);
  if (HAK_UNLIKELY(!granted)) {
    mmap_unmap(too_many);
    return mmap_refused();
  }
  if (!room) return mmap_out_of_memory(bytes);
  bool mapped = base == NULL;
  if (!mapped) {
    hak_purge_dirtied_mt(); /* for a moment the cache may have looked empty, while the rest was put back */
  } else {
    base = mmap_map(list, bytes, alignment);
    if (base == NULL) return NULL;
  }
  *zeroed = clean == bytes;
  if (clean != 0) {
    size_t back = hak_purge_trade_mt(clean);
    if (mapped && back < clean) mmap_trade(clean - back, true);
  }
  return base;
}

/* Takes a live block out of the table and puts it into the cache; what that has no room for is returned. */
static hak_extent_t mmap_free_locked(hak_mmap_block_t *block, uint64_t now_ms) {
  char *base = block->base;
  size_t bytes = block->bytes;
  mmap_remove_locked(block);
  mmap_returned++;
  return hak_mmap_cache_put_locked((hak_extent_t){.base = base, .bytes = bytes, .dirty = bytes, .freed_ms = now_ms});
}

bool hak_mmap_free_mt(void *p) {
  uint64_t now = hak_os_now_ms();
  hak_extent_t too_many = {0};
  size_t bytes = 0;
  hak_lock(&hak_mmap_lock);
  hak_mmap_block_t *block = hak_mmap_table_find_locked(p);
  bool found = block != NULL;
  if (found) {
    bytes = block->bytes;
    too_many = mmap_free_locked(block, now);
  }
  mmap_unlock_changed(0);
  mmap_unmap(too_many);
  if (found) mmap_trim(false, MMAP_EVICT_MAX, bytes + MMAP_EVICT_BYTES);
  if (found) hak_purge_dirtied_mt();
  return found;
}

void hak_mmap_free_list_mt(hak_mmap_list_t *list) {
  for (bool more = true; more;) {
    uint64_t now = hak_os_now_ms();
    hak_extent_t too_many = {0};
    size_t bytes = 0;
    hak_lock(&hak_mmap_lock);
    if (list->first != NULL) {
      hak_mmap_block_t *block = hak_mmap_table_find_locked(list->first);
      bytes = block->bytes;
      too_many = mmap_free_locked(block, now);
    }
    more = list->first != NULL;
    mmap_unlock_changed(0);
    mmap_unmap(too_many);
    mmap_trim(false, MMAP_EVICT_MAX, bytes + MMAP_EVICT_BYTES);
  }
  hak_purge_dirtied_mt();
}

size_t hak_mmap_find_mt(const void *p, hak_mmap_list_t **list) {
  hak_lock(&hak_mmap_lock);
  const hak_mmap_block_t *block = hak_mmap_table_find_locked(p);
  size_t bytes = block == NULL ? 0 : block->bytes;
  *list = block == NULL ? NULL : block->list;
  hak_unlock(&hak_mmap_lock);
  return bytes;
}

size_t hak_mmap_bytes_mt(const void *p) {
  hak_mmap_list_t *list;
  return hak_mmap_find_mt(p, &list);
}

/* Cuts a live block down to `bytes`; the rest goes to the cache. Frees the lock. */
static void mmap_shrink_unlock(hak_mmap_block_t *block, size_t bytes) {
  size_t rest = block->bytes - bytes;
  hak_extent_t too_many = hak_mmap_cache_put_locked(
      (hak_extent_t){.base = block->base + bytes, .bytes = rest, .dirty = rest, .freed_ms = hak_os_now_ms()});
  block->bytes = bytes;
  mmap_live_bytes -= rest;
  mmap_unlock_changed(0);
  mmap_unmap(too_many);
  mmap_trim(false, MMAP_EVICT_MAX, rest + MMAP_EVICT_BYTES);
  hak_purge_dirtied_mt();
}

/* Lets a live block grow into the free extent behind it: no system call, and no fault where that is resident. Frees the lock
 * and returns true, if there is one that is long enough. */
static bool mmap_extend_unlock(hak_mmap_block_t *block, size_t bytes) {
  size_t more = bytes - block->bytes;
  hak_extent_t behind = hak_mmap_cache_take_at_locked(block->base + block->bytes, more);
  if (behind.base == NULL) return false;
  size_t clean = more - behind.dirty;
  if (clean != 0 && HAK_UNLIKELY(!hak_limit_take_mt(clean))) {
    hak_extent_t too_many = hak_mmap_cache_put_locked(behind);
    hak_check(too_many.bytes == 0); /* it has just been there */
    return false;
  }
  block->bytes = bytes;
  mmap_live_locked(more);
  mmap_regret_locked(clean);
  mmap_unlock_changed(clean);
  hak_purge_dirtied_mt(); /* for a moment the cache may have looked empty */
  if (clean != 0) (void)hak_purge_trade_mt(clean);
  return true;
}

/* Whether a copy into what the cache has is better than to move the pages of a block and fault in those that it grows by: a page
 * is copied in half the time that a fault takes, and no memory of the system is needed. But then the old one's pages are the
 * cache's, so not for a block that would fill half of that. */
static bool mmap_copy_is_better_locked(size_t old_bytes, size_t bytes) {
  return old_bytes <= mmap_fixed_bound_locked() / 2 &&
         hak_mmap_cache_resident_locked(bytes) >= old_bytes + old_bytes / 2;
}

void *hak_mmap_resize_mt(void *p, size_t bytes) {
  size_t page = hak_os_page_bytes();
  if (bytes > PTRDIFF_MAX - page) return mmap_out_of_memory(bytes);
  bytes = hak_align_up(bytes, page);
  hak_lock(&hak_mmap_lock);
  hak_mmap_block_t *block = hak_mmap_table_find_locked(p);
  hak_check(block != NULL);
  size_t old_bytes = block->bytes;
  hak_mmap_list_t *list = block->list;
  if (bytes < old_bytes) {
    mmap_shrink_unlock(block, bytes);
    return p;
  }
  if (bytes == old_bytes) {
    hak_unlock(&hak_mmap_lock);
    return p;
  }
  if (mmap_extend_unlock(block, bytes)) return p;
  if (mmap_copy_is_better_locked(old_bytes, bytes)) {
    hak_unlock(&hak_mmap_lock);
    return NULL;
  }
  if (HAK_UNLIKELY(!hak_limit_take_mt(bytes - old_bytes))) {
    hak_unlock(&hak_mmap_lock);
    return mmap_refused();
  }
  mmap_remove_locked(block); /* nobody may find it while it moves; its place in the table stays ours: see below */
  mmap_moving_bytes += old_bytes;
  mmap_unlock_changed(0);

  char *moved = hak_os_remap(p, old_bytes, bytes);
  if (moved == NULL && errno == ENOMEM && mmap_trim(true, MMAP_EVICT_ALL, SIZE_MAX))
    moved = hak_os_remap(p, old_bytes, bytes);
  hak_lock(&hak_mmap_lock);
  /* A place for it was there before; that others filled the table since, to the last place, cannot be mended. */
  hak_check(hak_mmap_table_reserve_locked() || hak_mmap_table_has_place_locked());
  mmap_insert_locked(moved == NULL ? p : moved, moved == NULL ? old_bytes : bytes, list);
  mmap_moving_bytes -= old_bytes;
  mmap_unlock_changed(moved == NULL ? 0 : bytes - old_bytes);
  if (moved == NULL) hak_limit_give_mt(bytes - old_bytes);
  if (moved != NULL) (void)hak_purge_trade_mt(bytes - old_bytes);
  return moved;
}

const char *hak_mmap_explain_mt(const void *p) {
  const char *what = HAK_BAD_FOREIGN;
  hak_lock(&hak_mmap_lock);
  if (hak_mmap_table_covers_locked(p)) what = HAK_BAD_INTERIOR;
  if (hak_mmap_cache_has_locked(p)) what = HAK_BAD_DOUBLE_FREE;
  hak_unlock(&hak_mmap_lock);
  return what;
}

bool hak_mmap_collect_mt(bool force) { return mmap_trim(force, MMAP_EVICT_ALL, SIZE_MAX); }

bool hak_mmap_waits_mt(void) { return hak_load_seq(hak_mmap_cache_extents()) != 0; }

static _Atomic uint64_t mmap_xlook_ms; /* when hak_mmap_old_mt looks again */

void hak_mmap_old_mt(void) {
  if (!hak_mmap_waits_mt()) return;
  uint64_t now = hak_os_now_ms(), look = hak_load_relaxed(&mmap_xlook_ms);
  if (now < look || !hak_cas_relaxed(&mmap_xlook_ms, &look, now + (uint64_t)hak_options.purge_delay_ms / 4)) return;
  if (mmap_trim(false, MMAP_EVICT_MAX, MMAP_EVICT_BYTES))
    hak_store_relaxed(&mmap_xlook_ms, now); /* there may be more */
}

void hak_mmap_stats_mt(uint64_t *live_bytes, uint64_t *cached_bytes, uint64_t *served, uint64_t *returned) {
  hak_lock(&hak_mmap_lock);
  *live_bytes = mmap_live_bytes;
  *cached_bytes = hak_mmap_cache_dirty_locked();
  *served = mmap_served;
  *returned = mmap_returned;
  hak_unlock(&hak_mmap_lock);
}
