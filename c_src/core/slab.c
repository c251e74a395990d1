#include "core/slab.h"

#include "base/bits.h"
#include "base/check.h"
#include "core/guard.h"
#include "core/purge.h"
#include "core/remote.h"
#include "core/segment.h"
#include "core/stats.h"
#include "core/trailer.h"
#include "os/os.h"

#if HAK_SECURE
hak_block_t *hak_block_next_checked(const hak_block_t *block) {
  uintptr_t next = (uintptr_t)block->next ^ hak_secret_key(block, HAK_KEY_LINK);
  hak_tag_t tag = hak_tagmap_get_mt((const void *)next);
  bool is_block = next == 0 || ((next & (HAK_GRAIN - 1)) == 0 && (hak_tag_is_slab(tag) || hak_tag_is_area(tag)));
  if (HAK_UNLIKELY(!is_block) || HAK_UNLIKELY(block->key != hak_freed_key(block))) {
    hak_fatal("hak_malloc", HAK_BAD_OVERWRITTEN, block);
  }
  return (hak_block_t *)next;
}
#endif

/* ---- The ring of slabs that can serve ---- */

static void slab_unlist(hak_theap_t *heap, hak_slab_t *slab) {
  hak_slab_t **first = &heap->slabs[slab->class_number];
  if (slab->next == slab) {
    *first = NULL;
  } else {
    slab->next->previous = slab->previous;
    slab->previous->next = slab->next;
    if (*first == slab) *first = slab->next;
  }
  slab->listed = false;
}

static void slab_list(hak_theap_t *heap, hak_slab_t *slab, bool in_front) {
  hak_slab_t **first = &heap->slabs[slab->class_number];
  if (*first == NULL) {
    slab->next = slab->previous = *first = slab;
  } else {
    slab->next = *first;
    slab->previous = (*first)->previous;
    slab->previous->next = slab->next->previous = slab;
    if (in_front) *first = slab;
  }
  slab->listed = true;
}

/* ---- Slabs come and go ---- */

static hak_slab_t *slab_new(hak_theap_t *heap, unsigned class_number) {
  hak_slab_t *slab = heap->spare;
  bool zeroed = false;
  if (slab != NULL) {
    heap->spare = NULL;
  } else {
    char *base = hak_segment_take_mt(1, &zeroed);
    if (base == NULL) return NULL;
    slab = &hak_cell_of(base)->slab;
    slab->base = base;
  }
  slab->free = NULL;
  slab->free_blocks = slab->carved = 0;
  hak_store_relaxed(&slab->frontier, slab->base);
  slab->class_number = (uint8_t)class_number;
  slab->rest_untouched = zeroed;
  hak_tagmap_set(slab->base, hak_tag_of_slab(heap->id, class_number));
  slab_list(heap, slab, false);
  return slab;
}

static void slab_release(hak_theap_t *heap, hak_slab_t *slab) {
  hak_segment_give_mt(slab->base, 1);
  heap->released++;
}

/* In the guard: how many slices the bound on dirty memory is to be kept for. */
static unsigned slab_take_released(hak_theap_t *heap) {
  unsigned released = heap->released;
  heap->released = 0;
  return released;
}

void hak_slab_leave(hak_theap_t *heap) {
  unsigned released = slab_take_released(heap);
  hak_guard_leave(heap);
  if (HAK_UNLIKELY(released != 0)) hak_purge_bound_mt(released);
}

void hak_slab_unclaim_mt(hak_theap_t *heap) {
  unsigned released = slab_take_released(heap);
  hak_guard_release_mt(heap);
  if (released != 0) hak_purge_bound_mt(released);
}

/* Counts what came back to the slab, when its list is taken or the slab is empty: not block by block. */
static void slab_count_returned(hak_theap_t *heap, const hak_slab_t *slab) {
  hak_stats_returned(heap, hak_slab_class_tier(slab->class_number), slab->free_blocks);
}

HAK_SLOW_STATIC void slab_became_empty(hak_theap_t *heap, hak_slab_t *slab) {
  slab_count_returned(heap, slab);
  if (slab->listed) slab_unlist(heap, slab);
  if (heap->spare == NULL) {
    heap->spare = slab; /* its tag and the keys in its blocks stay: freeing one of them again is still noticed */
  } else {
    slab_release(heap, slab);
  }
}

void hak_slab_release_spare(hak_theap_t *heap) {
  hak_slab_t *slab = heap->spare;
  if (slab == NULL) return;
  heap->spare = NULL;
  slab_release(heap, slab);
}

/* Up to where memory behind the frontier may be resident. */
static uintptr_t slab_resident_end(const hak_slab_t *slab) {
  uintptr_t base = (uintptr_t)slab->base, frontier = (uintptr_t)hak_load_relaxed(&slab->frontier);
  if (!slab->rest_untouched) return base + HAK_SLICE_BYTES;
  bool in_steps =
      hak_slab_classes[slab->class_number].block_bytes <= HAK_CARVE_BYTES; /* cutting touches all pages of those */
  return in_steps && frontier - base >= HAK_POPULATE_BYTES ? hak_align_up(frontier + 1, HAK_POPULATE_BYTES) : frontier;
}

/* After blocks were cut from `first` on: whoever cut so many will want more soon. */
static void slab_populate(const hak_slab_t *slab, const char *first) {
  uintptr_t frontier = (uintptr_t)hak_load_relaxed(&slab->frontier);
  if (HAK_LIKELY(((uintptr_t)first ^ frontier) < HAK_POPULATE_BYTES) || !slab->rest_untouched) return;
  uintptr_t page = hak_align_up(frontier, hak_os_page_bytes()), end = slab_resident_end(slab);
  if (page < end && end <= (uintptr_t)slab->base + HAK_SLICE_BYTES) hak_os_populate((void *)page, end - page);
}

size_t hak_slab_purge_uncarved(hak_theap_t *heap) {
  size_t purged = 0;
  for (unsigned c = 1; c < HAK_SLAB_CLASSES; c++) {
    hak_slab_t *first = heap->slabs[c], *slab = first;
    if (first == NULL) continue;
    do { /* one that is all cut has a key behind its last block */
      uintptr_t from = hak_align_up((uintptr_t)hak_load_relaxed(&slab->frontier), hak_os_page_bytes());
      uintptr_t end = slab_resident_end(slab);
      bool has_rest = slab->carved < hak_slab_classes[c].capacity && from < end;
      if (has_rest && hak_os_purge((void *)from, end - from)) {
        purged += end - from;
        slab->rest_untouched = true;
      }
      slab = slab->next;
    } while (slab != first);
  }
  return purged;
}

/* ---- Blocks come and go ---- */

void hak_slab_turned(hak_theap_t *heap, hak_slab_t *slab) {
  if (slab->free_blocks == slab->carved) {
    slab_became_empty(heap, slab);
  } else {
    if (slab->listed) slab_unlist(heap, slab);
    slab_list(heap, slab, true);
  }
}

/* Moves the slab's free list into the empty bin, but for one block, which it returns. */
static hak_block_t *slab_take_list(hak_theap_t *heap, hak_slab_t *slab, hak_bin_t *bin) {
  const hak_slab_class_t *info = &hak_slab_classes[slab->class_number];
  hak_block_t *block = slab->free;
  bin->head = hak_block_next(block);
  bin->room = info->bin_room - slab->free_blocks + 1;
  slab_count_returned(heap, slab);
  hak_stats_served(heap, hak_slab_class_tier(slab->class_number), slab->free_blocks);
  slab->free = NULL;
  slab->free_blocks = 0;
  slab_unlist(heap, slab);
  if (slab->carved < info->capacity) slab_list(heap, slab, false); /* behind those that still have free blocks */
  return block;
}

/* The numbers from 0 on in a random order: no more than fit a byte (Fisher and Yates). */
static inline void slab_shuffle(hak_theap_t *heap, uint8_t *order, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    uint32_t other = hak_random(&heap->random, i + 1);
    order[i] = order[other];
    order[other] = (uint8_t)i;
  }
}

/* Cuts new blocks, one page's worth at most, links all but the first into the empty bin and returns the first. */
static hak_block_t *slab_carve(hak_theap_t *heap, hak_slab_t *slab, hak_bin_t *bin) {
  const hak_slab_class_t *info = &hak_slab_classes[slab->class_number];
  uint32_t left = info->capacity - slab->carved;
  uint32_t blocks = (uint32_t)HAK_CARVE_BYTES / info->block_bytes;
  if (blocks > left) blocks = left;
  if (blocks == 0) blocks = 1;
  char *first = slab->base + (size_t)slab->carved * info->block_bytes;
  uint8_t order[HAK_CARVE_BYTES / HAK_GRAIN];
  if (HAK_SECURE) slab_shuffle(heap, order, blocks);
  hak_block_t *next = NULL;
  for (uint32_t i = blocks - 1; i != 0; i--) {
    uint32_t number = HAK_SECURE ? order[i] : i;
    hak_block_t *block = (hak_block_t *)(void *)(first + (size_t)number * info->block_bytes);
    if (HAK_SECURE) hak_trailer_begin(block, info->block_bytes);
    hak_block_link(block, next);
    block->key = hak_freed_key(block);
    next = block;
  }
  bin->head = next;
  bin->room = info->bin_room - (int32_t)blocks + 1;
  hak_stats_served(heap, hak_slab_class_tier(slab->class_number), blocks);
  slab->carved = (uint16_t)(slab->carved + blocks);
  char *end = first + (size_t)blocks * info->block_bytes;
  hak_store_relaxed(&slab->frontier, end);
  slab_populate(slab, first);
  if (slab->carved == info->capacity) {
    slab_unlist(heap, slab);
    /* Behind the last block an address may pass for a block's start. The key there has a free of it looked at closely. */
    if (end != slab->base + HAK_SLICE_BYTES) ((hak_block_t *)(void *)end)->key = hak_freed_key(end);
  }
  if (HAK_SECURE) {
    first += (size_t)order[0] * info->block_bytes;
    hak_trailer_begin(first, info->block_bytes);
  }
  return (hak_block_t *)(void *)first;
}

static hak_block_t *slab_pop(hak_bin_t *bin) {
  hak_block_t *block = bin->head;
  bin->head = hak_block_next(block);
  bin->room++;
  return block;
}

/* Fills the empty bin and returns one block besides. */
static hak_block_t *slab_refill(hak_theap_t *heap, unsigned class_number, hak_bin_t *bin) {
  hak_slab_t *slab = heap->slabs[class_number];
  if (slab == NULL || slab->free == NULL) {
    hak_remote_drain(heap, heap->tls, HAK_DRAIN_BLOCKS);
    if (bin->head != NULL) return slab_pop(bin);
    slab = heap->slabs[class_number];
  }
  if (slab != NULL && slab->free != NULL) return slab_take_list(heap, slab, bin);
  if (slab == NULL) slab = slab_new(heap, class_number);
  return slab == NULL ? NULL : slab_carve(heap, slab, bin);
}

/* Takes one block and leaves the bin closed: what is cut beyond it goes to the slab's list. */
HAK_SLOW_STATIC hak_block_t *slab_take_one(hak_theap_t *heap, unsigned class_number, hak_bin_t *bin) {
  hak_slab_t *slab = heap->slabs[class_number];
  if (slab == NULL || slab->free == NULL) {
    hak_remote_drain(heap, NULL, HAK_DRAIN_BLOCKS);
    slab = heap->slabs[class_number];
  }
  if (slab == NULL || slab->free == NULL) {
    if (slab == NULL) slab = slab_new(heap, class_number);
    if (slab == NULL) return NULL;
    hak_block_t *block = slab_carve(heap, slab, bin);
    (void)hak_slab_flush_bin(heap, class_number, NULL); /* none are of other heaps */
    return block;
  }
  hak_block_t *block = slab->free;
  slab->free = hak_block_next(block);
  hak_stats_returned(heap, hak_slab_class_tier(class_number), 1);
  hak_stats_served(heap, hak_slab_class_tier(class_number), 1);
  if (--slab->free_blocks == 0) {
    slab_unlist(heap, slab);
    if (slab->carved < hak_slab_classes[class_number].capacity) slab_list(heap, slab, false);
  }
  return block;
}

hak_block_t *hak_slab_alloc(hak_theap_t *heap, unsigned class_number) {
  hak_bin_t *bin = &heap->tls->bin[class_number];
  hak_block_t *block;
  if (bin->head != NULL) {
    block = slab_pop(bin);
  } else {
    hak_guard_enter(heap);
    if (HAK_LIKELY(heap->lean_calls == 0)) {
      block = slab_refill(heap, class_number, bin);
    } else {
      heap->lean_calls--;
      block = slab_take_one(heap, class_number, bin);
    }
    hak_slab_leave(heap);
    if (block == NULL) return NULL;
    hak_stats_refilled(heap, hak_slab_class_tier(class_number));
  }
  block->key = 0;
  return block;
}

/* A block of a bin that the first level of the tag map says is not the heap's: another's, linked in front of `others` then. Where
 * that level does not know the slice, its entry is another slice's; but then the block is the heap's, for blocks of others come
 * in by that entry only. */
static __attribute__((noinline)) hak_block_t *slab_give_other(hak_theap_t *heap, hak_block_t *block,
                                                              hak_block_t *others) {
  if (hak_tag_owner(hak_tagmap_get_mt(block)) == heap->id + HAK_TAG_HEAPS) {
    hak_slab_give(heap, block);
    return others;
  }
  hak_block_link(block, others);
  return block;
}

/* Gives a block of a bin to its slab, or links it in front of `*others`, and returns the next one. `me`: the heap in tags. */
HAK_FAST hak_block_t *slab_give_first(hak_theap_t *heap, uint32_t me, hak_block_t *block, hak_block_t **others) {
  hak_block_t *next = hak_block_next(block);
  if (HAK_LIKELY(hak_load_relaxed(&hak_tagmap_owners[hak_tagmap_index(block)]) == me)) {
    hak_slab_give(heap, block);
  } else {
    *others = slab_give_other(heap, block, *others);
  }
  return next;
}

hak_block_t *hak_slab_flush_bin(hak_theap_t *heap, unsigned class_number, hak_block_t *others) {
  hak_bin_t *bin = &heap->tls->bin[class_number];
  hak_block_t *block = bin->head;
  while (block != NULL) block = slab_give_first(heap, heap->id + HAK_TAG_HEAPS, block, &others);
  bin->head = NULL;
  bin->room = 0;
  return others;
}

hak_block_t *hak_slab_spill_bin(hak_theap_t *heap, unsigned class_number) {
  hak_bin_t *bin = &heap->tls->bin[class_number];
  uint32_t half = (uint32_t)hak_slab_classes[class_number].bin_room / 2, me = heap->id + HAK_TAG_HEAPS;
  uint32_t blocks = half < HAK_SPILL_BLOCKS ? half : HAK_SPILL_BLOCKS;
  bin->room += (int32_t)blocks;
  hak_block_t *block = bin->head, *others = NULL;
  while (blocks-- != 0) block = slab_give_first(heap, me, block, &others);
  bin->head = block;
  return others;
}

bool hak_slab_is_valid(const hak_theap_t *heap, unsigned class_number) {
  const hak_slab_t *slab = heap->slabs[class_number];
  const hak_slab_class_t *info = &hak_slab_classes[class_number];
  bool seen_without_free = false;
  if (slab == NULL) return true;
  do {
    uint32_t length = 0;
    for (const hak_block_t *b = slab->free; b != NULL; b = hak_block_next(b), length++) {
      size_t offset = (size_t)((const char *)b - slab->base);
      if (offset % info->block_bytes != 0 || offset / info->block_bytes >= slab->carved) return false;
      if (b->key != hak_freed_key(b) || length > slab->carved) return false;
    }
    if (length != slab->free_blocks || slab->carved > info->capacity || !slab->listed) return false;
    if (slab->class_number != class_number || slab->next->previous != slab) return false;
    if (slab->free == NULL && slab->carved == info->capacity) return false;
    if (slab->free != NULL && seen_without_free) return false;
    seen_without_free = slab->free == NULL;
    slab = slab->next;
  } while (slab != heap->slabs[class_number]);
  return true;
}
