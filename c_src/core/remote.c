#include "core/remote.h"

#include "base/atomic.h"
#include "base/check.h"
#include "core/guard.h"
#include "core/registry.h"
#include "core/slab.h"

/* The inbox word. Addresses have 48 bits (core/tagmap.h sees to it), so a count of posts fits above. */
#define REMOTE_COUNT_SHIFT 48

static hak_block_t *remote_first(uint64_t inbox) {
  return (hak_block_t *)(uintptr_t)(inbox & (((uint64_t)1 << REMOTE_COUNT_SHIFT) - 1));
}

uint64_t hak_remote_posts_mt(const hak_theap_t *heap) { return hak_load_relaxed(&heap->xinbox) >> REMOTE_COUNT_SHIFT; }

/* Takes in what was posted to a heap whose owner does not come by, unless it or somebody else is at it. */
HAK_SLOW_STATIC void remote_help(hak_theap_t *owner) {
  do {
    if (!hak_guard_claim_mt(owner)) return;
    hak_remote_drain(owner, NULL, UINT32_MAX);
    hak_store_relaxed(&owner->xtaken_then, hak_load_relaxed(&owner->remote_blocks)); /* that was us */
    hak_slab_unclaim_mt(owner);
    /* Once more for a parked heap, if somebody posted while we were done draining and not yet with the claim. */
  } while (hak_load_seq(&owner->xinbox) != 0 && hak_load_seq(&owner->xstate) == HAK_THEAP_PARKED);
}

/* Whether blocks of the inbox were taken in since the last poster asked. A claim of a heap in use stops its owner and all
 * processors, so an owner that does come by is left alone: each time it wants blocks, it takes in HAK_DRAIN_BLOCKS. */
HAK_SLOW_STATIC bool remote_is_taken(hak_theap_t *owner) {
  uint64_t taken = hak_load_relaxed(&owner->remote_blocks);
  bool is_taken = taken != hak_load_relaxed(&owner->xtaken_then);
  hak_store_relaxed(&owner->xtaken_then, taken);
  return is_taken;
}

/* Pushes the chain first .. last. release pairs with the acquire in hak_remote_drain: the owner sees the links and keys,
 * and everything the program did with the blocks before it freed them. */
static void remote_push_mt(hak_theap_t *owner, hak_block_t *first, hak_block_t *last) {
  uint64_t inbox = hak_load_relaxed(&owner->xinbox), posts, mine;
  do {
    hak_block_link(last, remote_first(inbox));
    posts = (inbox >> REMOTE_COUNT_SHIFT) + 1; /* counts round after 65536 */
    mine = posts << REMOTE_COUNT_SHIFT | (uintptr_t)first;
  } while (
      !atomic_compare_exchange_weak_explicit(&owner->xinbox, &inbox, mine, memory_order_seq_cst, memory_order_relaxed));

  /* Nobody comes by for a parked heap; an owner that has not come for so many posts may be asleep. seq_cst with the push
   * and with hak_remote_help_parked_mt: either we see the heap parked, or who parks it sees our post. */
  bool parked = hak_load_seq(&owner->xstate) == HAK_THEAP_PARKED;
  if (HAK_UNLIKELY(parked) || (HAK_UNLIKELY(posts % HAK_HELP_POSTS == 0) && !remote_is_taken(owner)))
    remote_help(owner);
}

void hak_remote_help_parked_mt(hak_theap_t *heap) {
  if (HAK_UNLIKELY(hak_load_seq(&heap->xinbox) != 0)) remote_help(heap);
}

static void remote_post(hak_theap_t *heap, hak_ring_t *ring) {
  hak_block_t *first = ring->first, *last = ring->last;
  hak_remote_end(ring);
  hak_count(&heap->remote_posts, 1);
  hak_theap_t *owner = hak_registry_heap(ring->owner - HAK_TAG_HEAPS);
  *ring = (hak_ring_t){0};
  remote_push_mt(owner, first, last);
}

bool hak_remote_free(hak_theap_t *heap, hak_block_t *block, hak_tag_t tag) {
  hak_ring_t *ring = hak_remote_ring(heap, tag);
  if (hak_remote_put(ring, block, tag)) return false;
  if (ring->first != NULL) remote_post(heap, ring);
  *ring = (hak_ring_t){.last = block, .owner = hak_tag_owner(tag), .room = HAK_RING_BYTES - 1};
  hak_remote_carry(ring, block, tag);
  return true;
}

void hak_remote_free_chain(hak_theap_t *heap, hak_block_t *chain) {
  while (chain != NULL) {
    hak_block_t *next = hak_block_next(chain);
    (void)hak_remote_free(heap, chain, hak_tagmap_get_mt(chain));
    chain = next;
  }
}

void hak_remote_post_all(hak_theap_t *heap) {
  for (unsigned i = 0; i < HAK_RINGS; i++) {
    if (heap->ring[i].first != NULL) remote_post(heap, &heap->ring[i]);
  }
}

void hak_remote_post_one_mt(hak_block_t *block, hak_tag_t tag) {
  uint32_t slots = hak_remote_class(tag)->ring_slots;
  if (slots != 0) block->carried[slots - 1] = NULL;
  remote_push_mt(hak_registry_heap(hak_tag_heap_id(tag)), block, block);
}

/* Into the owner's bin, if it has room (and the first level of the tag map knows the slice). What has no key is no block
 * that was freed: remote_take ends the process. */
static inline bool remote_to_bin(hak_tls_t *tls, hak_block_t *block) {
  uint64_t view = hak_tagmap_view(block) | tls->self;
  if (HAK_UNLIKELY(view < HAK_VIEW_SLAB)) return false;
  hak_bin_t *bin = &tls->bin[(view - HAK_VIEW_SLAB) / HAK_BIN_SCALE];
  if (bin->room <= 0 || HAK_UNLIKELY(block->key != hak_freed_key(block))) return false;
  bin->room--;
  hak_block_link(block, bin->head);
  bin->head = block;
  return true;
}

static void remote_take(hak_theap_t *heap, hak_tls_t *tls, hak_block_t *block) {
  if (tls != NULL && remote_to_bin(tls, block)) return;
  if (HAK_UNLIKELY(hak_tag_heap_id(hak_tagmap_get_mt(block)) != heap->id || block->key != hak_freed_key(block))) {
    hak_fatal("hak_free", HAK_BAD_OVERWRITTEN, block); /* it was, or the carrier that its address came out of */
  }
  hak_slab_give(heap, block);
}

/* Takes in a carrier and what it carries; returns how many blocks that was. */
static uint32_t remote_take_carrier(hak_theap_t *heap, hak_tls_t *tls, hak_block_t *carrier) {
  uint32_t slots = hak_remote_class(hak_tagmap_get_mt(carrier))->ring_slots, taken = 1;
  if (hak_block_next(carrier) != NULL) hak_prefetch_write(hak_block_next(carrier));
  for (uint32_t i = slots; i != 0 && carrier->carried[i - 1] != NULL; i--) hak_prefetch_write(carrier->carried[i - 1]);
  for (; slots != 0 && carrier->carried[slots - 1] != NULL; slots--, taken++) {
    remote_take(heap, tls, carrier->carried[slots - 1]);
  }
  remote_take(heap, tls, carrier);
  return taken;
}

bool hak_remote_drain(hak_theap_t *heap, hak_tls_t *tls, uint32_t blocks) {
  uint32_t taken = 0;
  while (taken < blocks) {
    if (heap->pending == NULL) {
      if (hak_load_relaxed(&heap->xinbox) == 0) break; /* do not write a line that posters write */
      heap->pending = remote_first(hak_swap_acquire(&heap->xinbox, 0));
    }
    hak_block_t *carrier = heap->pending;
    heap->pending = hak_block_next(carrier);
    taken += remote_take_carrier(heap, tls, carrier);
  }
  if (taken != 0) hak_count(&heap->remote_blocks, taken);
  return taken != 0;
}
