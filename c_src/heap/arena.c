/* Blocks of arenas.
 *
 *   hak_arena_malloc_mt      arena_pop: the first area of the class has a free block, or one behind its frontier
 *     hak_arena_slot_mt      the next area <- a new area <- slices; the limit
 *       arena_map            the mmap tier
 *   hak_arena_free_view_mt, hak_arena_free_own_mt
 *     arena_put              a block of a slab's class: to its area's list
 *     arena_put_locked       any block of an area
 *   hak_arena_free_mt        the same, and mappings */
#include "heap/arena.h"

#include <errno.h>

#include "base/atomic.h"
#include "base/check.h"
#include "core/purge.h"
#include "heap/quarantine.h"
#include "heap/relief.h"
#include "heap/theap.h"

/* ---- Account ---- */

/* Whether the limit allows a block of so many bytes instead of one of `credit`. */
HAK_FAST bool arena_fits(const hak_heap_t *heap, size_t bytes, size_t credit) {
  return (int64_t)bytes <= heap->room + (int64_t)credit;
}

HAK_FAST void arena_note_peak(hak_heap_t *heap) {
  if (heap->room < heap->least_room) heap->least_room = heap->room;
}

HAK_SLOW_STATIC uintptr_t arena_refuse(hak_heap_t *heap, size_t size, const char *function) {
  hak_lock(&heap->lock);
  bool alive = heap->alive;
  heap->failed++;
  hak_unlock(&heap->lock);
  if (!alive) hak_fatal(function, HAK_BAD_DESTROYED, heap);
  hak_log(HAK_LOG_OOM, "[HEAP] out of memory: size=%zu, heap=0x%lx", size, (unsigned long)(uintptr_t)heap);
  errno = ENOMEM;
  return 0;
}

/* ---- Allocation ---- */

HAK_SLOW_STATIC _Noreturn void arena_overwritten(hak_heap_t *heap, const hak_block_t *block) {
  hak_unlock(&heap->lock); /* what the program does at its end may want it */
  hak_fatal("hak_heap_malloc", HAK_BAD_OVERWRITTEN, block);
}

/* A slot of the first area of the class; 0 when it can serve no more. The caller has looked at the limit. */
HAK_FAST uintptr_t arena_pop(hak_heap_t *heap, unsigned bin, size_t bytes, size_t credit) {
  hak_area_t *area = heap->area[bin];
  if (HAK_UNLIKELY(area == NULL)) return 0;
  hak_block_t *block = area->free;
  uintptr_t zero = 0;
  if (block != NULL) {
    if (HAK_UNLIKELY(block->key != hak_freed_key(block))) arena_overwritten(heap, block);
    area->free = hak_block_next(block);
  } else {
    uint32_t frontier = area->frontier;
    if (HAK_UNLIKELY(frontier == area->end)) return 0;
    block = (hak_block_t *)(void *)(area->base + frontier);
    zero = frontier >= area->zero_from ? HAK_SLOT_ZERO : 0;
    area->frontier = frontier + (uint32_t)bytes;
  }
  block->key = 0; /* the mark of a free block; in memory that is zero it changes nothing */
  area->used++;
  heap->blocks++;
  heap->room -= (int64_t)(bytes - credit);
  arena_note_peak(heap);
  return (uintptr_t)block | zero;
}

/* A block of the mmap tier; what it will take is accounted for while it is made, so that the limit holds. */
static uintptr_t arena_map(hak_heap_t *heap, size_t size, const hak_arena_request_t *request, hak_relief_t *relief,
                           const char *function) {
  size_t page = hak_os_page_bytes();
  if (size > PTRDIFF_MAX - page) return arena_refuse(heap, size, function);
  size_t bytes = size == 0 ? page : hak_align_up(size, page);
  hak_lock(&heap->lock);
  bool fits = arena_fits(heap, bytes, request->credit);
  if (fits) heap->room -= (int64_t)(bytes - request->credit);
  hak_unlock(&heap->lock);
  if (!fits) return arena_refuse(heap, size, function);
  bool zeroed;
  void *block;
  do {
    block = hak_mmap_alloc_on_mt(&heap->mappings, bytes, request->alignment, &zeroed);
  } while (HAK_UNLIKELY(block == NULL) && hak_relief_mt(relief, size));
  hak_lock(&heap->lock);
  if (block != NULL) {
    heap->blocks++;
    heap->mapped_bytes += (int64_t)bytes;
    arena_note_peak(heap);
  } else {
    heap->room += (int64_t)(bytes - request->credit);
  }
  hak_unlock(&heap->lock);
  if (block == NULL) return arena_refuse(heap, size, function);
  return (uintptr_t)block | (zeroed ? HAK_SLOT_ZERO : 0);
}

__attribute__((noinline)) uintptr_t hak_arena_slot_mt(hak_heap_t *heap, const hak_arena_request_t *request,
                                                      const char *function) {
  hak_relief_t relief = {0};
  if (request->class_bytes > HAK_ACE_MAX) return arena_map(heap, request->size, request, &relief, function);
  unsigned bin = hak_arena_bin_of(request->class_bytes);
  size_t bytes = hak_arena_bin_bytes(bin);
  for (;;) {
    hak_lock(&heap->lock);
    bool fits = arena_fits(heap, bytes, request->credit);
    uintptr_t slot = fits ? arena_pop(heap, bin, bytes, request->credit) : 0;
    if (fits && slot == 0 && hak_area_advance_locked(heap, bin)) slot = arena_pop(heap, bin, bytes, request->credit);
    unsigned slices = hak_area_slices_locked(heap, bin);
    hak_unlock(&heap->lock);
    if (HAK_LIKELY(slot != 0)) return slot;
    if (!fits) return arena_refuse(heap, request->size, function);
    /* Another thread may make one, too, or take all the blocks of this one before we come: then once more. */
    hak_area_t *area = hak_area_make_mt(heap, bin, slices);
    if (area == NULL && hak_relief_mt(&relief, request->size)) continue;
    if (area == NULL) return arena_map(heap, bytes, request, &relief, function);
    hak_lock(&heap->lock);
    hak_area_add_locked(heap, area);
    hak_unlock(&heap->lock);
    if (hak_tls.heap != NULL) hak_theap_tick(hak_tls.heap);
  }
}

/* Out of line, so that a hit keeps no request. */
static __attribute__((noinline)) void *arena_malloc_slow(hak_heap_t *heap, size_t size) {
  const hak_arena_request_t request = {size, size, HAK_GRAIN, 0};
  return (void *)(hak_arena_slot_mt(heap, &request, "hak_heap_malloc") & ~HAK_SLOT_ZERO);
}

void *hak_arena_malloc_mt(hak_heap_t *heap, size_t size) {
  if (HAK_UNLIKELY(size > HAK_ACE_MAX)) return arena_malloc_slow(heap, size);
  unsigned bin = hak_arena_bin_of(size);
  size_t bytes = hak_arena_bin_bytes(bin);
  if (HAK_UNLIKELY(!hak_lock_try(&heap->lock))) return arena_malloc_slow(heap, size);
  uintptr_t slot = HAK_LIKELY(arena_fits(heap, bytes, 0)) ? arena_pop(heap, bin, bytes, 0) : 0;
  hak_unlock(&heap->lock);
  return HAK_LIKELY(slot != 0) ? (void *)(slot & ~HAK_SLOT_ZERO) : arena_malloc_slow(heap, size);
}

/* ---- Release ---- */

/* Where an address is in an area of whose slices one has that view, and whether a block of its class may begin there.
 * */
typedef struct arena_place {
  hak_area_t *area;
  size_t bytes;
  uint32_t offset;
  bool begins;
} arena_place_t;

HAK_FAST arena_place_t arena_place(const void *p, uint64_t view) {
  unsigned class_number = (unsigned)((view & HAK_TAG_CLASS_MASK) / HAK_BIN_SCALE), back = hak_tag_back(view);
  uint32_t in_slice = (uint32_t)((uintptr_t)p & (HAK_SLICE_BYTES - 1));
  arena_place_t place = {.area = &hak_segment_of(p)->cell[hak_slice_of(p) - back].area};
  if ((view & HAK_VIEW_ARENA_SPAN) != 0) {
    const hak_span_class_t *info = &hak_span_classes[class_number];
    place.offset = in_slice | (uint32_t)back << HAK_SLICE_SHIFT;
    place.bytes = info->block_bytes;
    place.begins = hak_span_block_begins(info, place.offset);
  } else {
    const hak_slab_class_t *info = &hak_slab_classes[class_number];
    place.offset = in_slice;
    place.bytes = info->block_bytes;
    place.begins = in_slice * info->magic < HAK_SLAB_MAGIC_END;
  }
  return place;
}

/* What is wrong with an address in an area; NULL when it is a live block. Under the lock. */
HAK_FAST bool arena_is_block(const void *p, const arena_place_t *place) {
  return HAK_LIKELY(place->begins) && HAK_LIKELY(place->offset < place->area->frontier) &&
         HAK_LIKELY(((const hak_block_t *)p)->key != hak_freed_key(p));
}

HAK_SLOW_STATIC const char *arena_explain(const arena_place_t *place) {
  if (place->offset >= place->area->end) return HAK_BAD_FOREIGN;
  if (!place->begins) return HAK_BAD_INTERIOR;
  return HAK_BAD_DOUBLE_FREE; /* its key says so, or it is from before a reset */
}

/* Whether the slice of p still has the view: without a block of its own in it, the program has no say in that. */
HAK_FAST bool arena_view_holds(const void *p, uint64_t view) {
  uint64_t entry = hak_load_relaxed(&hak_tagmap[hak_tagmap_index(p)]);
  return HAK_LIKELY((entry ^ (uintptr_t)p >> HAK_SLICE_SHIFT) == view) ||
         hak_view_of_area(hak_tagmap_get_mt(p)) == view;
}

HAK_SLOW_STATIC _Noreturn void arena_put_failed(hak_heap_t *heap, void *p, uint64_t view, const char *function) {
  arena_place_t place = arena_place(p, view);
  const char *bad = arena_view_holds(p, view) ? arena_explain(&place) : HAK_BAD_DOUBLE_FREE;
  hak_unlock(&heap->lock);
  hak_fatal(function, bad, p);
}

/* The end of arena_push for an area that was full or is empty; jumped to, so that a hit needs no stack frame. */
static __attribute__((noinline)) void arena_turned(hak_heap_t *heap, hak_area_t *area, bool was_full) {
  if (was_full) hak_area_revive_locked(heap, area);
  unsigned given = area->used == 0 && !hak_area_is_kept(area) ? area->slices : 0;
  if (given != 0) hak_area_give_locked(heap, area);
  hak_unlock(&heap->lock);
  if (given != 0) hak_purge_bound_mt(given);
}

/* Puts a block on its area's list, and frees the lock. */
HAK_FAST void arena_push(hak_heap_t *heap, hak_area_t *area, hak_block_t *block, int64_t bytes) {
  bool was_full = hak_area_is_full(area);
  hak_block_link(block, area->free);
  block->key = hak_freed_key(block);
  area->free = block;
  heap->blocks--;
  heap->room += bytes;
  area->used--;
  if (HAK_UNLIKELY(was_full) || HAK_UNLIKELY(area->used == 0 && !hak_area_is_kept(area))) {
    arena_turned(heap, area, was_full);
    return;
  }
  hak_unlock(&heap->lock);
}

/* Gives a block of an area back to it, or ends the process; the lock is held and will be free. */
static __attribute__((noinline)) void arena_put_locked(hak_heap_t *heap, void *p, uint64_t view, size_t credit,
                                                       const char *function) {
  arena_place_t place = arena_place(p, view);
  if (HAK_UNLIKELY(!arena_view_holds(p, view)) || HAK_UNLIKELY(!arena_is_block(p, &place))) {
    arena_put_failed(heap, p, view, function);
  }
  arena_push(heap, place.area, p, (int64_t)(place.bytes - credit));
}

/* The same from the start. */
static __attribute__((noinline)) void arena_put_slow(hak_heap_t *heap, void *p, uint64_t view, const char *function) {
  hak_lock(&heap->lock);
  arena_put_locked(heap, p, view, 0, function);
}

/* The same for the slabs' classes, if all is well. That the slice still has the view does not take a second look here:
 * it has while the program has the block, and an area that was given back has no frontier. */
HAK_FAST void arena_put(hak_heap_t *heap, void *p, uint64_t view, const char *function) {
  if (HAK_UNLIKELY(!hak_lock_try(&heap->lock))) {
    arena_put_slow(heap, p, view, function);
    return;
  }
  const hak_slab_class_t *info = &hak_slab_classes[(view & HAK_TAG_CLASS_MASK) / HAK_BIN_SCALE];
  uint32_t offset = (uint32_t)((uintptr_t)p & (HAK_SLICE_BYTES - 1));
  hak_area_t *area = &hak_cell_of(p)->area;
  if (HAK_UNLIKELY(offset * info->magic >= HAK_SLAB_MAGIC_END) || HAK_UNLIKELY(offset >= area->frontier) ||
      HAK_UNLIKELY(((const hak_block_t *)p)->key == hak_freed_key(p))) {
    arena_put_locked(heap, p, view, 0, function);
    return;
  }
  arena_push(heap, area, p, info->block_bytes);
}

__attribute__((noinline)) void hak_arena_free_view_mt(void *p, uint64_t view, const char *function) {
  hak_heap_t *heap = hak_arena_by_id((uint32_t)((view & HAK_TAG_ARENA_ID) >> HAK_TAG_OWNER_SHIFT));
  if ((view & HAK_VIEW_ARENA_SPAN) != 0) {
    arena_put_slow(heap, p, view, function);
  } else {
    arena_put(heap, p, view, function);
  }
}

static void arena_unmap(hak_heap_t *heap, void *p, size_t credit, const char *function) {
  hak_mmap_list_t *list;
  size_t bytes = hak_mmap_find_mt(p, &list);
  if (bytes != 0 && list != &heap->mappings) hak_fatal(function, HAK_BAD_HEAP, p);
  if (bytes == 0 || !hak_mmap_free_mt(p)) {
    hak_fatal(function, hak_tagmap_get_mt(p) == HAK_TAG_FREED ? HAK_BAD_DOUBLE_FREE : hak_mmap_explain_mt(p), p);
  }
  hak_lock(&heap->lock);
  heap->blocks--;
  heap->room += (int64_t)(bytes - credit);
  heap->mapped_bytes -= (int64_t)bytes;
  hak_unlock(&heap->lock);
}

__attribute__((noinline)) void hak_arena_free_mt(hak_heap_t *heap, void *p, size_t credit, const char *function) {
  hak_tag_t tag = hak_tagmap_get_mt(p);
  if (hak_tag_is_area(tag) && hak_tag_arena_id(tag) == heap->id) {
    hak_lock(&heap->lock);
    arena_put_locked(heap, p, hak_view_of_area(tag), credit, function);
  } else if (hak_tag_is_area(tag) || hak_tag_is_slab(tag) || hak_tag_is_span(tag)) {
    hak_fatal(function, HAK_BAD_HEAP, p);
  } else {
    arena_unmap(heap, p, credit, function);
  }
}

static __attribute__((noinline)) void arena_free_own_slow(hak_heap_t *heap, void *p, uint64_t view) {
  if (p == NULL) return;
  if ((view ^ heap->view) <= (HAK_VIEW_ARENA_SPAN | UINT16_MAX)) {
    arena_put_slow(heap, p, view, "hak_heap_free");
  } else {
    hak_arena_free_mt(heap, p, 0, "hak_heap_free");
  }
}

void hak_arena_free_own_mt(hak_heap_t *heap, void *p) {
  uint64_t view = hak_tagmap_view(p); /* that of NULL is 0 */
  if (HAK_UNLIKELY((view ^ heap->view) > UINT16_MAX)) {
    arena_free_own_slow(heap, p, view);
    return;
  }
  arena_put(heap, p, view, "hak_heap_free");
}

/* ---- Blocks in question ---- */

size_t hak_arena_find_mt(const void *p, hak_tag_t tag, const char **bad) {
  hak_heap_t *heap = hak_arena_by_id(hak_tag_arena_id(tag));
  hak_lock(&heap->lock);
  uint64_t view = hak_view_of_area(tag);
  arena_place_t place = arena_place(p, view);
  if (!arena_view_holds(p, view)) {
    *bad = HAK_BAD_DOUBLE_FREE;
  } else {
    *bad = arena_is_block(p, &place) ? NULL : arena_explain(&place);
  }
  hak_unlock(&heap->lock);
  return *bad == NULL ? place.bytes : 0;
}

void *hak_arena_resize_mt(hak_heap_t *heap, void *p, size_t old_bytes, size_t size) {
  size_t page = hak_os_page_bytes();
  if (size > PTRDIFF_MAX - page) return NULL;
  size_t bytes = hak_align_up(size, page), more = bytes > old_bytes ? bytes - old_bytes : 0;
  hak_lock(&heap->lock);
  bool fits = arena_fits(heap, more, 0);
  if (fits) heap->room -= (int64_t)more;
  hak_unlock(&heap->lock);
  void *resized = fits ? hak_mmap_resize_mt(p, size) : NULL;
  hak_lock(&heap->lock);
  if (resized != NULL) {
    heap->mapped_bytes += (int64_t)(bytes - old_bytes);
    heap->room -= (int64_t)(bytes - old_bytes - more);
    arena_note_peak(heap);
  } else if (fits) {
    heap->room += (int64_t)more;
  }
  hak_unlock(&heap->lock);
  return resized;
}

/* ---- All at once ---- */

/* What this thread freed with a size, against the rules, must not be handed out when it is gone. (Other threads'
 * magazines are theirs.) */
static void arena_forget(const hak_heap_t *heap) {
  hak_theap_t *theap = hak_tls.heap;
  if (theap == NULL) return;
  for (unsigned c = 0; c < HAK_POOL_CLASSES; c++) {
    if (heap->area[HAK_SLAB_CLASSES + c] != NULL) hak_theap_forget_arena(theap, heap->id, c);
  }
}

/* Frees all mappings; in the secure build wipes them first, which goes one by one. */
static void arena_unmap_all(hak_heap_t *heap) {
  if (HAK_SECURE) {
    while (heap->mappings.first != NULL) { /* nobody else changes it meanwhile */
      hak_mmap_list_t *list;
      char *block = heap->mappings.first;
      hak_quarantine_wipe(block, hak_mmap_find_mt(block, &list));
      (void)hak_mmap_free_mt(block);
    }
  }
  hak_mmap_free_list_mt(&heap->mappings);
}

static void arena_empty(hak_heap_t *heap, unsigned kept, bool destroy, const char *function) {
  hak_lock(&heap->lock);
  if (heap->blocks != 0) arena_forget(heap);
  bool alive = heap->alive, has_mappings = heap->mapped_bytes != 0;
  if (HAK_SECURE && alive) hak_area_wipe_locked(heap);
  unsigned given = alive ? hak_area_clear_locked(heap, kept, false) : 0;
  heap->room = destroy ? INT64_MIN : heap->limit;
  heap->blocks = 0;
  heap->mapped_bytes = 0;
  heap->alive = alive && !destroy;
  hak_unlock(&heap->lock);
  if (!alive) hak_fatal(function, HAK_BAD_DESTROYED, heap);
  if (has_mappings) arena_unmap_all(heap);
  if (given != 0) hak_purge_bound_mt(given);
  if (hak_tls.heap != NULL) hak_theap_tick(hak_tls.heap);
}

void hak_arena_reset(hak_heap_t *heap) { arena_empty(heap, HAK_ARENA_KEPT_SLICES, false, "hak_heap_reset"); }

void hak_arena_destroy(hak_heap_t *heap) {
  arena_empty(heap, 0, true, "hak_heap_destroy");
  hak_arena_retire_mt(heap);
}

void hak_arena_stats_mt(hak_heap_t *heap, hak_heap_stats_t *stats) {
  hak_lock(&heap->lock);
  if (heap->alive) {
    *stats = (hak_heap_stats_t){
        .size = sizeof(*stats),
        .live_bytes = (uint64_t)(heap->limit - heap->room),
        .live_blocks = heap->blocks,
        .peak_bytes = (uint64_t)(heap->limit - heap->least_room),
        .footprint_bytes = heap->slices * HAK_SLICE_BYTES + (uint64_t)heap->mapped_bytes,
        .limit_bytes = heap->limit == INT64_MAX ? 0 : (uint64_t)heap->limit,
        .failed = heap->failed,
    };
  }
  bool alive = heap->alive;
  hak_unlock(&heap->lock);
  if (!alive) hak_fatal("hak_heap_stats", HAK_BAD_DESTROYED, heap);
}
