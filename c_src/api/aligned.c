/* Aligned allocation. A slab's or span's first block is aligned to a slice, so a block whose size is a multiple of an
 * alignment has that alignment. And every class from a multiple of a power of two on is a multiple of it: classes between
 * two powers of two are multiples of an eighth of the lower one; an alignment below that eighth divides it, and a multiple
 * of one above is a class itself. */
#include "api/aligned.h"

#include <errno.h>
#include <string.h>

#include "api/alloc.h"
#include "base/check.h"
#include "core/types.h"
#include "hakmem.h"
#include "heap/relief.h"
#include "tier/mmap.h"

/* A slot of aligned memory; 0 with errno set. */
static uintptr_t aligned_slot(size_t alignment, size_t size) {
  if (HAK_UNLIKELY(!hak_is_pow2(alignment) || alignment > HAK_ALIGN_MAX)) {
    errno = EINVAL;
    return 0;
  }
  if (alignment <= HAK_GRAIN) return hak_alloc_slot(size, NULL);
  if (HAK_UNLIKELY(size > PTRDIFF_MAX)) {
    errno = ENOMEM;
    return 0;
  }
  size_t bytes = hak_aligned_class_bytes(alignment, size);
  if (bytes <= HAK_ACE_MAX) {
    uintptr_t slot = hak_alloc_slot(bytes, NULL);
    if (HAK_LIKELY((slot & ~HAK_SLOT_ZERO & (alignment - 1)) == 0)) return slot;
    hak_free((void *)(slot & ~HAK_SLOT_ZERO)); /* another class stood in, with blocks of another size */
    size = hak_good_size(bytes);               /* a sized free will take the block for one of that class */
  }
  bool zeroed;
  hak_relief_t relief = {0};
  uintptr_t block;
  do {
    block = (uintptr_t)hak_mmap_alloc_mt(size, alignment, &zeroed);
  } while (HAK_UNLIKELY(block == 0) && hak_relief_mt(&relief, size));
  return block | (block != 0 && zeroed ? HAK_SLOT_ZERO : 0);
}

static __attribute__((noinline)) void *aligned_slow(size_t alignment, size_t size) {
  /* What a class has, a hit can serve. A block of another class may have come in through a sized free, or another tier
   * may stand in: then it is the long way. */
  if (HAK_LIKELY(hak_is_pow2(alignment) && alignment <= HAK_SLICE_BYTES && size <= HAK_POOL_MAX)) {
    void *block = hak_malloc(hak_aligned_class_bytes(alignment, size));
    if (HAK_LIKELY(((uintptr_t)block & (alignment - 1)) == 0)) return block;
    hak_free(block);
  }
  return (void *)(aligned_slot(alignment, size) & ~HAK_SLOT_ZERO);
}

/* A block of a slab that is in the thread's bin; NULL when there is none, and when the alignment is not one. */
HAK_FAST void *aligned_hit(size_t alignment, size_t size) {
  if (HAK_UNLIKELY(!hak_aligned_is_slab(alignment, size))) return NULL;
  return hak_bin_pop(hak_slab_bin_of(hak_align_up(size, alignment)));
}

void *hak_aligned_alloc(size_t alignment, size_t size) {
  void *block = aligned_hit(alignment, size);
  return HAK_LIKELY(block != NULL) ? block : aligned_slow(alignment, size);
}

void *hak_aligned_zalloc(size_t alignment, size_t size) {
  return hak_alloc_zeroed(aligned_slot(alignment, size), size);
}

int hak_posix_memalign(void **out, size_t alignment, size_t size) {
  if (alignment % sizeof(void *) != 0) return EINVAL; /* 0 is not a power of two: EINVAL below */
  void *block = aligned_hit(alignment, size);
  if (HAK_UNLIKELY(block == NULL)) {
    int saved = errno;
    block = aligned_slow(alignment, size);
    if (block == NULL) {
      int error = errno;
      errno = saved;
      return error;
    }
  }
  *out = block;
  return 0;
}
