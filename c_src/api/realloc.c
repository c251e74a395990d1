/* Resizing. A block stays where it is when its class serves the new size and is not twice what is needed; blocks of the
 * mmap tier are remapped, which moves page table entries and no bytes. */
#include <errno.h>
#include <string.h>

#include "api/aligned.h"
#include "api/block.h"
#include "base/bits.h"
#include "core/types.h"
#include "hakmem.h"
#include "tier/mmap.h"

/* A new block with the old one's content; the old one is freed unless there is no memory. */
static void *realloc_move(void *old, size_t old_bytes, size_t alignment, size_t size) {
  void *block = alignment <= HAK_GRAIN ? hak_malloc(size) : hak_aligned_alloc(alignment, size);
  if (block == NULL) return NULL;
  memcpy(block, old, old_bytes < size ? old_bytes : size);
  hak_free(old);
  return block;
}

void *hak_realloc(void *p, size_t size) {
  if (p == NULL) return hak_malloc(size);
  hak_block_info_t info = hak_block_check(p, "hak_realloc");
  if (info.tier == HAK_TIER_MMAP && size > HAK_ACE_MAX) {
    void *resized = size <= PTRDIFF_MAX ? hak_mmap_resize_mt(p, size) : NULL;
    if (resized != NULL) return resized;
  } else if (size <= info.bytes && (size >= info.bytes / 2 || hak_good_size(size) == info.bytes)) {
    return p;
  }
  return realloc_move(p, info.bytes, HAK_GRAIN, size);
}

void *hak_realloc_aligned_sized(void *p, size_t alignment, size_t old_size, size_t new_size) {
  if (HAK_UNLIKELY(!hak_is_pow2(alignment) || alignment > HAK_ALIGN_MAX)) {
    errno = EINVAL;
    return NULL;
  }
  size_t old_bytes = old_size, new_bytes = new_size;
  if (alignment > HAK_GRAIN) {
    old_bytes = hak_aligned_class_bytes(alignment, old_size);
    new_bytes = hak_aligned_class_bytes(alignment, new_size);
  }
  if (old_bytes > HAK_ACE_MAX && new_bytes > HAK_ACE_MAX) {
    if (alignment > HAK_SLICE_BYTES && new_size <= old_size) return p; /* its mapping may be smaller than a class */
    bool remaps = alignment <= hak_os_page_bytes() && new_size <= PTRDIFF_MAX;
    if (remaps && hak_block_check(p, "hak_realloc_aligned_sized").tier == HAK_TIER_MMAP) {
      void *resized = hak_mmap_resize_mt(p, new_size);
      if (resized != NULL) return resized;
    }
  } else if (new_bytes <= HAK_ACE_MAX && hak_good_size(old_bytes) == hak_good_size(new_bytes)) {
    return p;
  }
  hak_block_check(p, "hak_realloc_aligned_sized");
  return realloc_move(p, old_size, alignment, new_size);
}
