/* Arenas: what the core calls heaps of a program's own (hak_heap_t of hakmem.h).
 *
 *   hak_heap_t   lock, account, and for each class (bin) a ring of areas:  area <-> area <-> ... <-> area
 *                                                                          can serve ...     ... full ones
 *   area         a run of slices cut into blocks of one class; its state is in its first slice's cell (core/types.h)
 *   mappings     blocks above 2 MiB, or for which no slices were to be had: of the mmap tier, on a list of the arena
 *
 * Slabs and spans of threads' heaps are made for threads that do not wait for each other: bins, rings, magazines,
 * bitmaps. Here one lock covers everything, so an area is simpler than both: a list of free blocks linked through
 * themselves, each with its key, and a frontier behind which no block was handed out. No block of an arena is ever in a
 * bin, a ring or a magazine: those outlive the arena.
 *
 * Slices come from the segments and go back there, like everybody's, so a new arena finds what the last one left. Areas
 * begin small, with the fewest slices that hold a block, and each is twice as large as the one before, up to what a
 * span of the class has.
 *
 * Every function is _mt but for hak_arena_reset and hak_arena_destroy, during which nobody else may be in a call with
 * this arena or a block of it; hak_collect, hak_stats_get and fork may, and take the lock. With it no other lock
 * is taken. Slices and mappings are had before and mappings released after; slices are given back under it, for their tags
 * must change while nobody uses them, and that may wake the background thread: the one system call. (In the secure build a
 * reset wipes under it, too, which purges what is large.) */
#ifndef HAK_HEAP_ARENA_H
#define HAK_HEAP_ARENA_H

#include "core/segment.h"
#include "core/tagmap.h"
#include "core/types.h"
#include "hakmem.h"
#include "os/os.h"
#include "tier/mmap.h"

/* A bin of an arena: the slab classes by number, and behind them the span classes. */
#define HAK_ARENA_BINS (HAK_SLAB_CLASSES + HAK_SPAN_CLASSES)

/* Owner: whoever has the lock. Never unmapped: a destroyed one is kept for the next. */
struct hak_heap {
  HAK_LINE_ALIGNED hak_lock_t lock;
  uint32_t id;        /* constant; from 1 */
  uint64_t view;      /* constant: of its areas, without class and slices back */
  int64_t room;       /* limit - usable bytes of its live blocks; when destroyed INT64_MIN, which fits nothing */
  int64_t least_room; /* that it ever had: the peak */
  uint64_t blocks;    /* live ones */
  hak_area_t *area[HAK_ARENA_BINS]; /* the ring of each class, or NULL; behind the first the areas that can serve come
                                       before the full ones */
  uint64_t bins[2];                 /* the classes that have a ring, a bit for each */
  int64_t limit;                    /* INT64_MAX: none */
  uint64_t failed;                  /* requests */
  uint64_t slices;                  /* of all areas */
  int64_t mapped_bytes;             /* of blocks of the mmap tier */
  hak_mmap_list_t mappings;         /* under the lock of that tier */
  bool alive;
  hak_heap_t *next_dead; /* of those that wait for the next hak_arena_new_mt; under the table's lock */
};

/* ---- arena_table.c: which arenas there are ---- */

/* A new arena, or NULL without memory. `limit` is INT64_MAX for none. */
HAK_HIDDEN hak_heap_t *hak_arena_new_mt(int64_t limit);

/* Puts away one that hak_arena_destroy has emptied. */
HAK_HIDDEN void hak_arena_retire_mt(hak_heap_t *heap);

/* The arena with an id that a tag or a view holds. */
HAK_HIDDEN hak_heap_t *hak_arena_by_id(uint32_t id);

/* The arena that has the list. */
HAK_FAST hak_heap_t *hak_arena_of_list(hak_mmap_list_t *list) {
  return list == NULL ? NULL : (hak_heap_t *)(void *)((char *)list - offsetof(hak_heap_t, mappings));
}

/* Live arenas, and the usable bytes of their live blocks. */
HAK_HIDDEN void hak_arena_sum_mt(uint64_t *count, uint64_t *bytes);

/* Gives the empty areas of all arenas back. */
HAK_HIDDEN void hak_arena_collect_all_mt(void);

/* For fork: takes all locks of arenas; gives them back, or frees them in the child. */
HAK_HIDDEN void hak_arena_lock_all_mt(void);
HAK_HIDDEN void hak_arena_unlock_all_mt(void);
HAK_HIDDEN void hak_arena_reset_locks(void);

/* ---- arena_area.c: areas; `_locked` wants the arena's lock ---- */

/* A new area of the class for an arena, its tags set, in no ring yet; `slices` long, or as few as will do when those
 * are not to be had. NULL without memory. Call it without the lock. */
HAK_HIDDEN hak_area_t *hak_area_make_mt(const hak_heap_t *heap, unsigned bin, unsigned slices);

/* How many slices the next area of the class should have. */
HAK_HIDDEN unsigned hak_area_slices_locked(const hak_heap_t *heap, unsigned bin);

/* Puts a new area into its ring, in front. */
HAK_HIDDEN void hak_area_add_locked(hak_heap_t *heap, hak_area_t *area);

/* The first area of the class cannot serve: makes the next the first, if it can. */
HAK_HIDDEN bool hak_area_advance_locked(hak_heap_t *heap, unsigned bin);

/* A full area has a free block again: goes to the front. */
HAK_HIDDEN void hak_area_revive_locked(hak_heap_t *heap, hak_area_t *area);

/* Whether an area is to stay when no block of it is used: a small one that is the last of its class. */
HAK_FAST bool hak_area_is_kept(const hak_area_t *area) {
  return area->next == area && area->slices <= HAK_ARENA_IDLE_SLICES;
}

/* Gives an area back; hak_purge_bound_mt wants to be called after the lock is free. */
HAK_HIDDEN void hak_area_give_locked(hak_heap_t *heap, hak_area_t *area);

/* Frees the blocks of all areas and gives back those that are more than `kept` slices, or (`only_empty`) touches none
 * with used blocks. Returns how many slices it gave back, for which hak_purge_bound_mt wants to be called. */
HAK_HIDDEN unsigned hak_area_clear_locked(hak_heap_t *heap, unsigned kept, bool only_empty);

/* In the secure build: clears what the blocks of all areas have or had. */
HAK_HIDDEN void hak_area_wipe_locked(hak_heap_t *heap);

/* Whether every invariant of the arena's areas and its account holds. Tests. */
HAK_HIDDEN bool hak_arena_is_valid_locked(const hak_heap_t *heap);

HAK_FAST size_t hak_arena_bin_bytes(unsigned bin) {
  return bin < HAK_SLAB_CLASSES ? hak_slab_classes[bin].block_bytes
                                : hak_span_classes[bin - HAK_SLAB_CLASSES].block_bytes;
}

/* The bin of a size to HAK_ACE_MAX. */
HAK_FAST unsigned hak_arena_bin_of(size_t size) {
  return size <= HAK_MID_MAX ? hak_slab_class_of(size) : HAK_SLAB_CLASSES + hak_span_class_of(size);
}

HAK_FAST bool hak_area_is_full(const hak_area_t *area) { return area->free == NULL && area->frontier == area->end; }

/* ---- arena.c: blocks ---- */

/* What a request wants. `class_bytes`: the size whose class serves it, above HAK_ACE_MAX for a mapping of `size` bytes;
 * `credit`: usable bytes of the block that it replaces, which the limit does not count. */
typedef struct hak_arena_request {
  size_t class_bytes, size, alignment, credit;
} hak_arena_request_t;

/* A slot (api/alloc.h) from the arena; 0 with errno = ENOMEM. `function` is what the program called. */
HAK_HIDDEN uintptr_t hak_arena_slot_mt(hak_heap_t *heap, const hak_arena_request_t *request, const char *function);

/* The hits of the sizes to HAK_MID_MAX, and else hak_arena_slot_mt. */
HAK_HIDDEN void *hak_arena_malloc_mt(hak_heap_t *heap, size_t size);

/* Frees a block of the arena of any kind for hak_heap_free; NULL is none. */
HAK_HIDDEN void hak_arena_free_own_mt(hak_heap_t *heap, void *p);

/* Frees the block of an arena's area; `view` is that of its slice. Ends the process if none begins there. */
HAK_HIDDEN void hak_arena_free_view_mt(void *p, uint64_t view, const char *function);

/* Frees a block of the arena of any kind, of which `credit` bytes were given back before. */
HAK_HIDDEN void hak_arena_free_mt(hak_heap_t *heap, void *p, size_t credit, const char *function);

/* As hak_mmap_resize_mt, for a mapping of the arena that has old_bytes usable bytes. */
HAK_HIDDEN void *hak_arena_resize_mt(hak_heap_t *heap, void *p, size_t old_bytes, size_t size);

/* The block that begins at an address in an area: its usable bytes, or 0 and one of HAK_BAD_*. */
HAK_HIDDEN size_t hak_arena_find_mt(const void *p, hak_tag_t tag, const char **bad);

HAK_HIDDEN void hak_arena_reset(hak_heap_t *heap);
HAK_HIDDEN void hak_arena_destroy(hak_heap_t *heap);
HAK_HIDDEN void hak_arena_stats_mt(hak_heap_t *heap, hak_heap_stats_t *stats);

#endif
