#include "base/atomic.h"
#include "base/check.h"
#include "core/purge.h"
#include "heap/arena.h"

#define ARENA_CHUNKS ((HAK_ARENA_ID_MAX + 1) / HAK_ARENAS_PER_CHUNK)

/* Id i is arena i % 64 of chunk i / 64; a chunk is mapped when its first id is given out (id 0 is not used). */
static _Atomic(hak_heap_t *) arena_xchunks[ARENA_CHUNKS];
static _Atomic uint32_t arena_xcount; /* ids given out */

static hak_lock_t arena_table_lock;
static hak_heap_t *arena_dead; /* under the lock: the last one destroyed first, for its memory is warm */

/* acquire pairs with the release in create: an id travels through tags, which are relaxed */
hak_heap_t *hak_arena_by_id(uint32_t id) {
  return &hak_load_acquire(&arena_xchunks[id / HAK_ARENAS_PER_CHUNK])[id % HAK_ARENAS_PER_CHUNK];
}

static hak_heap_t *arena_create_locked(void) {
  uint32_t id = hak_load_relaxed(&arena_xcount) + 1;
  if (id > HAK_ARENA_ID_MAX) return NULL;
  _Atomic(hak_heap_t *) *place = &arena_xchunks[id / HAK_ARENAS_PER_CHUNK];
  hak_heap_t *chunk = hak_load_relaxed(place);
  if (chunk == NULL) {
    chunk = hak_os_map(hak_align_up(sizeof(hak_heap_t) * HAK_ARENAS_PER_CHUNK, hak_os_page_bytes()));
    if (chunk == NULL) return NULL;
    hak_store_release(place, chunk); /* pairs with hak_arena_by_id */
  }
  hak_heap_t *heap = &chunk[id % HAK_ARENAS_PER_CHUNK];
  heap->id = id;
  heap->view = HAK_VIEW_ARENA | (uint64_t)id << HAK_TAG_OWNER_SHIFT;
  hak_store_release(&arena_xcount, id); /* pairs with the acquire in arena_next */
  return heap;
}

hak_heap_t *hak_arena_new_mt(int64_t limit) {
  hak_lock(&arena_table_lock);
  hak_heap_t *heap = arena_dead;
  if (heap != NULL) {
    arena_dead = heap->next_dead;
  } else {
    heap = arena_create_locked();
  }
  hak_unlock(&arena_table_lock);
  if (heap == NULL) return NULL;
  hak_lock(&heap->lock); /* hak_collect, statistics or a fork may look at it */
  heap->room = heap->least_room = heap->limit = limit;
  heap->failed = 0;
  heap->alive = true;
  hak_unlock(&heap->lock);
  return heap;
}

void hak_arena_retire_mt(hak_heap_t *heap) {
  hak_lock(&arena_table_lock);
  heap->next_dead = arena_dead;
  arena_dead = heap;
  hak_unlock(&arena_table_lock);
}

/* The arena after `heap` by id, the first one after NULL; NULL behind the last. */
static hak_heap_t *arena_next(const hak_heap_t *heap) {
  uint32_t id = heap == NULL ? 1 : heap->id + 1;
  return id <= hak_load_acquire(&arena_xcount) ? hak_arena_by_id(id) : NULL;
}

void hak_arena_sum_mt(uint64_t *count, uint64_t *bytes) {
  *count = *bytes = 0;
  for (hak_heap_t *heap = NULL; (heap = arena_next(heap)) != NULL;) {
    hak_lock(&heap->lock);
    if (heap->alive) {
      ++*count;
      *bytes += (uint64_t)(heap->limit - heap->room);
    }
    hak_unlock(&heap->lock);
  }
}

void hak_arena_collect_all_mt(void) {
  for (hak_heap_t *heap = NULL; (heap = arena_next(heap)) != NULL;) {
    hak_lock(&heap->lock);
    (void)hak_area_clear_locked(heap, 0, true);
    hak_unlock(&heap->lock);
  }
}

void hak_arena_lock_all_mt(void) {
  hak_lock(&arena_table_lock); /* no arena is made from here on */
  for (hak_heap_t *heap = NULL; (heap = arena_next(heap)) != NULL;) hak_lock(&heap->lock);
}

void hak_arena_unlock_all_mt(void) {
  for (hak_heap_t *heap = NULL; (heap = arena_next(heap)) != NULL;) hak_unlock(&heap->lock);
  hak_unlock(&arena_table_lock);
}

void hak_arena_reset_locks(void) {
  for (hak_heap_t *heap = NULL; (heap = arena_next(heap)) != NULL;) hak_lock_reset(&heap->lock);
  hak_lock_reset(&arena_table_lock);
}
