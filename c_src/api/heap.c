/* Heaps of a program's own: the public functions, on top of heap/arena.h. */
#include <errno.h>
#include <string.h>

#include "api/aligned.h"
#include "api/block.h"
#include "api/realloc.h"
#include "base/check.h"
#include "hakmem.h"
#include "heap/arena.h"
#include "heap/theap.h"

hak_heap_t *hak_heap_new(const hak_heap_options_t *options) {
  if (options != NULL && options->size != sizeof(*options)) {
    errno = EINVAL;
    return NULL;
  }
  (void)hak_theap_get(); /* the options, and the hooks for fork */
  size_t limit = options != NULL ? options->limit_bytes : 0;
  hak_heap_t *heap = hak_arena_new_mt(limit == 0 || limit > PTRDIFF_MAX ? INT64_MAX : (int64_t)limit);
  if (heap == NULL) errno = ENOMEM;
  return heap;
}

void *hak_heap_malloc(hak_heap_t *heap, size_t size) { return hak_arena_malloc_mt(heap, size); }

/* Clears the block unless it is known to be zero. */
static void *heap_zeroed(uintptr_t slot, size_t size) {
  void *block = (void *)(slot & ~HAK_SLOT_ZERO);
  if (slot != 0 && (slot & HAK_SLOT_ZERO) == 0) memset(block, 0, size);
  return block;
}

void *hak_heap_zalloc(hak_heap_t *heap, size_t size) {
  const hak_arena_request_t request = {size, size, HAK_GRAIN, 0};
  return heap_zeroed(hak_arena_slot_mt(heap, &request, "hak_heap_zalloc"), size);
}

static uintptr_t heap_aligned_slot(hak_heap_t *heap, size_t alignment, size_t size, const char *function) {
  if (HAK_UNLIKELY(!hak_is_pow2(alignment) || alignment > HAK_ALIGN_MAX)) {
    errno = EINVAL;
    return 0;
  }
  size_t class_bytes = alignment <= HAK_GRAIN ? size : hak_aligned_class_bytes(alignment, size);
  const hak_arena_request_t request = {class_bytes, size, alignment, 0};
  return hak_arena_slot_mt(heap, &request, function);
}

void *hak_heap_aligned_alloc(hak_heap_t *heap, size_t alignment, size_t size) {
  return (void *)(heap_aligned_slot(heap, alignment, size, "hak_heap_aligned_alloc") & ~HAK_SLOT_ZERO);
}

void *hak_heap_aligned_zalloc(hak_heap_t *heap, size_t alignment, size_t size) {
  return heap_zeroed(heap_aligned_slot(heap, alignment, size, "hak_heap_aligned_zalloc"), size);
}

void *hak_heap_realloc(hak_heap_t *heap, void *p, size_t size) {
  if (p == NULL) return hak_heap_malloc(heap, size);
  hak_block_info_t info = hak_block_check(p, "hak_heap_realloc");
  if (HAK_UNLIKELY(info.heap != heap)) hak_fatal("hak_heap_realloc", HAK_BAD_HEAP, p);
  return hak_realloc_checked(p, &info, size, "hak_heap_realloc");
}

void hak_heap_free(hak_heap_t *heap, void *p) { hak_arena_free_own_mt(heap, p); }

void hak_heap_free_sized(hak_heap_t *heap, void *p, size_t alignment, size_t size) {
  (void)alignment; /* the block's slice says it all, at the cost of one load */
  (void)size;
  hak_arena_free_own_mt(heap, p);
}

void hak_heap_reset(hak_heap_t *heap) { hak_arena_reset(heap); }

void hak_heap_destroy(hak_heap_t *heap) {
  if (heap != NULL) hak_arena_destroy(heap);
}

int hak_heap_stats(hak_heap_t *heap, hak_heap_stats_t *stats) {
  if (stats->size != sizeof(*stats)) return 0;
  hak_arena_stats_mt(heap, stats);
  return 1;
}

hak_heap_t *hak_heap_of(const void *p) { return p == NULL ? NULL : hak_block_find(p).heap; }
