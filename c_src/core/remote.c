#include "core/remote.h"

#include "base/atomic.h"
#include "base/check.h"
#include "core/guard.h"
#include "core/registry.h"
#include "core/slab.h"
#include "core/tagmap.h"

/* The inbox word. Addresses have 48 bits (core/tagmap.h sees to it), so a count of posts fits above. */
#define REMOTE_COUNT_SHIFT 48

static hak_block_t *remote_first(uint64_t inbox) {
  return (hak_block_t *)(uintptr_t)(inbox & (((uint64_t)1 << REMOTE_COUNT_SHIFT) - 1));
}

/* Takes in what was posted to a heap whose owner does not come by, unless it or somebody else is at it. */
HAK_SLOW_STATIC void remote_help(hak_heap_t *owner) {
  do {
    if (!hak_guard_claim_mt(owner)) return;
    hak_remote_drain(owner, NULL, UINT32_MAX);
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
  hak_heap_t *owner = hak_registry_heap(ring->id);
  *ring = (hak_ring_t){0};
  remote_push_mt(owner, first, last);
}

static hak_ring_t *remote_ring(hak_heap_t *heap, uint32_t owner_id) { return &heap->ring[owner_id % HAK_RINGS]; }

/* What a block of a slab with the tag counts in a ring. The tag's lower half is the place in the table already. */
HAK_FAST int32_t remote_bytes(hak_tag_t tag) {
  _Static_assert(sizeof(hak_slab_class_t) == HAK_BIN_SCALE, "the class in a tag is scaled for bins");
  return ((const hak_slab_class_t *)(const void *)((const char *)hak_slab_classes + (uint32_t)tag))->ring_bytes;
}

static void remote_begin(hak_ring_t *ring, hak_block_t *block, hak_tag_t tag) {
  block->next = NULL;
  ring->first = ring->last = block;
  ring->id = hak_tag_heap_id(tag);
  ring->room = HAK_RING_BYTES - 1 - remote_bytes(tag);
}

/* Out of line, as the post of a full ring, and jumped to, so that the usual way needs no stack frame. */
HAK_SLOW_STATIC void remote_begin_after_post(hak_heap_t *heap, hak_block_t *block, hak_tag_t tag) {
  hak_ring_t *ring = remote_ring(heap, hak_tag_heap_id(tag));
  remote_post(heap, ring);
  remote_begin(ring, block, tag);
}

static __attribute__((noinline)) void remote_post_full(hak_heap_t *heap, hak_tag_t tag) {
  remote_post(heap, remote_ring(heap, hak_tag_heap_id(tag)));
}

void hak_remote_free(hak_heap_t *heap, hak_block_t *block, hak_tag_t tag) {
  uint32_t owner_id = hak_tag_heap_id(tag);
  hak_ring_t *ring = remote_ring(heap, owner_id);
  if (HAK_UNLIKELY(ring->id != owner_id)) {
    if (ring->id == 0) {
      remote_begin(ring, block, tag);
    } else {
      remote_begin_after_post(heap, block, tag);
    }
    return;
  }
  block->next = ring->first;
  ring->first = block;
  if (HAK_UNLIKELY((ring->room -= remote_bytes(tag)) < 0)) remote_post_full(heap, tag);
}

void hak_remote_free_chain(hak_heap_t *heap, hak_block_t *chain) {
  while (chain != NULL) {
    hak_block_t *next = chain->next;
    hak_remote_free(heap, chain, hak_tagmap_get_mt(chain));
    chain = next;
  }
}

void hak_remote_post_all(hak_heap_t *heap) {
  for (unsigned i = 0; i < HAK_RINGS; i++) {
    if (heap->ring[i].first != NULL) remote_post(heap, &heap->ring[i]);
  }
}

void hak_remote_post_one_mt(hak_block_t *block, uint32_t owner_id) {
  remote_push_mt(hak_registry_heap(owner_id), block, block);
}

/* Into the owner's bin, if the first level of the tag map knows the slice and the bin has room. */
static inline bool remote_to_bin(hak_tls_t *tls, hak_block_t *block) {
  uint64_t offset = hak_tagmap_first(block) ^ tls->self;
  if (offset >= HAK_TAG_OWN_END) return false;
  hak_bin_t *bin = &tls->bin[offset / HAK_BIN_SCALE];
  if (bin->room <= 0) return false;
  bin->room--;
  block->next = bin->head;
  bin->head = block;
  return true;
}

bool hak_remote_drain(hak_heap_t *heap, hak_tls_t *tls, uint32_t blocks) {
  uint32_t taken = 0;
  for (; taken < blocks; taken++) {
    if (heap->pending == NULL) {
      if (hak_load_relaxed(&heap->xinbox) == 0) break; /* do not write a line that posters write */
      heap->pending = remote_first(hak_swap_acquire(&heap->xinbox, 0));
    }
    hak_block_t *block = heap->pending;
    heap->pending = block->next;
    if (tls == NULL || !remote_to_bin(tls, block)) hak_slab_give(heap, block);
  }
  if (taken != 0) hak_count(&heap->remote_blocks, taken);
  return taken != 0;
}
