#include "tier/mmap_cache.h"

#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/check.h"
#include "os/os.h"

#define CACHE_EXTENTS 256u

/* Invariant: ascending and disjoint, no two touch; cache_bytes is their sum, cache_dirty that of what may be resident. */
static hak_extent_t cache[CACHE_EXTENTS];
static unsigned cache_count;
static size_t cache_bytes, cache_dirty;
static _Atomic uint32_t cache_xcount; /* cache_count, for who has not the lock */

_Atomic(uint32_t) *hak_mmap_cache_extents(void) { return &cache_xcount; }

size_t hak_mmap_cache_dirty_locked(void) { return cache_dirty; }
size_t hak_mmap_cache_clean_locked(void) { return cache_bytes - cache_dirty; }

/* The index of the first extent that begins above p. */
static unsigned cache_above(const char *p) {
  unsigned low = 0, high = cache_count;
  while (low < high) {
    unsigned middle = (low + high) / 2;
    if (cache[middle].base > p) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

static void cache_insert(unsigned at, hak_extent_t extent) {
  memmove(&cache[at + 1], &cache[at], (cache_count - at) * sizeof(cache[0]));
  cache[at] = extent;
  hak_store_seq(&cache_xcount, ++cache_count); /* before hak_purge_dirtied_mt */
  cache_bytes += extent.bytes;
  cache_dirty += extent.dirty;
}

static hak_extent_t cache_remove(unsigned at) {
  hak_extent_t extent = cache[at];
  hak_store_relaxed(&cache_xcount, --cache_count);
  cache_bytes -= extent.bytes;
  cache_dirty -= extent.dirty;
  memmove(&cache[at], &cache[at + 1], (cache_count - at) * sizeof(cache[0]));
  return extent;
}

/* A part of an extent. */
static hak_extent_t cache_part(hak_extent_t extent, size_t offset, size_t bytes) {
  size_t from = extent.dirty_at > offset ? extent.dirty_at : offset;
  size_t to = extent.dirty_at + extent.dirty < offset + bytes ? extent.dirty_at + extent.dirty : offset + bytes;
  hak_extent_t part = {.base = extent.base + offset, .bytes = bytes, .freed_ms = extent.freed_ms};
  if (from < to) {
    part.dirty_at = from - offset;
    part.dirty = to - from;
  }
  return part;
}

/* Two that touch. Clean pages between what is dirty of both count as resident. */
static hak_extent_t cache_join(hak_extent_t low, hak_extent_t high) {
  hak_extent_t both = {.base = low.base, .bytes = low.bytes + high.bytes};
  both.freed_ms = low.freed_ms > high.freed_ms ? low.freed_ms : high.freed_ms;
  both.dirty_at = low.dirty != 0 || high.dirty == 0 ? low.dirty_at : low.bytes + high.dirty_at;
  both.dirty = high.dirty != 0 ? low.bytes + high.dirty_at + high.dirty - both.dirty_at : low.dirty;
  return both;
}

/* The smallest extent that has so many bytes aligned so; CACHE_EXTENTS when none has. */
static unsigned cache_best(size_t bytes, size_t alignment) {
  unsigned best = CACHE_EXTENTS;
  for (unsigned i = 0; i < cache_count; i++) {
    size_t skip = (size_t)(0 - (uintptr_t)cache[i].base) & (alignment - 1);
    if (cache[i].bytes < skip || cache[i].bytes - skip < bytes) continue;
    if (best == CACHE_EXTENTS || cache[i].bytes < cache[best].bytes) best = i;
  }
  return best;
}

hak_extent_t hak_mmap_cache_take_locked(size_t bytes, size_t alignment) {
  unsigned best = cache_best(bytes, alignment);
  if (best == CACHE_EXTENTS) return (hak_extent_t){0};
  hak_extent_t extent = cache_remove(best);
  size_t skip = (size_t)(0 - (uintptr_t)extent.base) & (alignment - 1);
  size_t rest = extent.bytes - skip - bytes;
  if (skip != 0 && rest != 0 && cache_count + 2 > CACHE_EXTENTS) { /* no place for two parts: leave it whole */
    cache_insert(best, extent);
    return (hak_extent_t){0};
  }
  if (rest != 0) cache_insert(best, cache_part(extent, skip + bytes, rest));
  if (skip != 0) cache_insert(best, cache_part(extent, 0, skip));
  return cache_part(extent, skip, bytes);
}

hak_extent_t hak_mmap_cache_take_at_locked(const char *base, size_t bytes) {
  unsigned at = cache_above(base) - 1; /* if there is none, the greatest number */
  if (at >= cache_count || cache[at].base != base || cache[at].bytes < bytes) return (hak_extent_t){0};
  hak_extent_t extent = cache_remove(at);
  if (extent.bytes != bytes) cache_insert(at, cache_part(extent, bytes, extent.bytes - bytes));
  return cache_part(extent, 0, bytes);
}

size_t hak_mmap_cache_resident_locked(size_t bytes) {
  unsigned best = cache_best(bytes, hak_os_page_bytes());
  return best == CACHE_EXTENTS ? 0 : cache_part(cache[best], 0, bytes).dirty;
}

hak_extent_t hak_mmap_cache_put_locked(hak_extent_t extent) {
  unsigned at = cache_above(extent.base);
  if (at != cache_count && extent.base + extent.bytes == cache[at].base) extent = cache_join(extent, cache_remove(at));
  if (at != 0 && cache[at - 1].base + cache[at - 1].bytes == extent.base) {
    extent = cache_join(cache_remove(at - 1), extent);
    at--;
  }
  if (cache_count == CACHE_EXTENTS) return extent;
  cache_insert(at, extent);
  return (hak_extent_t){0};
}

/* The oldest extent, of those that may be resident; CACHE_EXTENTS when there is none. */
static unsigned cache_oldest(bool dirty) {
  unsigned oldest = CACHE_EXTENTS;
  for (unsigned i = 0; i < cache_count; i++) {
    if (dirty && cache[i].dirty == 0) continue;
    if (oldest == CACHE_EXTENTS || cache[i].freed_ms < cache[oldest].freed_ms) oldest = i;
  }
  return oldest;
}

/* Takes the end of an extent from `offset` on, or all of it. What stays is there all the time, for who looks at the count. */
static hak_extent_t cache_cut(unsigned at, size_t offset) {
  if (offset == 0) return cache_remove(at);
  hak_extent_t end = cache_part(cache[at], offset, cache[at].bytes - offset);
  cache[at] = cache_part(cache[at], 0, offset);
  cache_bytes -= end.bytes;
  cache_dirty -= end.dirty;
  return end;
}

hak_extent_t hak_mmap_cache_evict_locked(uint64_t freed_before_ms, size_t most) {
  unsigned oldest = cache_oldest(false);
  if (oldest == CACHE_EXTENTS || cache[oldest].freed_ms > freed_before_ms) return (hak_extent_t){0};
  const hak_extent_t *extent = &cache[oldest];
  return cache_cut(oldest, extent->dirty > most ? extent->dirty_at + extent->dirty - most : 0);
}

hak_extent_t hak_mmap_cache_purge_locked(size_t dirty_max, size_t most) {
  if (cache_dirty <= dirty_max) return (hak_extent_t){0};
  size_t excess = hak_align_up(cache_dirty - dirty_max, hak_os_page_bytes());
  if (most > excess) most = excess;
  unsigned oldest = cache_oldest(true);
  const hak_extent_t *extent = &cache[oldest];
  return cache_cut(oldest, extent->dirty_at + (extent->dirty > most ? extent->dirty - most : 0));
}

bool hak_mmap_cache_has_locked(const void *p) {
  unsigned above = cache_above(p);
  return above != 0 && (size_t)((const char *)p - cache[above - 1].base) < cache[above - 1].bytes;
}
