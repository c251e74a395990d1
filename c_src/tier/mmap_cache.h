/* The mmap tier's cache of free mappings: extents in address order, neighbours joined, best fit with splitting. Bounded
 * in number, bytes and age. All functions want hak_mmap_lock held; none calls the system. */
#ifndef HAK_TIER_MMAP_CACHE_H
#define HAK_TIER_MMAP_CACHE_H

#include <stdatomic.h>

#include "base/attr.h"

typedef struct hak_extent {
  char *base;
  size_t bytes;
  uint64_t freed_ms; /* of its youngest part */
} hak_extent_t;

/* Takes `bytes` aligned to `alignment` out of the smallest extent that has them; NULL when none has. */
HAK_HIDDEN void *hak_mmap_cache_take_locked(size_t bytes, size_t alignment);

/* Adds a mapping. When the cache has no place for it, returns an extent that must be unmapped instead (bytes != 0). */
HAK_HIDDEN hak_extent_t hak_mmap_cache_put_locked(void *base, size_t bytes, uint64_t now_ms);

/* Takes out the oldest extent if it was freed at `freed_before_ms` or earlier, or else so much of it as the cache holds
 * more than `bytes_max`; bytes == 0 when neither. Never more than `most` (whole pages); a part is from the end. The caller
 * unmaps it. */
HAK_HIDDEN hak_extent_t hak_mmap_cache_evict_locked(size_t bytes_max, uint64_t freed_before_ms, size_t most);

/* Whether an address is in a cached extent. */
HAK_HIDDEN bool hak_mmap_cache_has_locked(const void *p);

HAK_HIDDEN size_t hak_mmap_cache_bytes_locked(void);

/* The number of extents; readable without the lock. */
HAK_HIDDEN _Atomic(uint32_t) *hak_mmap_cache_extents(void);

#endif
