/* The mmap tier's cache of free mappings: extents in address order, neighbours joined, best fit with splitting. What is
 * resident of it is bounded: the pages beyond go back to the system, the address space stays, so that an extent is as useful as
 * before. The extents are bounded in number and age. All functions want hak_mmap_lock held; none calls the system. */
#ifndef HAK_TIER_MMAP_CACHE_H
#define HAK_TIER_MMAP_CACHE_H

#include <stdatomic.h>

#include "base/attr.h"

typedef struct hak_extent {
  char *base;
  size_t bytes;
  size_t dirty_at;   /* from here on, */
  size_t dirty;      /* so many may be resident; those before and behind are known to be zero */
  uint64_t freed_ms; /* of its youngest part */
} hak_extent_t;

/* Takes `bytes` aligned to `alignment` out of the smallest extent that has them; base == NULL when none has. */
HAK_HIDDEN hak_extent_t hak_mmap_cache_take_locked(size_t bytes, size_t alignment);

/* Takes `bytes` from the beginning of the extent at `base`; base == NULL when there is none or it has less. */
HAK_HIDDEN hak_extent_t hak_mmap_cache_take_at_locked(const char *base, size_t bytes);

/* How many of the first `bytes` of the extent that hak_mmap_cache_take_locked would take them from, aligned to a page, may be
 * resident; 0 when there is none. */
HAK_HIDDEN size_t hak_mmap_cache_resident_locked(size_t bytes);

/* Adds an extent. When the cache has no place for it, returns one that must be unmapped instead (bytes != 0). */
HAK_HIDDEN hak_extent_t hak_mmap_cache_put_locked(hak_extent_t extent);

/* Takes out the oldest extent if it was freed at `freed_before_ms` or earlier; bytes == 0 when it was not. No more than
 * `most` bytes (whole pages) that may be resident; a part is from the end. The caller unmaps it. */
HAK_HIDDEN hak_extent_t hak_mmap_cache_evict_locked(uint64_t freed_before_ms, size_t most);

/* If more than `dirty_max` bytes may be resident, takes out the end of the oldest extent that has any: no more than `most` and
 * no more than what is too much, in whole pages; and what is clean behind them. bytes == 0 when there is nothing. The caller
 * purges the first `dirty` bytes (dirty_at is 0) and puts it back. */
HAK_HIDDEN hak_extent_t hak_mmap_cache_purge_locked(size_t dirty_max, size_t most);

/* Whether an address is in a cached extent. */
HAK_HIDDEN bool hak_mmap_cache_has_locked(const void *p);

/* How much of it may be resident, and how much is address space only. */
HAK_HIDDEN size_t hak_mmap_cache_dirty_locked(void);
HAK_HIDDEN size_t hak_mmap_cache_clean_locked(void);

/* The number of extents; readable without the lock. */
HAK_HIDDEN _Atomic(uint32_t) *hak_mmap_cache_extents(void);

#endif
