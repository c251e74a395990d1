/* The interface as memcheck is to see it; only in a build for valgrind (os/valgrind.h). Each function does what the plain one
 * does, out of memcheck's sight, and tells it of the block that came or went: of exactly the bytes that were asked for, so
 * that a write behind them is noticed. A realloc always moves the block, so that a use of the old one is. */
#include "os/valgrind.h"

#undef hak_malloc
#undef hak_alloc_at
#undef hak_calloc
#undef hak_realloc
#undef hak_realloc_aligned_sized
#undef hak_aligned_alloc
#undef hak_aligned_zalloc
#undef hak_posix_memalign
#undef hak_free
#undef hak_free_sized
#undef hak_free_aligned_sized
#undef hak_usable_size
#undef hak_tier_of
#undef hak_collect
#undef hak_stats_get
#undef hak_stats_print

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
HAK_API int hak_stats_get(hak_stats_t *stats);
HAK_API void hak_stats_print(int fd);

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

/* Blocks of heaps of a program's own come and go without memcheck's knowledge. */
static bool valgrind_is_of_heap(const void *p) {
  hak_memcheck_pause();
  bool of_heap = hak_heap_of(p) != NULL;
  hak_memcheck_resume();
  return of_heap;
}

static void valgrind_freed(void *p) {
  if (!valgrind_is_of_heap(p)) hak_memcheck_freed(p); /* which reports what is no block, before the allocator does */
}

void hak_free(void *p) {
  if (p == NULL) return;
  valgrind_freed(p);
  hak_memcheck_pause();
  hak_plain_free(p);
  hak_memcheck_resume();
}

void hak_free_sized(void *p, size_t size) {
  if (p == NULL) return;
  valgrind_freed(p);
  hak_memcheck_pause();
  hak_plain_free_sized(p, size);
  hak_memcheck_resume();
}

void hak_free_aligned_sized(void *p, size_t alignment, size_t size) {
  if (p == NULL) return;
  valgrind_freed(p);
  hak_memcheck_pause();
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
  if (!valgrind_is_of_heap(p)) return valgrind_move(p, hak_malloc(size), size);
  hak_memcheck_pause();
  void *block = hak_plain_realloc(p, size);
  hak_memcheck_resume();
  return block;
}

void *hak_realloc_aligned_sized(void *p, size_t alignment, size_t old_size, size_t new_size) {
  if (!valgrind_is_of_heap(p)) return valgrind_move(p, hak_aligned_alloc(alignment, new_size), new_size);
  hak_memcheck_pause();
  void *block = hak_plain_realloc_aligned_sized(p, alignment, old_size, new_size);
  hak_memcheck_resume();
  return block;
}

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
