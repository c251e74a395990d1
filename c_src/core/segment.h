/* Segments and their slices: where slabs and spans get memory from, and where it goes when they are empty. Lock-free
 * but for the creation of segments. A segment's metadata, 2 pages of 4 MiB, is never unmapped, so a thread may come
 * late to any of it; the pages of free slices go back to the system (core/purge.h). */
#ifndef HAK_CORE_SEGMENT_H
#define HAK_CORE_SEGMENT_H

#include "core/tagmap.h"
#include "core/types.h"
#include "os/os.h"

/* Where the table of segments is. */
HAK_HIDDEN uintptr_t hak_segment_table(size_t *bytes);

/* Takes a run of `slices` slices (1 to 63), used memory before fresh where it is found soon, lowest address first. Sets *zeroed
 * to whether it is known to be zero. The caller owns the run's tags and cells. NULL when the system has no more memory. _mt */
HAK_HIDDEN void *hak_segment_take_mt(unsigned slices, bool *zeroed);

/* Takes just the run that begins at `base`, right behind slices that the caller owns; false when a part of it is not free, or the
 * limit refuses. _mt */
HAK_HIDDEN bool hak_segment_take_at_mt(const void *base, unsigned slices);

/* How often hak_segment_take_mt returned NULL so far. _mt */
HAK_HIDDEN uint64_t hak_segment_failures_mt(void);

/* Gives a run back. Its tags become "freed". Keeps errno. _mt */
HAK_HIDDEN void hak_segment_give_mt(void *base, unsigned slices);

/* Puts slices back that were taken out of a segment's xfree and not used: their tags and dirty bits are right. _mt */
HAK_HIDDEN void hak_segment_return_mt(hak_segment_t *segment, uint64_t run);

/* Unmaps the slices of segments of which all are free; their metadata stays. For when the system refuses address space
 * to somebody else. Returns the bytes. Keeps errno. _mt */
HAK_HIDDEN size_t hak_segment_unmap_free_mt(void);

/* Segments so far; indices are dense from 0. A segment with an index below it is fully visible (acquire). _mt */
HAK_HIDDEN uint32_t hak_segment_count_mt(void);
HAK_HIDDEN hak_segment_t *hak_segment_at_mt(uint32_t index);

/* Address space of all segments. _mt */
HAK_HIDDEN size_t hak_segment_bytes_mt(void);

/* Bytes of slices in use and of free slices that may be resident; each exact at some moment of the call. */
HAK_HIDDEN _Atomic(int64_t) *hak_segment_active_slices(void);
HAK_HIDDEN _Atomic(int64_t) *hak_segment_dirty_slices(void);

/* Slices that were taken and were not resident: a count that hak_purge_fresh_mt takes away. */
HAK_HIDDEN _Atomic(int64_t) *hak_segment_fresh_slices(void);

/* The lock under which segments are made; for fork. */
HAK_HIDDEN extern hak_lock_t hak_segment_lock;

HAK_FAST hak_segment_t *hak_segment_of(const void *p) {
  uintptr_t base = (uintptr_t)p & ~(HAK_SEGMENT_BYTES - 1);
  uintptr_t colour = (base >> HAK_SEGMENT_SHIFT) % HAK_SEGMENT_COLOURS;
  return (hak_segment_t *)(base + colour * HAK_SEGMENT_COLOUR_BYTES);
}

HAK_FAST unsigned hak_slice_of(const void *p) { return (unsigned)((uintptr_t)p >> HAK_SLICE_SHIFT) % HAK_SLICES; }

/* The cell of the slab that p is in, or of the span that begins at p's slice. */
HAK_FAST hak_cell_t *hak_cell_of(const void *p) { return &hak_segment_of(p)->cell[hak_slice_of(p)]; }

/* The cell of the span that p is in, by the tag of p's slice. */
HAK_FAST hak_cell_t *hak_cell_of_span(const void *p, hak_tag_t tag) {
  return &hak_segment_of(p)->cell[hak_slice_of(p) - hak_tag_back(tag)];
}

HAK_FAST uint64_t hak_slices_mask(unsigned first, unsigned slices) { return hak_low_mask(slices) << first; }

/* In the child of a fork: what a purge of another thread had claimed is not free any more, so it is not dirty. */
HAK_HIDDEN void hak_segment_recount_dirty(void);

#endif
