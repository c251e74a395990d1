/* The tag map: what a slice is used for, found from any address with one load.
 *
 *   entry = (slice number << 32 | tag) rotated right by 16        index = slice number mod 2^20
 *
 * The slice number in the entry makes it say for which slice it speaks, so an address that is not ours finds no match,
 * and no byte of memory is read to find that out. Tags have 32 bits:
 *
 *   bit  31 30 29..26  25..20   19..16  15..0
 *        0  id's low 5  class   0       id's high 16    a slab of the heap with that id (from 1 on)
 *        1  0  0        class   0       slices back     a span of pool, in each of its slices
 *        1  1  0        class   0       slices back     a span of ACE
 *        1  1  1        0       0       0               once used, free now
 *        0  0  0        0       0       0               nothing
 *
 * Rotated, the slice number is where it is in an address, and the class is at bit 4: scaled by the size of a bin. So for a
 * slab of one's own heap, entry ^ address without its low 16 bits ^ the heap's tag, rotated, is the bin's offset, below
 * 1024; for anything else it is larger. Addresses have 48 bits.
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

#define HAK_TAG_SPAN (1u << 31)
#define HAK_TAG_ACE (1u << 30)
#define HAK_TAG_FREED (7u << 29)
#define HAK_TAG_CLASS_SHIFT 20
#define HAK_TAG_CLASS_MASK (63u << HAK_TAG_CLASS_SHIFT)
#define HAK_TAG_ID_LOW_SHIFT 26
#define HAK_TAG_ID_LOW_BITS 5
#define HAK_TAG_BACK_MASK (HAK_SLICES - 1)
#define HAK_TAG_ROTATION 16

/* What hak_tagmap_own answers for an own slab is below this. */
#define HAK_TAG_OWN_END 1024u

HAK_HIDDEN extern _Atomic uint64_t hak_tagmap[(size_t)1 << HAK_TAGMAP_BITS];

HAK_FAST uint64_t hak_tag_rotate_right(uint64_t x) { return x >> HAK_TAG_ROTATION | x << (64 - HAK_TAG_ROTATION); }
HAK_FAST uint64_t hak_tag_rotate_left(uint64_t x) { return x << HAK_TAG_ROTATION | x >> (64 - HAK_TAG_ROTATION); }

/* The disagreement of an address, its entry and a heap's rotated tag (hak_tls_t.self): below HAK_TAG_OWN_END it is the
 * offset of a bin of that heap. */
HAK_FAST uint64_t hak_tagmap_own(const void *p, uint64_t self) {
  uintptr_t address = (uintptr_t)p;
  size_t index = (address >> HAK_SLICE_SHIFT) & (((size_t)1 << HAK_TAGMAP_BITS) - 1);
  return (address & ~(uintptr_t)(HAK_SLICE_BYTES - 1)) ^ hak_load_relaxed(&hak_tagmap[index]) ^ self;
}

/* What is in a rotated tag of a pool span's slice besides HAK_TAG_SPAN, rotated: the class, scaled as a bin, and the
 * slices back. */
#define HAK_TAG_POOL_CLASS ((uint64_t)HAK_TAG_CLASS_MASK >> HAK_TAG_ROTATION)
#define HAK_TAG_POOL_BACK ((uint64_t)HAK_TAG_BACK_MASK << (64 - HAK_TAG_ROTATION))
#define HAK_TAG_POOL ((uint64_t)HAK_TAG_SPAN >> HAK_TAG_ROTATION)

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
  uint32_t low = heap_id & ((1u << HAK_TAG_ID_LOW_BITS) - 1);
  return low << HAK_TAG_ID_LOW_SHIFT | (uint32_t)class_number << HAK_TAG_CLASS_SHIFT | heap_id >> HAK_TAG_ID_LOW_BITS;
}
HAK_FAST uint32_t hak_tag_of_span(unsigned class_number, unsigned back) {
  return HAK_TAG_SPAN | (class_number < HAK_POOL_CLASSES ? 0 : HAK_TAG_ACE) |
         (uint32_t)class_number << HAK_TAG_CLASS_SHIFT | (uint32_t)back;
}
HAK_FAST bool hak_tag_is_slab(uint32_t tag) { return tag != 0 && tag < HAK_TAG_SPAN; }
HAK_FAST bool hak_tag_is_span(uint32_t tag) { return tag >= HAK_TAG_SPAN && tag < HAK_TAG_FREED; }
HAK_FAST unsigned hak_tag_class(uint32_t tag) { return (tag & HAK_TAG_CLASS_MASK) >> HAK_TAG_CLASS_SHIFT; }
HAK_FAST uint32_t hak_tag_heap_id(uint32_t tag) {
  uint32_t low = tag >> HAK_TAG_ID_LOW_SHIFT & ((1u << HAK_TAG_ID_LOW_BITS) - 1);
  return (tag & 0xffff) << HAK_TAG_ID_LOW_BITS | low;
}
HAK_FAST unsigned hak_tag_back(uint32_t tag) { return tag & HAK_TAG_BACK_MASK; }

/* The rotated tag of a heap's slabs without the class. */
HAK_FAST uint64_t hak_tag_self(uint32_t heap_id) { return hak_tag_rotate_right(hak_tag_of_slab(heap_id, 0)); }

_Static_assert(HAK_TAG_CLASS_SHIFT == HAK_TAG_ROTATION + 4 && HAK_BIN_SCALE == 16,
               "a class is a bin's offset in a tag");
_Static_assert(HAK_SLAB_CLASSES <= 64 && HAK_SPAN_CLASSES <= 64, "a class has six bits in a tag");
_Static_assert(HAK_HEAP_ID_MAX >> HAK_TAG_ID_LOW_BITS < 1u << 16, "a heap's id fits");

#endif
