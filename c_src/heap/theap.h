/* The thread's heap: from the first allocation of a thread to its end, and from hand to hand. */
#ifndef HAK_HEAP_THEAP_H
#define HAK_HEAP_THEAP_H

#include "core/tagmap.h"
#include "core/types.h"

HAK_HIDDEN extern _Thread_local hak_tls_t hak_tls HAK_TLS_MODEL;

/* Where the hits find the thread's part: HAK_TLS is an address space of its own on x86-64, the segment that fs points to,
 * so that a bin is reached in one addressing mode: its offset, and that of hak_tls in the segment. The compiler cannot
 * know that hak_tls is there too, so a function that uses the one does not use the other. */
#if defined(__x86_64__) && defined(__SEG_FS) && !defined(__STRICT_ANSI__) && !HAK_SANITIZED && \
    !defined(HAK_LOCAL_DYNAMIC_TLS)
#define HAK_TLS __seg_fs
#define HAK_TLS_IN_SEGMENT
HAK_FAST uintptr_t hak_tls_place(void) {
  uintptr_t place;
  __asm__("movq hak_tls@gottpoff(%%rip), %0" : "=r"(place)); /* a constant in an executable: the linker sees to it */
  return place;
}
#else
#define HAK_TLS
HAK_FAST uintptr_t hak_tls_place(void) { return (uintptr_t)&hak_tls; }
#endif

HAK_FAST hak_tls_t HAK_TLS *hak_tls_mine(void) { return (hak_tls_t HAK_TLS *)hak_tls_place(); }

/* HAK_TLS_AT: a place in hak_tls by its offset. Code that can only ever be in an executable has the offset of hak_tls in
 * the segment as a constant, which is part of an address then. */
#if defined(HAK_TLS_IN_SEGMENT) && !defined(__PIC__) && !defined(__clang__)
extern char __seg_fs hak_tls_in_segment[] __asm__("hak_tls@tpoff");
/* Else gcc has one more address in a register. */
extern char __seg_fs hak_tls_views[] __asm__("hak_tls@tpoff+1024");
extern char __seg_fs hak_tls_view_rooms[] __asm__("hak_tls@tpoff+1024+12");
_Static_assert(0 - HAK_VIEW_SLAB == 1024 && offsetof(hak_bin_t, room) == 12, "see the lines above");
#define HAK_TLS_AT_VIEW(view) ((void HAK_TLS *)((uintptr_t)hak_tls_views + (view)))
#define HAK_TLS_ROOM_AT_VIEW(view) ((void HAK_TLS *)((uintptr_t)hak_tls_view_rooms + (view)))
#define HAK_TLS_AT(offset) ((void HAK_TLS *)(hak_tls_in_segment + (offset)))
HAK_FAST uint64_t hak_tls_or_self(uint64_t x) {
  __asm__("orq %%fs:hak_tls@tpoff+%c1, %0" : "+r"(x) : "i"(offsetof(hak_tls_t, self)));
  return x;
}
#define HAK_TLS_LOAD(type, field)                                                             \
  type field;                                                                                 \
  __asm__("movq %%fs:hak_tls@tpoff+%c1, %0" : "=r"(field) : "i"(offsetof(hak_tls_t, field))); \
  return field
HAK_FAST uint64_t hak_tls_foreign(void) { HAK_TLS_LOAD(uint64_t, foreign); }
HAK_FAST uint64_t hak_tls_foreign_tag(void) { HAK_TLS_LOAD(uint64_t, foreign_tag); }
HAK_FAST hak_ring_t *hak_tls_foreign_ring(void) { HAK_TLS_LOAD(hak_ring_t *, foreign_ring); }
#else
#define HAK_TLS_AT(offset) ((void HAK_TLS *)(hak_tls_place() + (offset)))
#define HAK_TLS_AT_VIEW(view) HAK_TLS_AT((view)-HAK_VIEW_SLAB)
#define HAK_TLS_ROOM_AT_VIEW(view) HAK_TLS_AT((view)-HAK_VIEW_SLAB + offsetof(hak_bin_t, room))
HAK_FAST uint64_t hak_tls_or_self(uint64_t x) { return x | hak_tls_mine()->self; }
HAK_FAST uint64_t hak_tls_foreign(void) { return hak_tls_mine()->foreign; }
HAK_FAST uint64_t hak_tls_foreign_tag(void) { return hak_tls_mine()->foreign_tag; }
HAK_FAST hak_ring_t *hak_tls_foreign_ring(void) { return hak_tls_mine()->foreign_ring; }
#endif

/* The bin and the magazine at an offset in hak_tls. */
HAK_FAST hak_bin_t HAK_TLS *hak_tls_bin(size_t offset) { return HAK_TLS_AT(offset); }
HAK_FAST hak_magazine_t HAK_TLS *hak_tls_magazine(size_t offset) { return HAK_TLS_AT(offset); }

/* The bin of a slab's view (core/tagmap.h), and its room. */
HAK_FAST hak_bin_t HAK_TLS *hak_tls_bin_of_view(uint64_t view) { return HAK_TLS_AT_VIEW(view); }
HAK_FAST int32_t HAK_TLS *hak_tls_room_of_view(uint64_t view) { return HAK_TLS_ROOM_AT_VIEW(view); }

/* The calling thread's heap, adopted or made when it has none; NULL without memory, and in a thread whose heap was
 * parked because it ends: destructors of other libraries may still allocate and free there. */
HAK_SLOW hak_theap_t *hak_theap_start(void);

/* A heap for one allocation in such a thread, to be returned right after; NULL in others and without memory. */
HAK_SLOW hak_theap_t *hak_theap_borrow(void);
HAK_SLOW void hak_theap_return(hak_theap_t *heap);

HAK_FAST hak_theap_t *hak_theap_get(void) {
  hak_theap_t *heap = hak_tls.heap;
  return HAK_LIKELY(heap != NULL) ? heap : hak_theap_start();
}

/* What happens now and then in slow paths: idle bins are given back, rings are posted, old memory is purged. Outside of the
 * guard. `tick` in every 64th of its calls, `tick_now` in each; `tick_alloc`, for allocations, looks more often whether
 * memory waits to go back. */
HAK_HIDDEN void hak_theap_tick(hak_theap_t *heap);
HAK_SLOW void hak_theap_tick_now(hak_theap_t *heap);
HAK_HIDDEN void hak_theap_tick_alloc(hak_theap_t *heap);

/* Gives everything the calling thread caches back to slabs and spans, and takes in what others freed. */
HAK_HIDDEN void hak_theap_flush(hak_theap_t *heap);

/* Gives the oldest `blocks` of the calling thread's magazine of a span class back. */
HAK_HIDDEN void hak_theap_spill(hak_theap_t *heap, unsigned class_number, uint32_t blocks);

/* Empties and closes that magazine. */
HAK_HIDDEN void hak_theap_flush_magazine(hak_theap_t *heap, unsigned class_number);

/* Frees what a spill found not to be in a span (core/span.h): blocks of the mmap tier or of arenas, or the process ends. */
HAK_SLOW void hak_theap_free_strays(void **strays, uint32_t count);

/* Takes blocks of an arena out of the calling thread's magazine of a pool class, into which only a sized free that the
 * rules forbid can have put them. */
HAK_HIDDEN void hak_theap_forget_arena(hak_theap_t *heap, uint32_t arena_id, unsigned class_number);

/* Returns the pages of the calling thread's slabs that were never cut to the system. */
HAK_HIDDEN void hak_theap_purge(hak_theap_t *heap);

/* Takes in what was freed to the heaps of other threads, where they are not at it themselves, and releases their empty
 * slabs; with `force`, the pages of their others that were never cut, too. _mt */
HAK_HIDDEN void hak_theap_collect_others_mt(bool force);

#endif
