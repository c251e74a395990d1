/* The remote queue: blocks of slabs freed by a thread that does not own them go home in batches.
 *
 *   freeing thread                               owner
 *   ring (by heap id) --post: one CAS per 32--> heap.xinbox --exchange--> heap.pending --> bins, or slabs
 *
 * Posting pushes a linked chain on a stack, taking it takes all: no pop, so no ABA; no half-done state, so nobody waits.
 * Blocks keep the order of their ring only within one post, which nobody relies on. */
#ifndef HAK_CORE_REMOTE_H
#define HAK_CORE_REMOTE_H

#include "core/types.h"

/* Puts a block (its key set) of the heap and the class that the tag tells into a ring of the calling thread's heap, and
 * posts the ring when it is full or wanted for another owner. */
HAK_HIDDEN void hak_remote_free(hak_heap_t *heap, hak_block_t *block, hak_tag_t tag);

/* Does so with all blocks of a chain. */
HAK_HIDDEN void hak_remote_free_chain(hak_heap_t *heap, hak_block_t *chain);

/* Posts all rings of the calling thread's heap. */
HAK_HIDDEN void hak_remote_post_all(hak_heap_t *heap);

/* Posts one block without a heap of one's own: for a thread that could not get one. _mt */
HAK_HIDDEN void hak_remote_post_one_mt(hak_block_t *block, uint32_t owner_id);

/* To be called after a heap was parked: takes in what was posted to it until then. _mt */
HAK_HIDDEN void hak_remote_help_parked_mt(hak_heap_t *heap);

/* Takes in at most `blocks` blocks that others freed: into the owner's bins while they have room, if it is the owner who
 * calls and passes them as `tls`, else to their slabs. Inside the heap's guard. True if there were any. */
HAK_HIDDEN bool hak_remote_drain(hak_heap_t *heap, hak_tls_t *tls, uint32_t blocks);

#endif
