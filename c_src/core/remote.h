/* The remote queue: blocks of slabs freed by a thread that does not own them go home in batches.
 *
 *   freeing thread                               owner
 *   ring (by heap id) --post: one CAS per 32--> heap.xinbox --exchange--> heap.pending --> bins, or slabs
 *
 * Posting pushes a linked chain on a stack, taking it takes all: no pop, so no ABA; no half-done state, so nobody waits.
 *
 * What is linked are carriers: blocks to HAK_CARRY_MAX hold the addresses of up to HAK_CARRIED_MAX others of those, as many as
 * fit behind their link and key. The owner thus waits for the lines of the carriers only, which the freeing processor has just
 * written, and not for those of the blocks that they carry. A carrier's places are filled from the last to the first, and
 * a NULL ends them when they are not all filled.
 *
 * Blocks keep the order of their ring only within one post, which nobody relies on. */
#ifndef HAK_CORE_REMOTE_H
#define HAK_CORE_REMOTE_H

#include "base/atomic.h"
#include "core/tagmap.h"
#include "core/types.h"

/* The class in the tag of a slab, whose lower half is its place in the table. */
HAK_FAST const hak_slab_class_t *hak_remote_class(hak_tag_t tag) {
  _Static_assert(sizeof(hak_slab_class_t) == HAK_BIN_SCALE, "the class in a tag is scaled for bins");
  return (const hak_slab_class_t *)(const void *)((const char *)hak_slab_classes + (uint32_t)tag);
}

/* Ends what the first carrier of a ring carries. */
HAK_FAST void hak_remote_end(hak_ring_t *ring) {
  if (ring->slots != 0) ring->first->carried[ring->slots - 1] = NULL;
}

/* Makes a block the first carrier of a ring. */
HAK_FAST void hak_remote_carry(hak_ring_t *ring, hak_block_t *block, hak_tag_t tag) {
  hak_remote_end(ring); /* a larger block came before it was full */
  hak_block_link(block, ring->first);
  ring->first = block;
  ring->slots = hak_remote_class(tag)->ring_slots;
  ring->room -= hak_remote_class(tag)->ring_bytes;
}

HAK_FAST hak_ring_t *hak_remote_ring(hak_theap_t *heap, hak_tag_t tag) {
  return &heap->ring[hak_tag_heap_id(tag) % HAK_RINGS];
}

/* Puts a block of the heap and the class that the tag tells into the ring for it. False if that has blocks of another heap, or
 * none, or is full: then hak_remote_free is for it. Else the caller sets the block's key right after. */
HAK_FAST bool hak_remote_put(hak_ring_t *ring, hak_block_t *block, hak_tag_t tag) {
  bool is_carried = (uint32_t)tag < (1 + HAK_CARRY_CLASSES) * HAK_BIN_SCALE;
  uint64_t slot;
  if (HAK_UNLIKELY(ring->owner != hak_tag_owner(tag))) return false;
  if (HAK_LIKELY(is_carried) && HAK_LIKELY(!__builtin_sub_overflow(ring->slots, 1u, &slot))) {
    ring->slots = slot;
    ring->first->carried[slot] = block;
    return true;
  }
  if (HAK_UNLIKELY(ring->room < 0)) return false;
  hak_remote_carry(ring, block, tag);
  return true;
}

/* Puts a block, its key set, into the ring for it of the calling thread's heap; posts what is there if it is full or of
 * another owner. True if the ring begins with it, which is once in a post. */
HAK_HIDDEN bool hak_remote_free(hak_theap_t *heap, hak_block_t *block, hak_tag_t tag);

/* Does so with all blocks of a chain. */
HAK_HIDDEN void hak_remote_free_chain(hak_theap_t *heap, hak_block_t *chain);

/* Posts all rings of the calling thread's heap. */
HAK_HIDDEN void hak_remote_post_all(hak_theap_t *heap);

/* Posts one block without a heap of one's own: for a thread that could not get one. _mt */
HAK_HIDDEN void hak_remote_post_one_mt(hak_block_t *block, hak_tag_t tag);

/* How many posts wait in the heap's inbox; modulo 65536. _mt */
HAK_HIDDEN uint64_t hak_remote_posts_mt(const hak_theap_t *heap);

/* To be called after a heap was parked: takes in what was posted to it until then. _mt */
HAK_HIDDEN void hak_remote_help_parked_mt(hak_theap_t *heap);

/* Takes in `blocks` blocks that others freed, or what one carrier has beyond that: into the owner's bins while they have room, if it is the owner who
 * calls and passes them as `tls`, else to their slabs. Inside the heap's guard. True if there were any. */
HAK_HIDDEN bool hak_remote_drain(hak_theap_t *heap, hak_tls_t *tls, uint32_t blocks);

#endif
