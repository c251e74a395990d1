/* Spans: a run of slices cut into at most 64 blocks of one class, owned by nobody. What pool and ACE are made of.
 *
 *   magazine <-- refill: fetch-and of some set bits ---- span's bitmap (1 = free)
 *   magazine --- spill: fetch-or, one a span ----------> span's bitmap --- all set: claimed full -> 0 --> slices
 *
 * No block is touched, no list is walked, nobody is waited for. Which segments have free blocks of a class is found by
 * hints (core/hints.h). Why a refill and a release cannot both get a span: docs/concurrency.md, "Spans". All _mt but
 * for the heap, which is the caller's, and the magazine. */
#ifndef HAK_CORE_SPAN_H
#define HAK_CORE_SPAN_H

#include "core/segment.h"
#include "core/types.h"

/* Puts up to `wanted` (at least 1) free blocks of the class into the magazine, making a span when none has any, and
 * returns how many; 0 without memory. The magazine has room for them. */
HAK_HIDDEN uint32_t hak_span_refill(hak_theap_t *heap, unsigned class_number, hak_magazine_t *magazine,
                                    uint32_t wanted);

/* Gives the oldest `blocks` blocks of the magazine back to their spans; a span that is all free then is released.
 * Blocks that are in no span (a caller of a sized free may bring such) are not given: they end up in `strays`, which
 * has room for `blocks` of them, and their number is returned. A block that is free already ends the process. */
HAK_HIDDEN uint32_t hak_span_spill(hak_magazine_t *magazine, uint32_t blocks, void **strays);

/* Makes the caller's block, the only one of its span, one of another class where it is: a larger one takes the slices behind it,
 * if they are free, a smaller one gives some back. False when not, or when spans of either class have more blocks. `tag` is
 * that of p's slice. */
HAK_HIDDEN bool hak_span_resize_mt(void *p, hak_tag_t tag, unsigned class_number);

/* Gives the pages of free blocks of a segment's spans back to the system, block by block; what they held becomes zero.
 * Meanwhile nobody finds these blocks. Returns the bytes. Keeps errno. */
HAK_HIDDEN size_t hak_span_purge_mt(hak_segment_t *segment);

/* How many blocks a span has, by its cell's xshape. */
HAK_FAST unsigned hak_span_blocks(uint32_t shape) { return shape >> 8; }

/* The number of the block that begins at p, or would in the largest span of its class; -1 if none does. `tag` is that of p's
 * slice. */
HAK_FAST int hak_span_block_number(const void *p, hak_tag_t tag) {
  uint64_t offset = ((uintptr_t)p & (HAK_SLICE_BYTES - 1)) | (uint64_t)hak_tag_back(tag) << HAK_SLICE_SHIFT;
  return hak_span_block_at(&hak_span_classes[hak_tag_class(tag)], offset);
}

#endif
