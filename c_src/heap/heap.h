/* The thread's heap: from the first allocation of a thread to its end, and from hand to hand. */
#ifndef HAK_HEAP_HEAP_H
#define HAK_HEAP_HEAP_H

#include "core/types.h"

/* Static TLS, initial-exec: one load from a segment register, also in a library opened at run time. */
HAK_HIDDEN extern _Thread_local hak_tls_t hak_tls __attribute__((tls_model("initial-exec")));

/* The calling thread's heap, adopted or made when it has none; NULL without memory, and in a thread whose heap was
 * parked because it ends: destructors of other libraries may still allocate and free there. */
HAK_SLOW hak_heap_t *hak_heap_start(void);

/* A heap for one allocation in such a thread, to be returned right after; NULL in others and without memory. */
HAK_SLOW hak_heap_t *hak_heap_borrow(void);
HAK_SLOW void hak_heap_return(hak_heap_t *heap);

HAK_FAST hak_heap_t *hak_heap_get(void) {
  hak_heap_t *heap = hak_tls.heap;
  return HAK_LIKELY(heap != NULL) ? heap : hak_heap_start();
}

/* What happens now and then in slow paths: rings are posted, old memory is purged. */
HAK_HIDDEN void hak_heap_tick(hak_heap_t *heap);

/* Gives everything the calling thread caches back to slabs and spans, and takes in what others freed. */
HAK_HIDDEN void hak_heap_flush(hak_heap_t *heap);

/* Frees what a spill found not to be in a span (core/span.h): blocks of the mmap tier, or the process ends. */
HAK_SLOW void hak_heap_free_strays(void **strays, uint32_t count);

/* Takes in what was freed to the heaps of other threads, where they are not at it themselves, and releases their empty
 * slabs. _mt */
HAK_HIDDEN void hak_heap_collect_others_mt(void);

#endif
