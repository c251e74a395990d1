/* Aligned allocation. A slab's or span's first block is aligned to a slice, so a block whose size is a multiple of an
 * alignment has that alignment; in a span of one block it has that of a slice whatever its size. */
#include "api/aligned.h"

#include <errno.h>
#include <string.h>

#include "api/alloc.h"
#include "base/check.h"
#include "core/types.h"
#include "hakmem.h"
#include "tier/mmap.h"

size_t hak_aligned_class_bytes(size_t alignment, size_t size) {
  if (size > HAK_ACE_MAX || alignment > HAK_SLICE_BYTES) return size > HAK_ACE_MAX ? size : HAK_ACE_MAX + 1;
  size = hak_align_up(size == 0 ? 1 : size, alignment);
  if (size <= HAK_MID_MAX) {
    for (unsigned c = hak_slab_class_of(size); c < HAK_SLAB_CLASSES; c++) {
      if (hak_slab_classes[c].block_bytes % alignment == 0) return hak_slab_classes[c].block_bytes;
    }
    size = HAK_MID_MAX + 1;
  }
  for (unsigned c = size <= HAK_ACE_MAX ? hak_span_class_of(size) : HAK_SPAN_CLASSES; c < HAK_SPAN_CLASSES; c++) {
    const hak_span_class_t *info = &hak_span_classes[c];
    if (info->block_bytes % alignment == 0 || info->blocks == 1) return info->block_bytes;
  }
  return HAK_ACE_MAX + 1;
}

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
    size = bytes;                              /* a sized free will take the block for one of that class */
  }
  bool zeroed;
  uintptr_t block = (uintptr_t)hak_mmap_alloc_mt(size, alignment, &zeroed);
  return block | (block != 0 && zeroed ? HAK_SLOT_ZERO : 0);
}

void *hak_aligned_alloc(size_t alignment, size_t size) {
  return (void *)(aligned_slot(alignment, size) & ~HAK_SLOT_ZERO);
}

void *hak_aligned_zalloc(size_t alignment, size_t size) {
  uintptr_t slot = aligned_slot(alignment, size);
  void *block = (void *)(slot & ~HAK_SLOT_ZERO);
  if (slot != 0 && (slot & HAK_SLOT_ZERO) == 0) memset(block, 0, size);
  return block;
}

int hak_posix_memalign(void **out, size_t alignment, size_t size) {
  if (alignment % sizeof(void *) != 0) return EINVAL;
  int saved = errno;
  void *block = hak_aligned_alloc(alignment, size);
  int error = block == NULL ? errno : 0;
  errno = saved;
  if (block != NULL) *out = block;
  return error;
}
