/* The interface as memcheck is to see it; only in a build for valgrind (os/valgrind.h). Each function does what the plain one
 * does, out of memcheck's sight, and tells it of the block that came or went: of exactly the bytes that were asked for, so
 * that a write behind them is noticed. A realloc always moves the block, so that a use of the old one is. */
#include "os/valgrind.h"

#include "base/public_names.h"
#undef hak_usable_size
#undef hak_tier_of
#undef hak_collect
#undef hak_limit_set
#undef hak_stats_get
#undef hak_stats_print
#undef hak_thread_stats_get
#undef hak_heap_new
#undef hak_heap_stats
#undef hak_heap_of
#undef hak_config_print
#undef hak_ace_snapshot

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/limits.h"

/* The public names, which the header declared under the plain ones. */
HAK_API void *hak_malloc(size_t size);
HAK_API void *hak_alloc_at(size_t size, const void *site);
HAK_API void *hak_calloc(size_t count, size_t size);
HAK_API void *hak_realloc(void *p, size_t size);
HAK_API void *hak_realloc_aligned_sized(void *p, size_t alignment, size_t old_size, size_t new_size);
HAK_API void *hak_aligned_alloc(size_t alignment, size_t size);
HAK_API void *hak_aligned_zalloc(size_t alignment, size_t size);
HAK_API int hak_posix_memalign(void **out, size_t alignment, size_t size);
HAK_API void hak_free(void *p);
HAK_API void hak_free_sized(void *p, size_t size);
HAK_API void hak_free_aligned_sized(void *p, size_t alignment, size_t size);
HAK_API size_t hak_usable_size(const void *p);
HAK_API int hak_tier_of(const void *p);
HAK_API void hak_collect(int force);
HAK_API void hak_limit_set(size_t bytes, hak_limit_callback_t callback, void *argument);
HAK_API int hak_stats_get(hak_stats_t *stats);
HAK_API void hak_stats_print(int fd);
HAK_API int hak_thread_stats_get(hak_thread_stats_t *stats);
HAK_API void hak_config_print(int fd);
HAK_API int hak_ace_snapshot(hak_ace_snapshot_t *snapshot);
HAK_API hak_heap_t *hak_heap_new(const hak_heap_options_t *options);
HAK_API void *hak_heap_malloc(hak_heap_t *heap, size_t size);
HAK_API void *hak_heap_zalloc(hak_heap_t *heap, size_t size);
HAK_API void *hak_heap_aligned_alloc(hak_heap_t *heap, size_t alignment, size_t size);
HAK_API void *hak_heap_aligned_zalloc(hak_heap_t *heap, size_t alignment, size_t size);
HAK_API void *hak_heap_realloc(hak_heap_t *heap, void *p, size_t size);
HAK_API void hak_heap_free(hak_heap_t *heap, void *p);
HAK_API void hak_heap_free_sized(hak_heap_t *heap, void *p, size_t alignment, size_t size);
HAK_API void hak_heap_reset(hak_heap_t *heap);
HAK_API void hak_heap_destroy(hak_heap_t *heap);
HAK_API int hak_heap_stats(hak_heap_t *heap, hak_heap_stats_t *stats);
HAK_API hak_heap_t *hak_heap_of(const void *p);

/* Ends what hak_memcheck_pause began, with a new block or NULL. */
static void *valgrind_allocated(void *block, size_t size, bool zeroed) {
  if (block != NULL) {
    hak_memcheck_hide(block, hak_plain_usable_size(block)); /* of the allocator's writes to it, too */
    hak_memcheck_allocated(block, size, zeroed);
  }
  hak_memcheck_resume();
  return block;
}

void *hak_malloc(size_t size) {
  hak_memcheck_pause();
  return valgrind_allocated(hak_plain_malloc(size), size, false);
}

void *hak_alloc_at(size_t size, const void *site) {
  hak_memcheck_pause();
  return valgrind_allocated(hak_plain_alloc_at(size, site), size, false);
}

void *hak_calloc(size_t count, size_t size) {
  hak_memcheck_pause();
  return valgrind_allocated(hak_plain_calloc(count, size), count * size, true);
}

void *hak_aligned_alloc(size_t alignment, size_t size) {
  hak_memcheck_pause();
  return valgrind_allocated(hak_plain_aligned_alloc(alignment, size), size, false);
}

void *hak_aligned_zalloc(size_t alignment, size_t size) {
  hak_memcheck_pause();
  return valgrind_allocated(hak_plain_aligned_zalloc(alignment, size), size, true);
}

int hak_posix_memalign(void **out, size_t alignment, size_t size) {
  hak_memcheck_pause();
  int error = hak_plain_posix_memalign(out, alignment, size);
  valgrind_allocated(error == 0 ? *out : NULL, size, false);
  return error;
}

/* Tells of a block that goes, and pauses. A pointer that is no block memcheck reports before the allocator does. */
static void valgrind_freed(void *p) {
  hak_memcheck_pause();
  if (hak_plain_heap_of(p) != NULL) {
    hak_memcheck_hide(p, hak_plain_usable_size(p));
    return;
  }
  hak_memcheck_resume();
  hak_memcheck_freed(p);
  hak_memcheck_pause();
}

void hak_free(void *p) {
  if (p == NULL) return;
  valgrind_freed(p);
  hak_plain_free(p);
  hak_memcheck_resume();
}

void hak_free_sized(void *p, size_t size) {
  if (p == NULL) return;
  valgrind_freed(p);
  hak_plain_free_sized(p, size);
  hak_memcheck_resume();
}

void hak_free_aligned_sized(void *p, size_t alignment, size_t size) {
  if (p == NULL) return;
  valgrind_freed(p);
  hak_plain_free_aligned_sized(p, alignment, size);
  hak_memcheck_resume();
}

/* What was behind the old size is copied, too: nobody knows here how much that is. */
static void *valgrind_move(void *p, void *block, size_t size) {
  if (p == NULL || block == NULL) return block;
  hak_memcheck_pause();
  size_t old_size = hak_plain_usable_size(p);
  memcpy(block, p, old_size < size ? old_size : size);
  hak_memcheck_resume();
  hak_free(p);
  return block;
}

void *hak_realloc(void *p, size_t size) {
  hak_heap_t *heap = hak_heap_of(p);
  return heap != NULL ? hak_heap_realloc(heap, p, size) : valgrind_move(p, hak_malloc(size), size);
}

void *hak_realloc_aligned_sized(void *p, size_t alignment, size_t old_size, size_t new_size) {
  (void)old_size;
  hak_heap_t *heap = hak_heap_of(p);
  return valgrind_move(
      p, heap != NULL ? hak_heap_aligned_alloc(heap, alignment, new_size) : hak_aligned_alloc(alignment, new_size),
      new_size);
}

/* ---- Heaps of the program's own ---- */

hak_heap_t *hak_heap_new(const hak_heap_options_t *options) {
  hak_memcheck_pause();
  hak_heap_t *heap = hak_plain_heap_new(options);
  hak_memcheck_resume();
  return heap;
}

/* Ends what hak_memcheck_pause began, with a new block or NULL. */
static void *valgrind_shown(void *block, size_t size, bool zeroed) {
  if (block != NULL) {
    hak_memcheck_hide(block, hak_plain_usable_size(block));
    hak_memcheck_show(block, size, zeroed);
  }
  hak_memcheck_resume();
  return block;
}

void *hak_heap_malloc(hak_heap_t *heap, size_t size) {
  hak_memcheck_pause();
  return valgrind_shown(hak_plain_heap_malloc(heap, size), size, false);
}

void *hak_heap_zalloc(hak_heap_t *heap, size_t size) {
  hak_memcheck_pause();
  return valgrind_shown(hak_plain_heap_zalloc(heap, size), size, true);
}

void *hak_heap_aligned_alloc(hak_heap_t *heap, size_t alignment, size_t size) {
  hak_memcheck_pause();
  return valgrind_shown(hak_plain_heap_aligned_alloc(heap, alignment, size), size, false);
}

void *hak_heap_aligned_zalloc(hak_heap_t *heap, size_t alignment, size_t size) {
  hak_memcheck_pause();
  return valgrind_shown(hak_plain_heap_aligned_zalloc(heap, alignment, size), size, true);
}

void *hak_heap_realloc(hak_heap_t *heap, void *p, size_t size) {
  return valgrind_move(p, hak_heap_malloc(heap, size), size);
}

void hak_heap_free(hak_heap_t *heap, void *p) {
  if (p == NULL) return;
  valgrind_freed(p);
  hak_plain_heap_free(heap, p);
  hak_memcheck_resume();
}

void hak_heap_free_sized(hak_heap_t *heap, void *p, size_t alignment, size_t size) {
  if (p == NULL) return;
  valgrind_freed(p);
  hak_plain_heap_free_sized(heap, p, alignment, size);
  hak_memcheck_resume();
}

void hak_heap_reset(hak_heap_t *heap) {
  hak_memcheck_pause();
  hak_plain_heap_reset(heap);
  hak_memcheck_resume();
}

void hak_heap_destroy(hak_heap_t *heap) {
  hak_memcheck_pause();
  hak_plain_heap_destroy(heap);
  hak_memcheck_resume();
}

int hak_heap_stats(hak_heap_t *heap, hak_heap_stats_t *stats) {
  hak_memcheck_pause();
  int done = hak_plain_heap_stats(heap, stats);
  hak_memcheck_resume();
  return done;
}

hak_heap_t *hak_heap_of(const void *p) {
  hak_memcheck_pause();
  hak_heap_t *heap = hak_plain_heap_of(p);
  hak_memcheck_resume();
  return heap;
}

/* ---- Questions ---- */

/* Who asks may go on to use all of it. */
size_t hak_usable_size(const void *p) {
  hak_memcheck_pause();
  size_t size = hak_plain_usable_size(p);
  hak_memcheck_extend((void *)(uintptr_t)p, size);
  hak_memcheck_resume();
  return size;
}

int hak_tier_of(const void *p) {
  hak_memcheck_pause();
  int tier = hak_plain_tier_of(p);
  hak_memcheck_resume();
  return tier;
}

void hak_collect(int force) {
  hak_memcheck_pause();
  hak_plain_collect(force);
  hak_memcheck_resume();
}

void hak_limit_set(size_t bytes, hak_limit_callback_t callback, void *argument) {
  hak_memcheck_pause();
  hak_plain_limit_set(bytes, callback, argument);
  hak_memcheck_resume();
}

int hak_stats_get(hak_stats_t *stats) {
  hak_memcheck_pause();
  int done = hak_plain_stats_get(stats);
  hak_memcheck_resume();
  return done;
}

void hak_stats_print(int fd) {
  hak_memcheck_pause();
  hak_plain_stats_print(fd);
  hak_memcheck_resume();
}

int hak_thread_stats_get(hak_thread_stats_t *stats) {
  hak_memcheck_pause();
  int done = hak_plain_thread_stats_get(stats);
  hak_memcheck_resume();
  return done;
}

void hak_config_print(int fd) {
  hak_memcheck_pause();
  hak_plain_config_print(fd);
  hak_memcheck_resume();
}

int hak_ace_snapshot(hak_ace_snapshot_t *snapshot) {
  hak_memcheck_pause();
  int done = hak_plain_ace_snapshot(snapshot);
  hak_memcheck_resume();
  return done;
}
