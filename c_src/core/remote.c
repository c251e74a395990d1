#include "core/remote.h"

#include "base/atomic.h"
#include "base/check.h"
#include "core/guard.h"
#include "core/registry.h"
#include "core/slab.h"

/* The inbox word. Addresses have 48 bits (core/tagmap.h sees to it), so a count of posts fits above. */
#define REMOTE_COUNT_SHIFT 48

/* What a block counts at least, so that a ring holds HAK_RING_BLOCKS of them. */
#define REMOTE_LEAST_BYTES (HAK_RING_BYTES / HAK_RING_BLOCKS)

static hak_block_t *remote_first(uint64_t inbox) {
  return (hak_block_t *)(uintptr_t)(inbox & (((uint64_t)1 << REMOTE_COUNT_SHIFT) - 1));
}

/* Takes in what was posted to a heap whose owner does not come by, unless it or somebody else is at it. */
HAK_SLOW_STATIC void remote_help(hak_heap_t *owner) {
  do {
    if (!hak_guard_claim_mt(owner)) return;
    hak_remote_drain(owner, UINT32_MAX);
    hak_guard_release_mt(owner);
    /* Once more for a parked heap, if somebody posted while we were done draining and not yet with the claim. */
  } while (hak_load_seq(&owner->xinbox) != 0 && hak_load_seq(&owner->xstate) == HAK_HEAP_PARKED);
}

/* Pushes the chain first .. last. release pairs with the acquire in hak_remote_drain: the owner sees the links and keys,
 * and everything the program did with the blocks before it freed them. */
static void remote_push_mt(hak_heap_t *owner, hak_block_t *first, hak_block_t *last) {
  uint64_t inbox = hak_load_relaxed(&owner->xinbox), posts, mine;
  do {
    last->next = remote_first(inbox);
    posts = (inbox >> REMOTE_COUNT_SHIFT) + 1; /* counts round after 65536 */
    mine = posts << REMOTE_COUNT_SHIFT | (uintptr_t)first;
  } while (
      !atomic_compare_exchange_weak_explicit(&owner->xinbox, &inbox, mine, memory_order_seq_cst, memory_order_relaxed));

  /* Nobody comes by for a parked heap; an owner that has not come for so many posts may be asleep. seq_cst with the push
   * and with hak_remote_help_parked_mt: either we see the heap parked, or who parks it sees our post. */
  bool parked = hak_load_seq(&owner->xstate) == HAK_HEAP_PARKED;
  if (HAK_UNLIKELY(parked || posts % HAK_HELP_POSTS == 0)) remote_help(owner);
}

void hak_remote_help_parked_mt(hak_heap_t *heap) {
  if (HAK_UNLIKELY(hak_load_seq(&heap->xinbox) != 0)) remote_help(heap);
}

static void remote_post(hak_heap_t *heap, hak_ring_t *ring) {
  hak_block_t *first = ring->first, *last = ring->last;
  hak_count(&heap->remote_posts, 1);
  hak_count(&heap->remote_blocks, ring->blocks);
  ring->first = ring->last = NULL;
  ring->blocks = 0;
  ring->room = HAK_RING_BYTES;
  remote_push_mt(hak_registry_heap(ring->id), first, last);
}

static inline void remote_put(hak_heap_t *heap, hak_ring_t *ring, hak_block_t *block, uint32_t block_bytes) {
  block->next = ring->first;
  if (ring->blocks++ == 0) ring->last = block;
  ring->first = block;
  ring->room -= (int32_t)(block_bytes > REMOTE_LEAST_BYTES ? block_bytes : REMOTE_LEAST_BYTES);
  if (HAK_UNLIKELY(ring->room <= 0)) remote_post(heap, ring);
}

/* The ring is another owner's, or new. Jumped to, so that the usual way needs no stack frame. */
HAK_SLOW_STATIC void remote_put_first(hak_heap_t *heap, hak_ring_t *ring, hak_block_t *block, uint32_t owner_id,
                                      uint32_t block_bytes) {
  if (ring->blocks != 0) remote_post(heap, ring);
  ring->id = owner_id;
  ring->room = HAK_RING_BYTES;
  remote_put(heap, ring, block, block_bytes);
}

void hak_remote_free(hak_heap_t *heap, hak_block_t *block, uint32_t owner_id, uint32_t block_bytes) {
  hak_ring_t *ring = &heap->ring[owner_id % HAK_RINGS];
  if (HAK_UNLIKELY(ring->id != owner_id)) {
    remote_put_first(heap, ring, block, owner_id, block_bytes);
  } else {
    remote_put(heap, ring, block, block_bytes);
  }
}

void hak_remote_post_all(hak_heap_t *heap) {
  for (unsigned i = 0; i < HAK_RINGS; i++) {
    if (heap->ring[i].blocks != 0) remote_post(heap, &heap->ring[i]);
  }
}

void hak_remote_post_one_mt(hak_block_t *block, uint32_t owner_id) {
  remote_push_mt(hak_registry_heap(owner_id), block, block);
}

bool hak_remote_drain(hak_heap_t *heap, uint32_t blocks) {
  bool any = false;
  for (; blocks != 0; blocks--) {
    if (heap->pending == NULL) {
      if (hak_load_relaxed(&heap->xinbox) == 0) return any; /* do not write a line that posters write */
      heap->pending = remote_first(hak_swap_acquire(&heap->xinbox, 0));
    }
    hak_block_t *block = heap->pending;
    heap->pending = block->next;
    hak_slab_give(heap, block);
    any = true;
  }
  return any;
}
