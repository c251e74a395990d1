#include "heap/theap.h"

#include <errno.h>

#include "base/atomic.h"
#include "base/check.h"
#include "core/adapt.h"
#include "core/guard.h"
#include "core/limit.h"
#include "core/magazine.h"
#include "core/options.h"
#include "core/purge.h"
#include "core/registry.h"
#include "core/remote.h"
#include "core/segment.h"
#include "core/slab.h"
#include "core/span.h"
#include "core/stats.h"
#include "heap/arena.h"
#include "heap/background.h"
#include "heap/fork.h"
#include "heap/idle.h"
#include "heap/quarantine.h"
#include "os/os.h"
#include "os/valgrind.h"
#include "tier/mmap.h"

#define HEAP_TICK_CALLS 64u
#define HEAP_LOOK_CALLS 16u /* divides it */

/* Used: by assembler code, of which link-time optimisation does not know. */
__attribute__((used)) _Thread_local hak_tls_t hak_tls HAK_TLS_MODEL_HERE;

static _Atomic bool heap_xprocess_started;

/* Where huge pages are always on, one entry would make 2 MiB of a table resident. The tables lie side by side in our own zero
 * data, so one call does for all, and for what little is between them. */
static void heap_no_huge_tables(void) {
  size_t bytes;
  uintptr_t low = hak_segment_table(&bytes), high = low + bytes;
  const uintptr_t maps[] = {(uintptr_t)hak_tagmap, (uintptr_t)hak_tagmap_owners};
  const size_t sizes[] = {sizeof(hak_tagmap), sizeof(hak_tagmap_owners)};
  for (unsigned i = 0; i < 2; i++) {
    if (maps[i] < low) low = maps[i];
    if (maps[i] + sizes[i] > high) high = maps[i] + sizes[i];
  }
  hak_os_no_huge_pages((void *)low, high - low);
}

/* What is done once a process, before its first heap. Not a constructor: allocation may begin before those. */
HAK_SLOW_STATIC void heap_start_process(void) {
  hak_lock(&hak_registry_lock);
  bool first = !hak_load_relaxed(&heap_xprocess_started);
  if (first) {
    hak_options_init();
    if (HAK_SECURE) hak_secret_init();
    hak_adapt_init();
    if (hak_options.limit_kib != 0) hak_limit_start(hak_options.limit_kib * (int64_t)HAK_KIB);
    hak_background_init();
    heap_no_huge_tables();
    hak_os_barrier_prepare();
    hak_store_release(&heap_xprocess_started, true); /* pairs with the acquire in hak_theap_start */
  }
  hak_unlock(&hak_registry_lock);
}

/* Connects a heap and the calling thread. Magazines and bins are empty on both sides. */
static void heap_attach(hak_theap_t *heap) {
  hak_tls_t *tls = &hak_tls;
  heap->tls = tls;
  for (unsigned c = 1; c < HAK_SLAB_CLASSES; c++) {
    const hak_slab_class_t *info = &hak_slab_classes[c];
    tls->bin[c] = (hak_bin_t){.magic = info->magic}; /* without room until it is first filled */
  }
  for (unsigned c = 0; c < HAK_POOL_CLASSES; c++) {
    tls->pool[c].slots = heap->pool_slots[c];
  }
  for (unsigned c = 0; c < HAK_ACE_CLASSES; c++) heap->ace[c].slots = heap->ace_slots[c];
  for (unsigned c = 0; c < HAK_SPAN_CLASSES; c++) { /* as a fork left them, between the steps of a change perhaps */
    if ((heap->open >> c & 1) != 0 || hak_load_relaxed(&heap->adapt[c].xcapacity) != 0) {
      hak_adapt_close(heap, c, hak_magazine_of(heap, c));
    }
  }
  for (unsigned t = 0; t < HAK_TIERS; t++) {
    heap->allocated_before[t] = hak_load_relaxed(&heap->tier[t].allocated);
    heap->freed_before[t] = hak_load_relaxed(&heap->tier[t].freed);
  }
  tls->self = hak_tag_code(heap->id);
  tls->heap = heap;
}

/* Fills the pool magazines of a thread that begins, for programs that would rather wait now. Consecutive blocks of a
 * span become resident together. */
HAK_SLOW_STATIC void heap_prewarm(hak_theap_t *heap) {
  if (!hak_options.pool) return;
  for (unsigned c = 0; c < HAK_POOL_CLASSES; c++) {
    hak_magazine_t *magazine = &heap->tls->pool[c];
    uint32_t bytes = hak_span_classes[c].block_bytes;
    uint32_t wanted = (uint32_t)(hak_options.prewarm_kib * (int64_t)HAK_KIB / bytes);
    if (wanted == 0) continue;
    wanted = hak_adapt_prewarm(heap, c, magazine, wanted);
    uint32_t got = hak_span_refill(heap, c, magazine, wanted);
    hak_stats_refilled(heap, HAK_AT_POOL);
    hak_stats_served(heap, HAK_AT_POOL, got);
    uint32_t first = 0; /* the highest address of a run of neighbours: slots are in falling order of address */
    for (uint32_t i = 1; i <= got; i++) {
      uintptr_t low = magazine->slots[i - 1] & ~HAK_SLOT_ZERO;
      if (i < got && (magazine->slots[i] & ~HAK_SLOT_ZERO) + bytes == low) continue;
      hak_os_populate((void *)low, (size_t)(i - first) * bytes);
      first = i;
    }
  }
}

/* Disconnects the calling thread from its heap, which is then anybody's. */
static void heap_detach(hak_theap_t *heap) {
  hak_theap_flush(heap);
  hak_tls = (hak_tls_t){.exited = true};
  heap->tls = NULL;
  hak_registry_park_mt(heap);
  hak_remote_help_parked_mt(heap); /* what was posted after the flush and before it was seen to be parked */
}

static void heap_on_thread_exit(void *argument) {
  hak_memcheck_pause();
  if (argument != NULL && hak_tls.heap == argument) heap_detach(argument);
  hak_memcheck_resume();
}

static hak_theap_t *heap_adopt_or_create(void) {
  /* acquire pairs with the release in heap_start_process: the options are complete */
  if (!hak_load_acquire(&heap_xprocess_started)) heap_start_process();
  hak_theap_t *heap = hak_registry_adopt_mt();
  if (heap == NULL) heap = hak_registry_create_mt();
  if (heap != NULL) heap_attach(heap);
  return heap;
}

hak_theap_t *hak_theap_start(void) {
  if (hak_tls.exited) return NULL; /* there is no second call at the thread's end: see hak_theap_borrow */
  int saved = errno;               /* a free may be what starts the heap */
  hak_theap_t *heap = heap_adopt_or_create();
  if (heap == NULL) {
    errno = saved;
    return NULL;
  }
  if (HAK_UNLIKELY(hak_options.prewarm_kib != 0)) heap_prewarm(heap);
  /* From here on allocation works; what follows may allocate. */
  static _Atomic bool xfork_hooked;
  if (!atomic_exchange_explicit(&xfork_hooked, true, memory_order_relaxed)) hak_fork_hook();
  (void)hak_os_at_thread_exit(heap_on_thread_exit, heap); /* without room for it the heap is lost with the thread */
  errno = saved;
  return heap;
}

hak_theap_t *hak_theap_borrow(void) { return hak_tls.exited ? heap_adopt_or_create() : NULL; }

void hak_theap_return(hak_theap_t *heap) { heap_detach(heap); }

void hak_theap_tick_now(hak_theap_t *heap) {
  hak_idle_flush(heap);
  hak_remote_post_all(heap);
  hak_purge_old_mt();
  hak_mmap_old_mt();
}

void hak_theap_tick(hak_theap_t *heap) {
  if (HAK_UNLIKELY(++heap->slow_calls % HEAP_TICK_CALLS == 0)) hak_theap_tick_now(heap);
}

/* What segments took of the system is paid with what is free in them, or else in the mmap tier. */
static void heap_trade(void) {
  size_t fresh = hak_purge_fresh_mt();
  if (HAK_LIKELY(fresh == 0)) return;
  size_t back = hak_purge_trade_mt(fresh);
  if (back < fresh) hak_mmap_trade_mt(fresh - back);
}

void hak_theap_tick_alloc(hak_theap_t *heap) {
  if (HAK_LIKELY(++heap->slow_calls % HEAP_LOOK_CALLS != 0)) return;
  heap_trade();
  if (heap->slow_calls % HEAP_TICK_CALLS == 0) {
    hak_theap_tick_now(heap);
  } else if (hak_purge_waits_mt() || hak_mmap_waits_mt()) {
    hak_idle_flush(heap); /* so that who comes by seldom comes by more often */
  }
}

void hak_theap_free_strays(void **strays, uint32_t count) {
  while (count-- != 0) {
    void *stray = strays[count];
    hak_tag_t tag = hak_tagmap_get_mt(stray);
    hak_mmap_list_t *list;
    hak_heap_t *arena = NULL;
    if (hak_tag_is_area(tag)) {
      arena = hak_arena_by_id(hak_tag_arena_id(tag));
    } else if (hak_mmap_find_mt(stray, &list) != 0) {
      arena = hak_arena_of_list(list);
    }
    if (arena != NULL) {
      hak_arena_free_mt(arena, stray, 0, "hak_free_sized");
    } else if (!hak_mmap_free_mt(stray)) {
      hak_fatal("hak_free_sized", hak_mmap_explain_mt(stray), stray);
    }
  }
}

void hak_theap_forget_arena(hak_theap_t *heap, uint32_t arena_id, unsigned class_number) {
  hak_magazine_t *magazine = hak_magazine_of(heap, class_number);
  uint32_t kept = 0;
  for (uint32_t i = 0; i < magazine->count; i++) {
    hak_tag_t tag = hak_tagmap_get_mt((void *)(magazine->slots[i] & ~HAK_SLOT_ZERO));
    if (!hak_tag_is_area(tag) || hak_tag_arena_id(tag) != arena_id) magazine->slots[kept++] = magazine->slots[i];
  }
  magazine->count = kept;
  hak_adapt_sample(heap, class_number, magazine);
}

void hak_theap_spill(hak_theap_t *heap, unsigned class_number, uint32_t blocks) {
  void *strays[HAK_POOL_MAGAZINE_BLOCKS_MAX];
  hak_magazine_t *magazine = hak_magazine_of(heap, class_number);
  if (blocks == 0) return;
  hak_theap_free_strays(strays, hak_magazine_spill(heap, hak_span_class_tier(class_number), magazine, blocks, strays));
}

void hak_theap_flush_magazine(hak_theap_t *heap, unsigned class_number) {
  hak_magazine_t *magazine = hak_magazine_of(heap, class_number);
  hak_theap_spill(heap, class_number, magazine->count);
  hak_adapt_close(heap, class_number, magazine);
}

void hak_theap_flush(hak_theap_t *heap) {
  hak_block_t *others = NULL;
  if (HAK_SECURE) (void)hak_quarantine_drain(heap, "hak_free");
  hak_guard_enter(heap);
  hak_remote_drain(heap, NULL, UINT32_MAX);
  for (unsigned c = 1; c < HAK_SLAB_CLASSES; c++) others = hak_slab_flush_bin(heap, c, others);
  hak_slab_release_spare(heap);
  hak_slab_leave(heap);
  hak_remote_free_chain(heap, others);
  hak_remote_post_all(heap);
  for (uint64_t open = heap->open; open != 0; open &= open - 1) hak_theap_flush_magazine(heap, hak_lowest_bit(open));
}

/* What is still in use of a heap whose guard the caller has does not need all of its pages. */
static void heap_purge_uncarved(hak_theap_t *heap) {
  (void)hak_add_relaxed(hak_purge_bytes(), (uint64_t)hak_slab_purge_uncarved(heap));
}

void hak_theap_purge(hak_theap_t *heap) {
  hak_guard_enter(heap);
  heap_purge_uncarved(heap);
  hak_slab_leave(heap);
}

void hak_theap_collect_others_mt(bool force) {
  uint32_t count = hak_registry_count_mt();
  for (uint32_t id = 1; id <= count; id++) {
    hak_theap_t *heap = hak_registry_heap(id);
    if (heap == hak_tls.heap || !hak_guard_claim_mt(heap)) continue;
    hak_remote_drain(heap, NULL, UINT32_MAX);
    hak_slab_release_spare(heap);
    if (force) heap_purge_uncarved(heap);
    hak_slab_unclaim_mt(heap);
  }
}
