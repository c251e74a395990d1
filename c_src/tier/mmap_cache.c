#include "tier/mmap_cache.h"

#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/check.h"
#include "os/os.h"

#define CACHE_EXTENTS 256u

/* Invariant: ascending and disjoint, no two touch; cache_bytes is their sum. */
static hak_extent_t cache[CACHE_EXTENTS];
static unsigned cache_count;
static size_t cache_bytes;
static _Atomic uint32_t cache_xcount; /* cache_count, for who has not the lock */

_Atomic(uint32_t) *hak_mmap_cache_extents(void) { return &cache_xcount; }

size_t hak_mmap_cache_bytes_locked(void) { return cache_bytes; }

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
}

static hak_extent_t cache_remove(unsigned at) {
  hak_extent_t extent = cache[at];
  hak_store_relaxed(&cache_xcount, --cache_count);
  cache_bytes -= extent.bytes;
  memmove(&cache[at], &cache[at + 1], (cache_count - at) * sizeof(cache[0]));
  return extent;
}

void *hak_mmap_cache_take_locked(size_t bytes, size_t alignment) {
  unsigned best = CACHE_EXTENTS;
  for (unsigned i = 0; i < cache_count; i++) {
    size_t skip = (size_t)(0 - (uintptr_t)cache[i].base) & (alignment - 1);
    if (cache[i].bytes < skip || cache[i].bytes - skip < bytes) continue;
    if (best == CACHE_EXTENTS || cache[i].bytes < cache[best].bytes) best = i;
  }
  if (best == CACHE_EXTENTS) return NULL;
  hak_extent_t extent = cache_remove(best);
  size_t skip = (size_t)(0 - (uintptr_t)extent.base) & (alignment - 1);
  char *block = extent.base + skip;
  size_t rest = extent.bytes - skip - bytes;
  if (skip != 0 && rest != 0 && cache_count + 2 > CACHE_EXTENTS) { /* no place for two parts: leave it whole */
    cache_insert(best, extent);
    return NULL;
  }
  if (rest != 0) cache_insert(best, (hak_extent_t){block + bytes, rest, extent.freed_ms});
  if (skip != 0) cache_insert(best, (hak_extent_t){extent.base, skip, extent.freed_ms});
  return block;
}

hak_extent_t hak_mmap_cache_put_locked(void *base, size_t bytes, uint64_t now_ms) {
  hak_extent_t extent = {base, bytes, now_ms};
  unsigned at = cache_above(base);
  if (at != cache_count && extent.base + extent.bytes == cache[at].base) extent.bytes += cache_remove(at).bytes;
  if (at != 0 && cache[at - 1].base + cache[at - 1].bytes == extent.base) {
    hak_extent_t before = cache_remove(--at);
    extent.base = before.base;
    extent.bytes += before.bytes;
  }
  if (cache_count == CACHE_EXTENTS) return extent;
  cache_insert(at, extent);
  return (hak_extent_t){0};
}

hak_extent_t hak_mmap_cache_evict_locked(size_t bytes_max, uint64_t freed_before_ms, size_t most) {
  unsigned oldest = 0;
  for (unsigned i = 1; i < cache_count; i++) {
    if (cache[i].freed_ms < cache[oldest].freed_ms) oldest = i;
  }
  if (cache_count == 0) return (hak_extent_t){0};
  hak_extent_t *extent = &cache[oldest];
  if (extent->freed_ms > freed_before_ms) { /* not old: only what is too much */
    if (cache_bytes <= bytes_max) return (hak_extent_t){0};
    size_t excess = hak_align_up(cache_bytes - bytes_max, hak_os_page_bytes());
    if (most > excess) most = excess;
  }
  if (extent->bytes <= most) return cache_remove(oldest);
  extent->bytes -= most;
  cache_bytes -= most;
  return (hak_extent_t){extent->base + extent->bytes, most, extent->freed_ms};
}

bool hak_mmap_cache_has_locked(const void *p) {
  unsigned above = cache_above(p);
  return above != 0 && (size_t)((const char *)p - cache[above - 1].base) < cache[above - 1].bytes;
}
