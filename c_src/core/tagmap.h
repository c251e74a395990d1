/* The tag map: what a slice is used for, found from any address with one load.
 *
 *   entry = slice number ^ view        index = slice number mod 2^20
 *
 * The view is what the hits look at, the tag what everybody else does. The index tells the slice number's low 20 bits
 * already, so the view may lie over them; the bits above, where a view has ones, make the entry say for which slice it speaks:
 * an address that is not ours finds no match, and no byte of memory is read to find that out.
 *
 *   view, bit 63 62   61..32   31..20   19..16   15..10         9..4     3..0
 *         1  1    code     ones     code     ones           class    0     a slab
 *         0  1    ones     ones     ones     slices back    class    0     a span of pool, in each of its slices
 *         1  0    ones     ones     ones     slices back    class    0     a span of ACE
 *         0  0    ones     ones     ones     ones           0        0     once used, free now
 *         0  0    ones     ones     ones     ones           1        0     nothing
 *         0  0    id       ones     000s     slices back    class    0     an area of the arena with that id
 *
 * The classes of an area are those of slabs or, where the bit s is set, those of spans; together they are its bins.
 *
 * The class is where it is a bin's offset, so a slab is whatever has a view from HAK_VIEW_SLAB on, and the rest is the
 * offset. But the blocks of less than a cache line go home, so in their slabs the code has zeros for the owner: in 17 of 34
 * bits, a choice of its own for every heap. A thread puts its own heap's ones there (by OR) before it compares. No two heaps'
 * choices cover each other, so what passes is either a slab of its own or one whose blocks may stay with anybody.
 *
 * Tags have the owner, 3 + the heap's id, for all slabs, from a table beside the views:
 *
 *   tag, bit 63..32          15..10         9..4    3..0
 *   3 + the heap's id        0              class   0     a slab of that heap
 *   1, 2                     slices back    class   0     a span of pool, of ACE
 *   3                        0              0       0     once used, free now
 *   0                        0              0       0     nothing
 *   1s and the arena's id    slices back    class   0     an area of that arena
 *
 * An entry of 0 is nobody's. Addresses have 48 bits.
 *
 * Two slices 64 GiB apart meet in one entry. Then the second one goes to the second level, 64 times as large and mapped
 * when first needed; a look-up that misses in the first asks there. Slices that meet there too (4 TiB apart) are not
 * used at all.
 *
 * An entry is written by whoever owns the slice, after the owner beside it, and read by any thread that frees an address in
 * it. Order: relaxed, and for the hits not even that: a plain load, which can be part of another instruction.
 * A thread that frees a block got its address from the thread that allocated it, by a path that orders the write of the
 * tag (made before the first block of the slice was handed out) before the read; a thread without such a path has no
 * business with the address and may be told anything. For the same reason the entry does not change while somebody frees
 * a block in the slice, and it does not matter whether it is loaded twice. */
#ifndef HAK_CORE_TAGMAP_H
#define HAK_CORE_TAGMAP_H

#include "base/atomic.h"
#include "core/types.h"

#define HAK_TAG_OWNER_SHIFT 32
#define HAK_TAG_POOL ((uint64_t)1 << HAK_TAG_OWNER_SHIFT)
#define HAK_TAG_ACE ((uint64_t)2 << HAK_TAG_OWNER_SHIFT)
#define HAK_TAG_FREED ((uint64_t)3 << HAK_TAG_OWNER_SHIFT)
#define HAK_TAG_HEAPS 3u /* the owner of a heap's slabs is its id + 3 */
#define HAK_TAG_ARENA ((uint64_t)1 << 63)
#define HAK_TAG_ARENA_SPAN ((uint64_t)1 << 62) /* its class is one of spans */
#define HAK_TAG_ARENA_ID ((((uint64_t)1 << 30) - 1) << HAK_TAG_OWNER_SHIFT)
#define HAK_TAG_BACK_SHIFT 10
#define HAK_TAG_BACK_MASK ((uint64_t)(HAK_SLICES - 1) << HAK_TAG_BACK_SHIFT)
#define HAK_TAG_CLASS_MASK ((uint64_t)63 * HAK_BIN_SCALE)

/* Of a slab whose blocks may stay with anybody, without class; of a span of pool and of ACE, without class and slices back. */
#define HAK_VIEW_SLAB (~(uint64_t)1023)
#define HAK_VIEW_KIND_SHIFT 62
#define HAK_VIEW_POOL ((uint64_t)1 << HAK_VIEW_KIND_SHIFT | ~((uint64_t)3 << HAK_VIEW_KIND_SHIFT | UINT16_MAX))
#define HAK_VIEW_ACE (HAK_VIEW_POOL ^ (uint64_t)3 << HAK_VIEW_KIND_SHIFT)
/* Of an area, without the arena's id, class and slices back; the bits that tell it from others; the class is a span's. */
#define HAK_VIEW_ARENA ((uint64_t)0xfff << 20)
#define HAK_VIEW_ARENA_MASK ((uint64_t)3 << HAK_VIEW_KIND_SHIFT | (uint64_t)0x7fff << 17)
#define HAK_VIEW_ARENA_SPAN ((uint64_t)1 << 16)
#define HAK_VIEW_CODE ((uint64_t)15 << 16 | (((uint64_t)1 << 30) - 1) << 32)

HAK_HIDDEN extern _Atomic uint64_t hak_tagmap[(size_t)1 << HAK_TAGMAP_BITS];
HAK_HIDDEN extern _Atomic uint32_t hak_tagmap_owners[(size_t)1 << HAK_TAGMAP_BITS]; /* in tags, of slabs */

HAK_FAST size_t hak_tagmap_index(const void *p) {
  return (uintptr_t)p >> HAK_SLICE_SHIFT & (((size_t)1 << HAK_TAGMAP_BITS) - 1);
}

/* The view of an address's slice, if the first level knows it; else something that is no slab's and no pool span's. */
HAK_FAST uint64_t hak_tagmap_view(const void *p) {
  return (uintptr_t)p >> HAK_SLICE_SHIFT ^ hak_load_foldable(&hak_tagmap[hak_tagmap_index(p)], uint64_t);
}

/* The ones of a heap: its id's 17 bits and their complement. */
HAK_FAST uint64_t hak_tag_code(uint32_t heap_id) {
  uint64_t code = heap_id | (uint64_t)(~heap_id & HAK_THEAP_ID_MAX) << 17;
  return (code & 15) << 16 | (code >> 4) << 32;
}

/* The tag of the slice of any address; 0 when it is not ours. _mt */
HAK_HIDDEN hak_tag_t hak_tagmap_get_mt(const void *p);

/* Makes room for `slices` entries from `base` on. False when their places are taken or the second level cannot be
 * mapped. Call it under the segment lock, once for a segment, before the first set. */
HAK_HIDDEN bool hak_tagmap_reserve_locked(const void *base, unsigned slices);

/* Sets the tag of one slice that the caller owns. */
HAK_HIDDEN void hak_tagmap_set(const void *slice_base, hak_tag_t tag);

/* Sets the tags of a run of slices of one segment that the caller owns. `tag` is that of the first, and not a slab's; in
 * those of a span and an area the slices back are counted up. */
HAK_HIDDEN void hak_tagmap_set_run(const void *base, unsigned slices, hak_tag_t tag);

/* Undoes hak_tagmap_reserve_locked for slices that the caller owns. _mt */
HAK_HIDDEN void hak_tagmap_forget_mt(const void *base, unsigned slices);

HAK_FAST hak_tag_t hak_tag_of_slab(uint32_t heap_id, unsigned class_number) {
  return (uint64_t)(heap_id + HAK_TAG_HEAPS) << HAK_TAG_OWNER_SHIFT | class_number * HAK_BIN_SCALE;
}
HAK_FAST hak_tag_t hak_tag_of_span(unsigned class_number, unsigned back) {
  return (class_number < HAK_POOL_CLASSES ? HAK_TAG_POOL : HAK_TAG_ACE) | class_number * HAK_BIN_SCALE |
         (uint64_t)back << HAK_TAG_BACK_SHIFT;
}
HAK_FAST uint32_t hak_tag_owner(hak_tag_t tag) { return (uint32_t)(tag >> HAK_TAG_OWNER_SHIFT); }
/* By sign, for the tags of areas are negative. */
HAK_FAST bool hak_tag_is_slab(hak_tag_t tag) {
  return (int64_t)tag >= (int64_t)(HAK_TAG_HEAPS + 1) << HAK_TAG_OWNER_SHIFT;
}
HAK_FAST bool hak_tag_is_area(hak_tag_t tag) { return (tag & HAK_TAG_ARENA) != 0; }
HAK_FAST uint32_t hak_tag_arena_id(hak_tag_t tag) {
  return (uint32_t)((tag & HAK_TAG_ARENA_ID) >> HAK_TAG_OWNER_SHIFT);
}
HAK_FAST bool hak_tag_is_span(hak_tag_t tag) { return tag >= HAK_TAG_POOL && tag < HAK_TAG_FREED; }
HAK_FAST unsigned hak_tag_class(hak_tag_t tag) { return (unsigned)((tag & HAK_TAG_CLASS_MASK) / HAK_BIN_SCALE); }
HAK_FAST uint32_t hak_tag_heap_id(hak_tag_t tag) { return hak_tag_owner(tag) - HAK_TAG_HEAPS; }
/* The view of an area's slice: its tag without the signs of one. */
HAK_FAST bool hak_view_is_area(uint64_t view) { return (view & HAK_VIEW_ARENA_MASK) == HAK_VIEW_ARENA; }
HAK_FAST uint64_t hak_view_of_area(hak_tag_t tag) {
  uint64_t span = (tag & HAK_TAG_ARENA_SPAN) != 0 ? HAK_VIEW_ARENA_SPAN : 0;
  return HAK_VIEW_ARENA | span | (tag & (HAK_TAG_ARENA_ID | HAK_TAG_BACK_MASK | HAK_TAG_CLASS_MASK));
}
HAK_FAST hak_tag_t hak_tag_of_area_view(uint64_t view) {
  uint64_t span = (view & HAK_VIEW_ARENA_SPAN) != 0 ? HAK_TAG_ARENA_SPAN : 0;
  return HAK_TAG_ARENA | span | (view & (HAK_TAG_ARENA_ID | HAK_TAG_BACK_MASK | HAK_TAG_CLASS_MASK));
}

HAK_FAST unsigned hak_tag_back(hak_tag_t tag) { return (unsigned)(tag >> HAK_TAG_BACK_SHIFT) % HAK_SLICES; }

_Static_assert(HAK_SLAB_CLASSES <= 64 && HAK_SPAN_CLASSES <= 64, "a class has six bits in a tag and a view");
_Static_assert(HAK_ARENA_ID_MAX < 1u << 30, "an arena's id has 30 bits");
_Static_assert(HAK_TAG_BACK_SHIFT == 10 && HAK_TAGMAP_BITS == 20, "the index tells what a view lies over");
_Static_assert(HAK_THEAP_ID_MAX == (1u << 17) - 1, "a heap's id is half of a code");

#endif
