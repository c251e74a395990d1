/* Freeing.
 *
 *   hak_free
 *     block of a slab       pushed to the thread's bin, if it is its own or of a cache line and more
 *       free_overflow       the bin is full: some of it to slabs' lists and rings; it is closed: the block to one of these
 *     block of a pool span  pushed to the thread's magazine
 *     free_foreign          a block of another heap's slab: into a ring
 *     free_ownerless        what is in no slab of a thread:
 *       free_ace            a block of an ACE span: into the heap's magazine
 *       hak_arena_free_view_mt  a block of a heap of the program's own (heap/arena.h)
 *     free_other            everything else: full magazines, mmap, NULL, what is no block
 *   hak_free_sized          pool sizes: to the magazine, without a look at any metadata
 */
#include "api/aligned.h"
#include "api/block.h"
#include "api/count.h"
#include "base/check.h"
#include "core/guard.h"
#include "core/magazine.h"
#include "core/remote.h"
#include "core/segment.h"
#include "core/slab.h"
#include "core/span.h"
#include "hakmem.h"
#include "heap/arena.h"
#include "heap/theap.h"
#include "tier/ace.h"
#include "tier/mmap.h"
#include "tier/pool.h"

/* The rare ends of free_overflow, out of line and jumped to, so that it needs no stack frame. */
HAK_SLOW_STATIC void free_overflow_wait(hak_theap_t *heap, hak_block_t *block) {
  hak_guard_wait(heap);
  hak_slab_give(heap, block);
  hak_slab_leave(heap);
}

HAK_SLOW_STATIC void free_overflow_turned(hak_theap_t *heap, hak_slab_t *slab) {
  hak_slab_turned(heap, slab);
  hak_slab_leave(heap);
  hak_theap_tick(heap);
}

static void free_overflow_foreign(hak_block_t *block, hak_tag_t tag, const char *function);

HAK_FAST void free_to_bin(hak_block_t *block, hak_bin_t HAK_TLS *bin) {
  hak_block_link(block, bin->head);
  block->key = hak_freed_key(block);
  bin->head = block;
}

/* The bin is full: some of it goes home, and the block into it. */
static __attribute__((noinline)) void free_overflow_spill(hak_theap_t *heap, hak_block_t *block, uint64_t view) {
  hak_guard_enter(heap);
  hak_block_t *others = hak_slab_spill_bin(heap, hak_tag_class(view - HAK_VIEW_SLAB));
  hak_slab_leave(heap);
  --*hak_tls_room_of_view(view);
  free_to_bin(block, hak_tls_bin_of_view(view));
  hak_remote_free_chain(heap, others);
  hak_theap_tick(heap);
}

/* The bin has no room (it was counted down below zero). If it is closed, or took a slab's list that is longer than it should be,
 * a block of one's own goes to its slab's list. */
static __attribute__((noinline)) void free_overflow(hak_block_t *block, uint64_t view, const char *function) {
  int32_t room = ++*hak_tls_room_of_view(view);
  hak_theap_t *heap = hak_tls_mine()->heap;
  if (room == 0 && hak_tls_bin_of_view(view)->head != NULL) {
    free_overflow_spill(heap, block, view);
    return;
  }
  uint64_t owner = hak_load_relaxed(&hak_tagmap_owners[hak_tagmap_index(block)]);
  if (HAK_UNLIKELY(heap == NULL) || owner != heap->id + HAK_TAG_HEAPS) {
    free_overflow_foreign(block, owner << HAK_TAG_OWNER_SHIFT | (view - HAK_VIEW_SLAB), function);
    return;
  }
  block->key = hak_freed_key(block);
  if (HAK_UNLIKELY(!hak_guard_try_enter(heap))) {
    free_overflow_wait(heap, block);
    return;
  }
  hak_slab_t *slab = &hak_cell_of(block)->slab;
  if (HAK_UNLIKELY(hak_slab_push(slab, block))) {
    free_overflow_turned(heap, slab);
    return;
  }
  hak_guard_leave(heap);
}

static void free_to_heap(hak_block_t *block, hak_tag_t tag) {
  block->key = hak_freed_key(block);
  hak_theap_t *heap = hak_theap_get();
  if (HAK_UNLIKELY(heap == NULL)) {
    hak_remote_post_one_mt(block, tag);
  } else if (heap->id == hak_tag_heap_id(tag)) { /* only now did this thread get the heap, whose blocks those are */
    hak_guard_enter(heap);
    hak_slab_give(heap, block);
    hak_slab_leave(heap);
  } else {
    (void)hak_remote_free(heap, block, tag);
  }
}

static void free_to_magazine(void *p, unsigned class_number) {
  hak_theap_t *heap = hak_theap_get();
  void *strays[HAK_POOL_MAGAZINE_BLOCKS_MAX];
  uint32_t strayed;
  if (HAK_UNLIKELY(heap == NULL)) { /* no magazine then: straight to the span */
    uintptr_t slot = (uintptr_t)p;
    hak_magazine_t one = {.slots = &slot, .count = 1, .capacity = 1};
    strayed = hak_span_spill(&one, 1, strays);
  } else {
    hak_theap_tick(heap); /* a thread that only frees has no other slow path */
    strayed = class_number < HAK_POOL_CLASSES ? hak_pool_free(heap, p, class_number, strays)
                                              : hak_ace_free(heap, p, class_number, strays);
  }
  if (HAK_UNLIKELY(strayed != 0)) hak_theap_free_strays(strays, strayed);
  if (HAK_LIKELY(heap != NULL)) hak_theap_tick(heap);
}

/* Whether the thread's own magazine holds the block: a double free after the program wrote over the block's key. */
static bool free_is_cached(const void *p, unsigned class_number) {
  hak_theap_t *heap = hak_tls.heap;
  if (heap == NULL) return false;
  const hak_magazine_t *magazine = hak_magazine_of(heap, class_number);
  for (uint32_t i = 0; i < magazine->count; i++) {
    if ((magazine->slots[i] & ~HAK_SLOT_ZERO) == (uintptr_t)p) return true;
  }
  return false;
}

/* Everything that is not a hit; `function` is what the caller called. */
static __attribute__((noinline)) void free_other(void *p, const char *function) {
  if (p == NULL) return;
  hak_block_info_t info = hak_block_check(p, function);
  hak_tag_t tag = hak_tagmap_get_mt(p);
  if (info.heap != NULL) {
    hak_arena_free_mt(info.heap, p, 0, function);
  } else if (info.tier == HAK_TIER_MMAP) {
    if (!hak_mmap_free_mt(p)) hak_fatal(function, HAK_BAD_DOUBLE_FREE, p); /* another thread frees it this moment */
    hak_theap_t *heap = hak_tls.heap;
    if (heap != NULL) hak_theap_tick_now(heap);
  } else if (hak_tag_is_slab(tag)) {
    free_to_heap(p, tag);
  } else {
    if (HAK_UNLIKELY(free_is_cached(p, hak_tag_class(tag)))) hak_fatal(function, HAK_BAD_DOUBLE_FREE, p);
    ((hak_block_t *)p)->key = hak_freed_key(p);
    free_to_magazine(p, hak_tag_class(tag));
  }
}

HAK_FAST bool free_is_free(const void *p) { return HAK_UNLIKELY(((const hak_block_t *)p)->key == hak_freed_key(p)); }

/* Whether p is where a block of the bin's class would begin, and that block is not free. What would begin behind a slab's last
 * block has a key for this (slab_carve). A bin of a thread without a heap takes every address for one, but has no room. */
HAK_FAST bool free_is_block(const void *p, const hak_bin_t HAK_TLS *bin) {
  uint32_t offset = (uint32_t)((uintptr_t)p & (HAK_SLICE_BYTES - 1));
  return HAK_LIKELY(offset * bin->magic < HAK_SLAB_MAGIC_END) && !free_is_free(p);
}

/* A block of an ACE span: into the heap's magazine if there is room. */
static void free_ace(void *p, hak_tag_t tag, const char *function) {
  hak_theap_t *heap = hak_tls.heap;
  int number = hak_span_block_number(p, tag);
  /* A free block whose pages were given back has lost its key, but is in its span's bitmap. */
  if (HAK_UNLIKELY(heap == NULL) || HAK_UNLIKELY(number < 0) || free_is_free(p) ||
      HAK_UNLIKELY((hak_load_relaxed(&hak_cell_of_span(p, tag)->xmask) >> number & 1) != 0)) {
    free_other(p, function);
    return;
  }
  hak_magazine_t *magazine = &heap->ace[hak_tag_class(tag) - HAK_POOL_CLASSES];
  uintptr_t *slot = magazine->slots + magazine->count;
  if (magazine->count == magazine->capacity || HAK_UNLIKELY((slot[-1] ^ (uintptr_t)p) <= HAK_SLOT_ZERO)) {
    free_other(p, function);
    return;
  }
  *slot = (uintptr_t)p;
  magazine->count++;
  ((hak_block_t *)p)->key = hak_freed_key(p);
}

/* What is in no slab, nor in a span of pool. */
static __attribute__((noinline)) void free_ownerless(void *p, const char *function) {
  uint64_t view = hak_tagmap_view(p);
  bool is_address = (uintptr_t)p >> 48 == 0; /* else its upper bits have changed some of the view's */
  if (is_address && (view ^ HAK_VIEW_ACE) <= UINT16_MAX) {
    free_ace(p, HAK_TAG_ACE | (view & UINT16_MAX), function);
  } else if (is_address && hak_view_is_area(view) && view >> HAK_TAG_OWNER_SHIFT != 0) {
    /* ids are from 1; an entry of nobody leaves the slice's number, which may look like an area's view without one */
    hak_arena_free_view_mt(p, view, function);
  } else {
    free_other(p, function);
  }
}

/* A block of another owner than the last, or for which its ring has no room, or none. */
static __attribute__((noinline)) void free_meet_owner(void *p, const char *function) {
  hak_theap_t *heap = hak_tls.heap;
  uint32_t owner = hak_load_relaxed(&hak_tagmap_owners[hak_tagmap_index(p)]);
  uint64_t code = hak_tag_code(owner - HAK_TAG_HEAPS), view = hak_tagmap_view(p);
  bool is_address = (uintptr_t)p >> 48 == 0; /* else its upper bits have changed some of the view's */
  hak_tag_t tag = (uint64_t)owner << HAK_TAG_OWNER_SHIFT | ((view | code) - HAK_VIEW_SLAB);
  uint32_t offset = (uint32_t)((uintptr_t)p & (HAK_SLICE_BYTES - 1));
  if (!is_address || heap == NULL || owner == heap->id + HAK_TAG_HEAPS || (view | code) < HAK_VIEW_SLAB ||
      !hak_slab_block_begins(&hak_slab_classes[hak_tag_class(tag)], offset) || free_is_free(p)) {
    free_other(p, function);
    return;
  }
  hak_tls.foreign = code;
  hak_tls.foreign_tag = tag & ~HAK_TAG_CLASS_MASK;
  hak_tls.foreign_ring = hak_remote_ring(heap, tag);
  ((hak_block_t *)p)->key = hak_freed_key(p);
  if (hak_remote_free(heap, p, tag)) hak_theap_tick(heap);
}

/* Not for this thread's bins or magazines: a small block of another heap's slab, most likely of the same as the last. */
static __attribute__((noinline)) void free_foreign(void *p, const char *function) {
  uint64_t view = hak_tagmap_view(p) | hak_tls_foreign();
  if (HAK_UNLIKELY(view < HAK_VIEW_SLAB) || HAK_UNLIKELY(!free_is_block(p, hak_tls_bin_of_view(view))) ||
      HAK_UNLIKELY(!hak_remote_put(hak_tls_foreign_ring(), p, hak_tls_foreign_tag() | (view - HAK_VIEW_SLAB)))) {
    if (view < (uint64_t)3 << HAK_VIEW_KIND_SHIFT) {
      free_ownerless(p, function);
    } else {
      free_meet_owner(p, function);
    }
    return;
  }
  ((hak_block_t *)p)->key = hak_freed_key(p);
}

/* A larger one, for which there is no room in the bin. */
static void free_overflow_foreign(hak_block_t *block, hak_tag_t tag, const char *function) {
  if ((tag & ~HAK_TAG_CLASS_MASK) != hak_tls_foreign_tag() || !hak_remote_put(hak_tls_foreign_ring(), block, tag)) {
    free_meet_owner(block, function);
    return;
  }
  block->key = hak_freed_key(block);
}

/* No block for this thread's bins: one of a pool span goes into the magazine if there is room. `view` is as `free_from` has
 * it; what was put over it changes nothing in a span's. */
HAK_FAST void free_elsewhere(void *p, uint64_t view, const char *function) {
  if (HAK_UNLIKELY((view ^ HAK_VIEW_POOL) > UINT16_MAX)) {
    free_foreign(p, function);
    return;
  }
  size_t class_offset = view & HAK_TAG_CLASS_MASK;
  const hak_span_class_t *info = &hak_span_classes[class_offset / HAK_BIN_SCALE];
  uint64_t offset = ((uintptr_t)p & (HAK_SLICE_BYTES - 1)) | (uint64_t)hak_tag_back(view) << HAK_SLICE_SHIFT;
  hak_magazine_t HAK_TLS *magazine = hak_tls_magazine(HAK_SLAB_CLASSES * HAK_BIN_SCALE + class_offset);
  hak_block_t *block = p;
  uint32_t count = magazine->count;
  if (HAK_UNLIKELY(!hak_span_block_begins(info, offset)) || free_is_free(p) ||
      HAK_UNLIKELY(count == magazine->capacity)) {
    free_other(p, function);
    return;
  }
  /* The youngest block once more is noticed even if the program wrote over its key. (What is in front of an empty
   * magazine is memory of the heap; free_other looks closer.) */
  uintptr_t *slot = magazine->slots + count;
  if (HAK_UNLIKELY((slot[-1] ^ (uintptr_t)p) <= HAK_SLOT_ZERO)) {
    free_other(p, function);
    return;
  }
  *slot = (uintptr_t)p;
  magazine->count = count + 1;
  block->key = hak_freed_key(block);
}

HAK_FAST void free_from(void *p, const char *function) {
  hak_count_free(p);
  uint64_t view = hak_tls_or_self(hak_tagmap_view(p));
  if (HAK_UNLIKELY(view < HAK_VIEW_SLAB)) {
    free_elsewhere(p, view, function);
    return;
  }
  hak_bin_t HAK_TLS *bin = hak_tls_bin_of_view(view);
  if (HAK_UNLIKELY(!free_is_block(p, bin))) {
    free_other(p, function);
    return;
  }
  if (HAK_UNLIKELY(--*hak_tls_room_of_view(view) < 0)) {
    free_overflow(p, view, function);
    return;
  }
  free_to_bin(p, bin);
}

HAK_HIT void hak_free(void *p) { free_from(p, "hak_free"); }

_Static_assert(HAK_FREE_SIZED_MIN == HAK_MID_MAX + 1, "what the header says");

HAK_HIT void hak_free_sized(void *p, size_t size) {
  if (size <= HAK_MID_MAX || HAK_UNLIKELY(size > HAK_POOL_MAX) || HAK_UNLIKELY(p == NULL)) {
    free_from(p, "hak_free_sized");
    return;
  }
  hak_count_free(p);
  size_t offset = hak_bin_by_128[(size + 127) >> 7];
  hak_magazine_t HAK_TLS *magazine = hak_tls_magazine(offset);
  uint32_t count = magazine->count;
  if (HAK_UNLIKELY(count == magazine->capacity)) {
    free_to_magazine(p, (unsigned)(offset / HAK_BIN_SCALE) - HAK_SLAB_CLASSES);
    return;
  }
  magazine->slots[count] = (uintptr_t)p;
  magazine->count = count + 1;
}

void hak_free_aligned_sized(void *p, size_t alignment, size_t size) {
  size_t bytes = hak_aligned_is_slab(alignment, size) ? 0 : hak_aligned_class_bytes(alignment, size);
  if (HAK_UNLIKELY(bytes > HAK_MID_MAX) && bytes <= HAK_POOL_MAX) {
    hak_free_sized(p, bytes);
  } else {
    free_from(p, "hak_free_aligned_sized");
  }
}
