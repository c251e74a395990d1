/* Allocation: the hits, and the walk down the tier chain.
 *
 *   hak_malloc, hak_alloc_at
 *     alloc_fast            pops a bin (tiny, mid) or a magazine (pool; ACE out of line)
 *       hak_alloc_slot      nothing there: the chain
 *         hak_tiny_alloc    bin <- slab's list <- inbox <- carving <- spare slab <- slice
 *         hak_mid_alloc     the same
 *         hak_pool_alloc    magazine <- spans' bitmaps <- new span
 *         hak_ace_alloc     the same
 *         hak_mmap_alloc_mt cache <- mmap
 */
#include "api/alloc.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "core/segment.h"
#include "core/stats.h"
#include "hakmem.h"
#include "heap/background.h"
#include "heap/relief.h"
#include "heap/theap.h"
#include "tier/ace.h"
#include "tier/mid.h"
#include "tier/mmap.h"
#include "tier/pool.h"
#include "tier/tiers.h"
#include "tier/tiny.h"

static unsigned alloc_first_tier(size_t size) {
  unsigned tier = 0;
#define ALLOC_NEXT(NAME, name, max, what) tier += size > (max);
  HAK_TIERS_TABLE(ALLOC_NEXT)
#undef ALLOC_NEXT
  return tier < HAK_AT_MMAP ? tier : HAK_AT_MMAP;
}

static uintptr_t alloc_from_tier(unsigned tier, hak_theap_t *heap, size_t size) {
  switch (tier) {
  case HAK_AT_TINY:
    return (uintptr_t)hak_tiny_alloc(heap, size);
  case HAK_AT_MID:
    return (uintptr_t)hak_mid_alloc(heap, size);
  case HAK_AT_POOL:
    return hak_pool_alloc(heap, size);
  case HAK_AT_ACE:
    return hak_ace_alloc(heap, size);
  default:
    return 0;
  }
}

HAK_SLOW_STATIC uintptr_t alloc_failed(size_t size, const void *site) {
  hak_log(HAK_LOG_OOM, "[ALLOC] out of memory: size=%zu, site=0x%lx", size, (unsigned long)(uintptr_t)site);
  errno = ENOMEM;
  return 0;
}

/* A slot from the first tier that can serve, of those on segments. */
static uintptr_t alloc_walk(hak_theap_t *heap, unsigned first, size_t size) {
  if (first == HAK_AT_MMAP) return 0;
  uint64_t failures = hak_segment_failures_mt();
  for (unsigned tier = first; tier < HAK_AT_MMAP; tier++) {
    uintptr_t slot = alloc_from_tier(tier, heap, size);
    if (HAK_LIKELY(slot != 0)) return slot;
    hak_count(&heap->tier[tier].fell_through, 1);
  }
  /* If it was memory that was missing, free mappings of the last tier may be it; small blocks had better not take those
   * page by page. */
  if (failures == hak_segment_failures_mt() || !hak_mmap_collect_mt(true)) return 0;
  return alloc_from_tier(first, heap, size);
}

/* hak_alloc_slot for a size that can be, without a word when there is no memory. */
HAK_FAST uintptr_t alloc_try(size_t size) {
  hak_theap_t *heap = hak_theap_get(), *borrowed = NULL;
  if (HAK_UNLIKELY(heap == NULL)) heap = borrowed = hak_theap_borrow();
  unsigned first = alloc_first_tier(size);
  uintptr_t slot = 0;
  if (HAK_LIKELY(heap != NULL)) { /* without a heap only the last tier can serve */
    hak_theap_tick_alloc(heap);
    slot = alloc_walk(heap, first, size);
  }
  if (HAK_UNLIKELY(borrowed != NULL)) hak_theap_return(borrowed);
  hak_background_tick_mt();
  if (HAK_LIKELY(slot != 0)) {
    (void)hak_counted((void *)(slot & ~HAK_SLOT_ZERO));
    return slot;
  }
  /* A block that stands in for one of another tier has the size of that one's class: what is done later by size alone,
   * a sized free or a resize in place, counts on it. */
  bool zeroed;
  void *block = hak_mmap_alloc_mt(first == HAK_AT_MMAP ? size : hak_good_size(size), HAK_GRAIN, &zeroed);
  return HAK_LIKELY(block != NULL) ? (uintptr_t)block | (zeroed ? HAK_SLOT_ZERO : 0) : 0;
}

/* There was no memory; if it was the limit, that may change. */
HAK_SLOW_STATIC uintptr_t alloc_again(size_t size, const void *site) {
  hak_relief_t relief = {0};
  while (hak_relief_mt(&relief, size)) {
    uintptr_t slot = alloc_try(size);
    if (slot != 0) return slot;
  }
  hak_theap_t *heap = hak_tls.heap;
  if (heap != NULL) hak_count(&heap->tier[alloc_first_tier(size)].failed, 1);
  return alloc_failed(size, site);
}

__attribute__((noinline)) uintptr_t hak_alloc_slot(size_t size, const void *site) {
  if (HAK_UNLIKELY(size > PTRDIFF_MAX)) return alloc_failed(size, site);
  uintptr_t slot = alloc_try(size);
  return HAK_LIKELY(slot != 0) ? slot : alloc_again(size, site);
}

HAK_FAST void *alloc_from_slot(uintptr_t slot) { return (void *)(slot & ~HAK_SLOT_ZERO); }

/* Out of line, so that the hits need no stack frame: they end in a jump here. */
static __attribute__((noinline)) void *alloc_slow(size_t size, const void *site) {
  return alloc_from_slot(hak_alloc_slot(size, site));
}

/* ACE's magazines are the heap's, for TLS has no room for them. */
static __attribute__((noinline)) void *alloc_ace(size_t size, const void *site) {
  hak_theap_t *heap = hak_tls.heap;
  if (HAK_UNLIKELY(heap == NULL) || HAK_UNLIKELY(size > HAK_ACE_MAX)) return alloc_slow(size, site);
  hak_magazine_t *magazine = &heap->ace[hak_span_class_of(size) - HAK_POOL_CLASSES];
  if (HAK_UNLIKELY(magazine->count == 0)) return alloc_slow(size, site);
  hak_block_t *block = alloc_from_slot(magazine->slots[--magazine->count]);
  block->key = 0; /* as in alloc_from_magazine */
  return hak_counted(block);
}

HAK_FAST void *alloc_from_bin(size_t offset, size_t size, const void *site) {
  void *block = hak_bin_pop(offset);
  return HAK_LIKELY(block != NULL) ? block : alloc_slow(size, site);
}

/* Takes a slot from the magazine of a pool size; false when it is empty. */
HAK_FAST bool alloc_from_magazine(size_t size, uintptr_t *slot) {
  hak_magazine_t HAK_TLS *magazine = hak_tls_magazine(hak_bin_by_128[(size + 127) >> 7]);
  uint32_t count;
  if (HAK_UNLIKELY(__builtin_sub_overflow(magazine->count, 1u, &count))) return false;
  magazine->count = count;
  *slot = magazine->slots[count];
  ((hak_block_t *)(*slot & ~HAK_SLOT_ZERO))->key = 0; /* as above; in a block that is zero it changes nothing */
  (void)hak_counted((void *)(*slot & ~HAK_SLOT_ZERO));
  return true;
}

HAK_FAST void *alloc_fast(size_t size, const void *site) {
  if (HAK_LIKELY(size <= HAK_TINY_MAX)) return alloc_from_bin(hak_bin_by_size[size], size, site);
  if (size <= HAK_MID_MAX) return alloc_from_bin(hak_bin_by_128[(size + 127) >> 7], size, site);
  if (size <= HAK_POOL_MAX) {
    uintptr_t slot;
    return alloc_from_magazine(size, &slot) ? alloc_from_slot(slot) : alloc_slow(size, site);
  }
  return alloc_ace(size, site);
}

HAK_HIT void *hak_malloc(size_t size) { return alloc_fast(size, NULL); }

void *hak_alloc_at(size_t size, const void *site) { return alloc_fast(size, site); }

void *hak_alloc_zeroed(uintptr_t slot, size_t bytes) {
  void *block = alloc_from_slot(slot);
  if (slot == 0 || (slot & HAK_SLOT_ZERO) != 0) return block;
  /* A large mapping that was used before: the system makes it zero in one call, and only what the program touches becomes
   * resident. What it cannot purge (mlock) stays as it was. */
  if (bytes >= HAK_CALLOC_PURGE_MIN && hak_os_purge(block, hak_align_up(bytes, hak_os_page_bytes()))) return block;
  return memset(block, 0, bytes);
}

void *hak_calloc(size_t count, size_t size) {
  size_t bytes;
  if (HAK_UNLIKELY(hak_mul_overflows(count, size, &bytes))) return alloc_from_slot(alloc_failed(SIZE_MAX, NULL));
  if (HAK_LIKELY(bytes <= HAK_MID_MAX)) { /* a slab's blocks are linked through, so never known to be zero */
    void *block = alloc_from_bin(hak_slab_bin_of(bytes), bytes, NULL);
    return block == NULL ? NULL : memset(block, 0, bytes);
  }
  uintptr_t slot;
  if (bytes > HAK_POOL_MAX || !alloc_from_magazine(bytes, &slot)) slot = hak_alloc_slot(bytes, NULL);
  return hak_alloc_zeroed(slot, bytes);
}
