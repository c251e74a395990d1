#include "core/registry.h"

#include "base/atomic.h"
#include "base/check.h"

#define REGISTRY_CHUNKS ((HAK_THEAP_ID_MAX + 1) / HAK_THEAPS_PER_CHUNK)

hak_lock_t hak_registry_lock;

/* Id i is heap i % 16 of chunk i / 16 (id 0 is not used). The first chunk is zero data, so that a process starts with a system
 * call less, and is entered like the others: with an initial value the table would be 64 KiB of the library's file. Another is
 * mapped when its first id is given out. */
static hak_theap_t registry_first_chunk[HAK_THEAPS_PER_CHUNK];
static _Atomic(hak_theap_t *) registry_xchunks[REGISTRY_CHUNKS];
static _Atomic uint32_t registry_xcount;

/* Treiber's stack ("Coping with Parallelism", 1986) of ids with a generation beside the top id: every push and pop
 * counts it up, so a top that came back is not mistaken for one that never left. generation << 32 | id. */
static _Atomic uint64_t registry_xparked;

uint32_t hak_registry_count_mt(void) { return hak_load_acquire(&registry_xcount); }

hak_theap_t *hak_registry_heap(uint32_t id) {
  /* acquire pairs with the release in create; an id travels through tags, which are relaxed */
  return &hak_load_acquire(&registry_xchunks[id / HAK_THEAPS_PER_CHUNK])[id % HAK_THEAPS_PER_CHUNK];
}

static hak_theap_t *registry_create_locked(void) {
  uint32_t id = hak_load_relaxed(&registry_xcount) + 1;
  if (id > HAK_THEAP_ID_MAX) return NULL;
  _Atomic(hak_theap_t *) *place = &registry_xchunks[id / HAK_THEAPS_PER_CHUNK];
  hak_theap_t *chunk = hak_load_relaxed(place);
  if (chunk == NULL) {
    size_t bytes = hak_align_up(sizeof(hak_theap_t) * HAK_THEAPS_PER_CHUNK, hak_os_page_bytes());
    chunk = id < HAK_THEAPS_PER_CHUNK ? registry_first_chunk : hak_os_map(bytes);
    if (chunk == NULL) return NULL;
    hak_store_release(place, chunk); /* pairs with hak_registry_heap */
  }
  hak_theap_t *heap = &chunk[id % HAK_THEAPS_PER_CHUNK];
  heap->id = id;
  hak_store_release(&registry_xcount, id); /* pairs with hak_registry_count_mt */
  return heap;
}

hak_theap_t *hak_registry_create_mt(void) {
  hak_lock(&hak_registry_lock);
  hak_theap_t *heap = registry_create_locked();
  hak_unlock(&hak_registry_lock);
  return heap;
}

static void registry_push(hak_theap_t *heap) {
  uint64_t top = hak_load_relaxed(&registry_xparked);
  uint64_t mine;
  do {
    hak_store_relaxed(&heap->xnext_parked, (uint32_t)top);
    mine = ((top >> 32) + 1) << 32 | heap->id;
  } while (!hak_cas_weak_release(&registry_xparked, &top, mine)); /* pairs with the acquire in pop */
}

static hak_theap_t *registry_pop(void) {
  uint64_t top = hak_load_acquire(&registry_xparked);
  for (;;) {
    uint32_t id = (uint32_t)top;
    if (id == 0) return NULL;
    hak_theap_t *heap = hak_registry_heap(id);
    uint64_t below = ((top >> 32) + 1) << 32 | hak_load_relaxed(&heap->xnext_parked);
    if (hak_cas_weak_acquire(&registry_xparked, &top, below)) return heap;
  }
}

void hak_registry_park_mt(hak_theap_t *heap) {
  /* release half: a claimer that sees the heap parked (acquire half of its load) sees all that its thread did with it */
  atomic_store_explicit(&heap->xstate, HAK_THEAP_PARKED, memory_order_seq_cst);
  registry_push(heap);
}

hak_theap_t *hak_registry_adopt_mt(void) {
  hak_theap_t *heap = registry_pop();
  if (heap == NULL) return NULL;
  /* Before the first look at xclaim: see guard_is_idle. The fence is for that look, which is not seq_cst. */
  atomic_store_explicit(&heap->xstate, HAK_THEAP_ACTIVE, memory_order_seq_cst);
  atomic_thread_fence(memory_order_seq_cst);
  return heap;
}
