#include "core/segment.h"

#include <errno.h>

#include "base/check.h"
#include "core/hints.h"
#include "core/limit.h"
#include "core/options.h"
#include "core/purge.h"

/* How many segments one mapping brings, doubling with use: 4 MiB to 64 MiB. */
#define SEGMENT_GROWTH_LEVELS 5u

/* How many segments are looked at for resident slices before others are taken. */
#define SEGMENT_DIRTY_LOOKS 16u

/* All slices but the one with the metadata. */
#define SEGMENT_ALL_FREE (~(uint64_t)1)

hak_lock_t hak_segment_lock;
static unsigned segment_growth_level; /* under the lock */

/* Base addresses by index, published by the release of the count. 2 MiB of zero pages, touched as segments come. */
static _Atomic(hak_segment_t *) segment_table[HAK_SEGMENTS_MAX];
static _Atomic uint32_t segment_xcount;

/* Written whenever slices change hands, so on a line of their own: the count above is read by every refill. */
static struct {
  HAK_LINE_ALIGNED _Atomic int64_t xactive;
  _Atomic int64_t xdirty, xfresh;
} segment_slices;
static HAK_LINE_ALIGNED _Atomic size_t segment_xunmapped_bytes;
static _Atomic uint64_t segment_xfailures;

uintptr_t hak_segment_table(size_t *bytes) {
  *bytes = sizeof(segment_table);
  return (uintptr_t)segment_table;
}

_Atomic(int64_t) *hak_segment_active_slices(void) { return &segment_slices.xactive; }
_Atomic(int64_t) *hak_segment_dirty_slices(void) { return &segment_slices.xdirty; }
_Atomic(int64_t) *hak_segment_fresh_slices(void) { return &segment_slices.xfresh; }

/* acquire pairs with the release in segment_grow: a segment below the count is initialised. */
uint32_t hak_segment_count_mt(void) { return hak_load_acquire(&segment_xcount); }
hak_segment_t *hak_segment_at_mt(uint32_t index) { return hak_load_relaxed(&segment_table[index]); }

/* How many slices in a row are free around one that is. */
static unsigned segment_run_around(uint64_t free, unsigned slice) {
  uint64_t above = ~free >> slice, below = ~free & hak_low_mask(slice); /* slice 0 is never free, so below is not 0 */
  return (above == 0 ? 64 : slice + hak_lowest_bit(above)) - (hak_highest_bit(below) + 1);
}

/* Sets the hints of all run lengths that the free slices contain now and did not before: those that were there are for
 * whoever made them. */
static void segment_hint_runs(const hak_segment_t *segment, uint64_t before, uint64_t now) {
  unsigned slices = 1; /* before, now: where runs of so many begin */
  for (unsigned r = 0; r < HAK_HINT_RUNS; r++) {
    unsigned more = hak_hint_run_slices(r) - slices; /* no more than they are already */
    before &= before >> more;
    now &= now >> more;
    if (now == 0) return;
    if (before == 0) hak_hint_set(hak_hint_of_run(r), segment->index);
    slices += more;
  }
}

/* Counts a run that was taken; or puts it back and returns false, when the limit does not have what is not resident of it. */
static bool segment_count_taken(hak_segment_t *segment, uint64_t run, bool *zeroed) {
  unsigned slices = hak_count_bits(run), dirty = hak_count_bits(hak_load_relaxed(&segment->xdirty) & run);
  if (dirty != slices && HAK_UNLIKELY(!hak_limit_take_mt((slices - dirty) * HAK_SLICE_BYTES))) {
    hak_segment_return_mt(segment, run);
    return false;
  }
  *zeroed = dirty == 0;
  if (HAK_UNLIKELY((hak_load_relaxed(&segment->xpurged) & run) != 0)) {
    hak_purge_regret_mt(hak_count_bits(hak_and_relaxed(&segment->xpurged, ~run) & run));
  }
  if (dirty != 0) (void)hak_sub_relaxed(&segment_slices.xdirty, (int64_t)dirty);
  if (dirty != slices) (void)hak_add_relaxed(&segment_slices.xfresh, (int64_t)(slices - dirty));
  (void)hak_add_relaxed(&segment_slices.xactive, (int64_t)slices);
  return true;
}

/* Takes a run from one segment if it has one. Order of the swap: acquire pairs with the release half of the fetch-or in
 * hak_segment_give_mt, so that the writes of the last owner (tags, cells, dirty bits) come before ours. */
static void *segment_take_from(hak_segment_t *segment, unsigned slices, bool *zeroed) {
  uint64_t free = hak_load_seq(&segment->xfree);
  for (;;) {
    uint64_t dirty = hak_load_relaxed(&segment->xdirty);
    uint64_t starts = hak_run_starts(free & dirty, slices);
    if (starts == 0) starts = hak_run_starts(free, slices);
    if (starts == 0) return NULL;
    unsigned first = hak_lowest_bit(starts);
    uint64_t run = hak_slices_mask(first, slices);
    if (!hak_cas_seq(&segment->xfree, &free, free & ~run)) continue;
    return segment_count_taken(segment, run, zeroed) ? segment->base + (size_t)first * HAK_SLICE_BYTES : NULL;
  }
}

/* Tells the system about huge pages in new segments, of which `before` bytes were there before them
 * (docs/decisions/huge-pages.md). */
static void segment_advise(char *base, size_t bytes, size_t before) {
  if (before == 0) return; /* 4 MiB at most, against a call in each of the smallest programs */
  if (before < HAK_HUGE_PAGES_AFTER || hak_options.huge_pages == 1) {
    hak_os_no_huge_pages(base, bytes);
  } else if (hak_options.huge_pages == 2) {
    hak_os_huge_pages(base, bytes);
  }
}

/* Maps more segments, at most as many as the growth level says, at least one. Under the lock. */
static bool segment_grow_locked(void) {
  for (unsigned level = segment_growth_level;; level--) {
    uint32_t count = hak_load_relaxed(&segment_xcount);
    uint32_t wanted = 1u << level;
    if (count + wanted > HAK_SEGMENTS_MAX) wanted = count < HAK_SEGMENTS_MAX ? 1 : 0;
    if (wanted == 0) return false;
    size_t bytes = wanted * HAK_SEGMENT_BYTES;
    char *base = hak_os_map_aligned(bytes, HAK_SEGMENT_BYTES);
    if (base == NULL) {
      hak_log(HAK_LOG_ARENA_MAP, "[POOL_ARENA] mmap FAILED: new_size=%zu MB, growth_level=%u, errno=%d",
              bytes / HAK_MIB, level, errno);
      if (level == 0) return false;
      continue;
    }
    if (!hak_tagmap_reserve_locked(base, wanted * HAK_SLICES)) {
      hak_os_unmap(base, bytes);
      return false;
    }
    segment_advise(base, bytes, count * HAK_SEGMENT_BYTES);
    for (uint32_t i = 0; i < wanted; i++) {
      hak_segment_t *segment = hak_segment_of(base + i * HAK_SEGMENT_BYTES);
      segment->base = base + i * HAK_SEGMENT_BYTES;
      segment->index = count + i;
      hak_store_relaxed(&segment->xfree, SEGMENT_ALL_FREE);
      hak_store_relaxed(&segment_table[count + i], segment);
    }
    hak_store_release(&segment_xcount, count + wanted); /* pairs with hak_segment_count_mt */
    for (uint32_t i = 0; i < wanted; i++) segment_hint_runs(hak_segment_at_mt(count + i), 0, SEGMENT_ALL_FREE);
    if (level + 1 < SEGMENT_GROWTH_LEVELS) segment_growth_level = level + 1;
    return true;
  }
}

/* Looks at a few segments that may have such a run for one that is resident: what others would fault in meanwhile takes as
 * long as many a look. */
static void *segment_search_dirty(unsigned slices, unsigned kind, uint32_t end, bool *zeroed) {
  if (hak_load_relaxed(&segment_slices.xdirty) < (int64_t)slices) return NULL;
  unsigned looks = SEGMENT_DIRTY_LOOKS;
  for (uint32_t i = 0; looks != 0 && (i = hak_hint_next(kind, i, end)) < end; i++, looks--) {
    hak_segment_t *segment = hak_segment_at_mt(i);
    uint64_t resident = hak_load_relaxed(&segment->xfree) & hak_load_relaxed(&segment->xdirty);
    if (hak_run_starts(resident, slices) == 0) continue;
    void *base = segment_take_from(segment, slices, zeroed);
    if (base != NULL) return base;
  }
  return NULL;
}

/* Searches all segments that may have such a run. */
static void *segment_search(unsigned slices, bool *zeroed) {
  unsigned run = hak_hint_run_within(slices), kind = hak_hint_of_run(run);
  bool exact = hak_hint_run_slices(run) == slices; /* always, but in tests */
  uint32_t end = hak_segment_count_mt();
  void *base = segment_search_dirty(slices, kind, end, zeroed);
  if (base != NULL) return base;
  for (uint32_t i = 0; (i = hak_hint_next(kind, i, end)) < end; i++) {
    hak_segment_t *segment = hak_segment_at_mt(i);
    base = segment_take_from(segment, slices, zeroed);
    if (base != NULL) return base;
    if (!exact) continue; /* it may still have the shorter run that the hint speaks of */
    hak_hint_clear(kind, i);
    base = segment_take_from(segment, slices, zeroed); /* the second look of the hints' protocol */
    if (base == NULL && HAK_LIKELY(!hak_limit_met)) continue;
    segment_hint_runs(segment, 0, hak_load_seq(&segment->xfree)); /* we cleared what may still hold */
    if (base != NULL) return base;
  }
  return NULL;
}

/* hak_segment_take_mt. Ends without memory at once when the limit refuses: more segments would not be allowed more. */
static void *segment_take(unsigned slices, bool *zeroed) {
  for (;;) {
    uint32_t seen = hak_segment_count_mt();
    void *base = segment_search(slices, zeroed);
    if (base != NULL) return base;
    if (HAK_UNLIKELY(hak_limit_met)) return NULL;
    hak_lock(&hak_segment_lock);
    /* If others grew meanwhile, their segments are searched before more is mapped. */
    bool more = hak_segment_count_mt() != seen || segment_grow_locked();
    hak_unlock(&hak_segment_lock);
    if (more) continue;
    base = segment_search(slices, zeroed); /* others may have given some back meanwhile */
    return base;
  }
}

void *hak_segment_take_mt(unsigned slices, bool *zeroed) {
  hak_assert(slices >= 1 && slices < HAK_SLICES);
  bool met = hak_limit_met;
  hak_limit_met = false;
  void *base = segment_take(slices, zeroed);
  if (base == NULL) (void)hak_add_relaxed(&segment_xfailures, 1);
  if (base != NULL || met) hak_limit_met = met; /* one segment may have been refused, and another had used memory */
  return base;
}

bool hak_segment_take_at_mt(const void *base, unsigned slices) {
  hak_segment_t *segment = hak_segment_of(base);
  unsigned first = hak_slice_of(base);
  if (first == 0 || first + slices > HAK_SLICES)
    return false; /* the slice behind a segment's last is another segment's */
  uint64_t run = hak_slices_mask(first, slices), free = hak_load_seq(&segment->xfree);
  do {
    if ((free & run) != run) return false;
  } while (!hak_cas_seq(&segment->xfree, &free, free & ~run)); /* as in segment_take_from */
  bool zeroed, met = hak_limit_met;
  bool taken = segment_count_taken(segment, run, &zeroed);
  hak_limit_met = met; /* the caller can do without */
  return taken;
}

uint64_t hak_segment_failures_mt(void) { return hak_load_relaxed(&segment_xfailures); }

void hak_segment_give_mt(void *base, unsigned slices) {
  hak_segment_t *segment = hak_segment_of(base);
  uint64_t run = hak_slices_mask(hak_slice_of(base), slices);
  hak_tagmap_set_run(base, slices, HAK_TAG_FREED);
  (void)hak_or_relaxed(&segment->xdirty, run);
  hak_store_relaxed(&segment->xfreed_ms, hak_os_now_ms());
  (void)hak_sub_relaxed(&segment_slices.xactive, (int64_t)slices);
  (void)atomic_fetch_add_explicit(&segment_slices.xdirty, (int64_t)slices, memory_order_seq_cst);
  hak_segment_return_mt(segment, run);
  hak_purge_dirtied_mt(); /* seq_cst after the count, which the sleeper looks at last */
}

void hak_segment_return_mt(hak_segment_t *segment, uint64_t run) {
  /* release half: whoever takes these slices sees the tags and dirty bits; seq_cst: first half of the hints' protocol */
  uint64_t before = hak_or_seq(&segment->xfree, run), now = before | run;
  unsigned longest = segment_run_around(now, hak_lowest_bit(run)); /* of what is new */
  if (hak_run_starts(before, hak_hint_run_slices(hak_hint_run_within(longest))) == 0) {
    segment_hint_runs(segment, before, now);
  }
}

size_t hak_segment_unmap_free_mt(void) {
  size_t bytes = (HAK_SLICES - 1) * HAK_SLICE_BYTES, total = 0;
  uint32_t count = hak_segment_count_mt();
  for (uint32_t i = 0; i < count; i++) {
    hak_segment_t *segment = hak_segment_at_mt(i);
    uint64_t all = SEGMENT_ALL_FREE;
    if (!hak_cas_seq(&segment->xfree, &all, 0)) continue; /* now nobody takes a slice of it any more */
    if (hak_os_unmap(segment->base + HAK_SLICE_BYTES, bytes)) {
      /* A mapping that got the addresses meanwhile is one of the mmap tier, which does not use the tags. */
      hak_tagmap_forget_mt(segment->base + HAK_SLICE_BYTES, HAK_SLICES - 1);
      unsigned dirty = hak_count_bits(hak_load_relaxed(&segment->xdirty));
      (void)hak_sub_relaxed(&segment_slices.xdirty, (int64_t)dirty);
      hak_limit_give_mt(dirty * HAK_SLICE_BYTES);
      (void)hak_add_relaxed(&segment_xunmapped_bytes, bytes);
      total += bytes;
    } else { /* a mapping more than the system allows */
      hak_segment_return_mt(segment, SEGMENT_ALL_FREE);
    }
  }
  return total;
}

size_t hak_segment_bytes_mt(void) {
  return hak_segment_count_mt() * HAK_SEGMENT_BYTES - hak_load_relaxed(&segment_xunmapped_bytes);
}

void hak_segment_recount_dirty(void) {
  int64_t dirty = 0;
  uint32_t count = hak_segment_count_mt();
  for (uint32_t i = 0; i < count; i++) {
    const hak_segment_t *segment = hak_segment_at_mt(i);
    dirty += hak_count_bits(hak_load_relaxed(&segment->xfree) & hak_load_relaxed(&segment->xdirty));
  }
  /* Who gave slices back and had not set the hints yet is no more. */
  for (uint32_t i = 0; i < count; i++) {
    segment_hint_runs(hak_segment_at_mt(i), 0, hak_load_relaxed(&hak_segment_at_mt(i)->xfree));
  }
  hak_limit_correct((dirty - hak_load_relaxed(&segment_slices.xdirty)) * (int64_t)HAK_SLICE_BYTES);
  hak_store_relaxed(&segment_slices.xdirty, dirty);
}
