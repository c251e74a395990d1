/* The tag map: what a slice is used for, found from any address with one load.
 *
 *   entry = slice number (low 32 bits) << 32 | tag           index = slice number mod 2^20
 *
 * The slice number in the entry makes it say for which slice it speaks, so an address that is not ours finds no match,
 * and no byte of memory is read to find that out. Tags (32 bits):
 *
 *   0                                                   nothing
 *   heap id << 10 | slab class * 16                     a slab          (bits 30 and 31 clear; id at most 20 bits)
 *   1 << 31 | slices back to the first << 16 | span class * 16          a span, in each of its slices
 *   1 << 30                                             once used, free now
 *
 * Classes are scaled by 16 because that is the size of a bin: the tag without the heap's bits is the bin's offset.
 *
 * Two slices 64 GiB apart meet in one entry. Then the second one goes to the second level, 64 times as large and mapped
 * when first needed; a look-up that misses in the first asks there. Slices that meet there too (4 TiB apart) are not
 * used at all.
 *
 * An entry is written by whoever owns the slice and read by any thread that frees an address in it. Order: relaxed.
 * A thread that frees a block got its address from the thread that allocated it, by a path that orders the write of the
 * tag (made before the first block of the slice was handed out) before the read; a thread without such a path has no
 * business with the address and may be told anything. */
#ifndef HAK_CORE_TAGMAP_H
#define HAK_CORE_TAGMAP_H

#include "base/atomic.h"
#include "core/types.h"

#define HAK_TAG_CLASS_MASK 0x3f0u
#define HAK_TAG_HEAP_SHIFT 10
#define HAK_TAG_SPAN (1u << 31)
#define HAK_TAG_FREED (1u << 30)
#define HAK_TAG_BACK_SHIFT 16

HAK_HIDDEN extern _Atomic uint64_t hak_tagmap[(size_t)1 << HAK_TAGMAP_BITS];

/* The entry's and the address's disagreement: below 2^32 it is the tag, otherwise the first level knows nothing. */
HAK_FAST uint64_t hak_tagmap_first(const void *p) {
  uint64_t slice = (uintptr_t)p >> HAK_SLICE_SHIFT;
  return hak_load_relaxed(&hak_tagmap[slice & (((size_t)1 << HAK_TAGMAP_BITS) - 1)]) ^ slice << 32;
}

/* The tag of the slice of any address; 0 when it is not ours. _mt */
HAK_HIDDEN uint32_t hak_tagmap_get_mt(const void *p);

/* Makes room for `slices` entries from `base` on. False when their places are taken or the second level cannot be
 * mapped. Call it under the segment lock, once for a segment, before the first set. */
HAK_HIDDEN bool hak_tagmap_reserve_locked(const void *base, unsigned slices);

/* Sets the tag of one slice that the caller owns. */
HAK_HIDDEN void hak_tagmap_set(const void *slice_base, uint32_t tag);

/* Undoes hak_tagmap_reserve_locked for slices that the caller owns. _mt */
HAK_HIDDEN void hak_tagmap_forget_mt(const void *base, unsigned slices);

HAK_FAST uint32_t hak_tag_of_slab(uint32_t heap_id, unsigned class_number) {
  return heap_id << HAK_TAG_HEAP_SHIFT | class_number * (uint32_t)sizeof(hak_bin_t);
}
HAK_FAST uint32_t hak_tag_of_span(unsigned class_number, unsigned back) {
  return HAK_TAG_SPAN | (uint32_t)back << HAK_TAG_BACK_SHIFT | class_number * (uint32_t)sizeof(hak_bin_t);
}
HAK_FAST bool hak_tag_is_slab(uint32_t tag) { return tag != 0 && tag < HAK_TAG_FREED; }
HAK_FAST bool hak_tag_is_span(uint32_t tag) { return (tag & HAK_TAG_SPAN) != 0; }
HAK_FAST unsigned hak_tag_class(uint32_t tag) { return (tag & HAK_TAG_CLASS_MASK) / (uint32_t)sizeof(hak_bin_t); }
HAK_FAST uint32_t hak_tag_heap_id(uint32_t tag) { return tag >> HAK_TAG_HEAP_SHIFT; }
HAK_FAST unsigned hak_tag_back(uint32_t tag) { return tag >> HAK_TAG_BACK_SHIFT & (HAK_SLICES - 1); }

_Static_assert(sizeof(hak_bin_t) == 16 && sizeof(hak_magazine_t) == 16, "tags are scaled by the size of a bin");
_Static_assert(HAK_SLAB_CLASSES <= 64 && HAK_SPAN_CLASSES <= 64, "a class has six bits in a tag");
_Static_assert((uint64_t)HAK_HEAP_ID_MAX << HAK_TAG_HEAP_SHIFT < HAK_TAG_FREED, "a heap's id fits");

#endif
