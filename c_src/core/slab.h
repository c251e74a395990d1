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

#include "base/log.h"
#include "core/segment.h"

/* A block of the class from the calling thread's bin, filled first when it is empty; NULL when there is no memory.
 * Enters the guard. */
HAK_HIDDEN hak_block_t *hak_slab_alloc(hak_theap_t *heap, unsigned class_number);

/* A slab whose free list has just become its first block or all of its blocks: an empty slab is kept as spare or released,
 * another goes to the front of the ring. Not HAK_SLOW: gcc then takes all that may come to it for cold, the push too. */
HAK_HIDDEN __attribute__((noinline)) void hak_slab_turned(hak_theap_t *heap, hak_slab_t *slab);

/* Puts a block, whose key is set, on the free list of its slab; true if the slab has turned by that. Freeing many blocks
 * in a row comes here for each of them, so it is as short as it can be. */
HAK_FAST bool hak_slab_push(hak_slab_t *slab, hak_block_t *block) {
  if (HAK_UNLIKELY((char *)block >= hak_load_relaxed(&slab->frontier))) hak_fatal("hak_free", HAK_BAD_FOREIGN, block);
  uint32_t free_blocks = slab->free_blocks + 1u;
  hak_block_link(block, slab->free);
  slab->free = block;
  slab->free_blocks = (uint16_t)free_blocks;
  return HAK_UNLIKELY(free_blocks - 2 >= slab->carved - 2u); /* 1, or all that were carved: at most so many are free */
}

/* Gives a block, whose key is set, to its slab. */
HAK_FAST void hak_slab_give(hak_theap_t *heap, hak_block_t *block) {
  hak_slab_t *slab = &hak_cell_of(block)->slab;
  if (HAK_UNLIKELY(hak_slab_push(slab, block))) hak_slab_turned(heap, slab);
}

/* Closes the attached thread's bin until it is next filled, and gives all blocks in it to their slabs, but for those of other heaps, which it links in front of
 * the chain `others` and returns. */
HAK_HIDDEN hak_block_t *hak_slab_flush_bin(hak_theap_t *heap, unsigned class_number, hak_block_t *others);

/* Makes room in the attached thread's bin, which is full: the youngest of its blocks, HAK_SPILL_BLOCKS or half of them, go to
 * their slabs, those of other heaps to the chain that it returns. */
HAK_HIDDEN hak_block_t *hak_slab_spill_bin(hak_theap_t *heap, unsigned class_number);

/* Ends a slow path, or a claim, in which slabs may have been released: then the bound on dirty memory is kept, once and outside
 * of the guard, so that nobody waits for the system. */
HAK_HIDDEN void hak_slab_leave(hak_theap_t *heap);
HAK_HIDDEN void hak_slab_unclaim_mt(hak_theap_t *heap);

/* Releases the spare slab, if any. */
HAK_HIDDEN void hak_slab_release_spare(hak_theap_t *heap);

/* Returns the pages of the heap's slabs that were never cut to the system, and says how many bytes. A slab that was made of
 * used memory has them resident, without use for any. Keeps errno. */
HAK_HIDDEN size_t hak_slab_purge_uncarved(hak_theap_t *heap);

/* Whether every invariant of the heap's slabs of a class holds. Tests and debug builds. */
HAK_HIDDEN bool hak_slab_is_valid(const hak_theap_t *heap, unsigned class_number);

#endif
