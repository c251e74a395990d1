/* Slabs: a slice cut into blocks of one class, owned by the heap that cut it. What tiny and mid are made of.
 *
 *   bin (TLS)  <---- whole free list, O(1) ---- slab.free     when the bin is empty
 *   bin (TLS)  <---- at most 4 KiB of blocks --- uncarved      when no slab of the class has a free block
 *   bin (TLS)  ----- one block, O(1) ---------> slab.free     when the bin is full
 *
 * A heap's slabs of a class that can serve form a ring, those with free blocks in front of those that can only be
 * carved; a slab that can do neither is in no list until a block of it comes back. All functions but
 * hak_slab_alloc want the heap's guard (core/guard.h) entered by its owner or claimed. */
#ifndef HAK_CORE_SLAB_H
#define HAK_CORE_SLAB_H

#include "core/types.h"

/* A block of the class from the calling thread's bin, filled first when it is empty; NULL when there is no memory.
 * `tier` is counted. Enters the guard. */
HAK_HIDDEN hak_block_t *hak_slab_alloc(hak_heap_t *heap, unsigned tier, unsigned class_number);

/* Gives a block, whose key is set, to the free list of its slab; an empty slab is kept as spare or released. */
HAK_HIDDEN void hak_slab_give(hak_heap_t *heap, hak_block_t *block);

/* Gives all blocks of the attached thread's bin to their slabs. */
HAK_HIDDEN void hak_slab_flush_bin(hak_heap_t *heap, unsigned class_number);

/* Releases the spare slab, if any. */
HAK_HIDDEN void hak_slab_release_spare(hak_heap_t *heap);

/* Whether every invariant of the heap's slabs of a class holds. Tests and debug builds. */
HAK_HIDDEN bool hak_slab_is_valid(const hak_heap_t *heap, unsigned class_number);

#endif
