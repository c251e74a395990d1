/* Resizing. A block stays where it is when its class serves the new size and is not twice what is needed; above 256 KiB also
 * when what lies behind it is free. Blocks of the mmap tier are remapped else, which moves page table entries and no bytes. */
#include <errno.h>
#include <string.h>

#include "api/aligned.h"
#include "api/block.h"
#include "base/bits.h"
#include "core/span.h"
#include "core/tagmap.h"
#include "core/trailer.h"
#include "api/realloc.h"
#include "hakmem.h"
#include "heap/arena.h"
#include "heap/quarantine.h"
#include "heap/relief.h"
#include "tier/mmap.h"

/* A new block with the old one's content; the old one is freed unless there is no memory. */
static __attribute__((noinline)) void *realloc_move(void *old, size_t old_bytes, size_t alignment, size_t size) {
  void *block = alignment <= HAK_GRAIN ? hak_malloc(size) : hak_aligned_alloc(alignment, size);
  if (block == NULL) return NULL;
  memcpy(block, old, old_bytes < size ? old_bytes : size);
  hak_free(old);
  return block;
}

/* The same in a heap of the program's own. The old block counts as gone when the new one is asked for. */
static void *realloc_move_in(hak_heap_t *heap, void *old, size_t bytes, size_t old_size, size_t alignment, size_t size,
                             const char *function) {
  size_t class_bytes = alignment <= HAK_GRAIN ? size : hak_aligned_class_bytes(alignment, size);
  const hak_arena_request_t request = {class_bytes, size, alignment, bytes};
  uintptr_t slot = hak_arena_slot_mt(heap, &request, function) & ~HAK_SLOT_ZERO;
  if (slot == 0) return NULL;
  memcpy((void *)slot, old, old_size < size ? old_size : size);
  if (HAK_SECURE) {
    hak_quarantine_wipe(old, bytes);
    hak_trailer_begin(old, bytes); /* and no live block's from now on */
  }
  hak_arena_free_mt(heap, old, bytes, function);
  return (void *)slot;
}

void *hak_realloc_mapping(void *p, const hak_block_info_t *info, size_t size, bool *over) {
  *over = false;
  if (size > PTRDIFF_MAX) return NULL;
  hak_relief_t relief = {0};
  void *resized;
  do {
    resized = info->heap == NULL ? hak_mmap_resize_mt(p, size) : hak_arena_resize_mt(info->heap, p, info->bytes, size);
  } while (resized == NULL && hak_relief_mt(&relief, size));
  *over = relief.over;
  if (relief.over) errno = ENOMEM;
  return resized;
}

/* Makes a large block, which would be long to copy, one of the class of `bytes` where it is; false when that cannot be. */
static bool realloc_in_place(void *p, const hak_block_info_t *info, size_t bytes) {
  if (info->heap != NULL || info->tier != HAK_TIER_ACE || bytes <= HAK_POOL_MAX || bytes > HAK_ACE_MAX) return false;
  return hak_span_resize_mt(p, hak_tagmap_get_mt(p), hak_span_class_of(bytes));
}

void *hak_realloc_checked(void *p, const hak_block_info_t *info, size_t size, const char *function) {
  if (info->tier == HAK_TIER_MMAP && size > HAK_ACE_MAX) {
    bool over;
    void *resized = hak_realloc_mapping(p, info, size, &over);
    if (resized != NULL || over) return resized;
  } else {
    bool fits = size <= info->bytes && (size >= info->bytes / 2 || hak_good_size(size) == info->bytes);
    if (fits || realloc_in_place(p, info, size)) return p;
  }
  if (info->heap == NULL) return realloc_move(p, info->bytes, HAK_GRAIN, size);
  return realloc_move_in(info->heap, p, info->bytes, info->bytes, HAK_GRAIN, size, function);
}

static __attribute__((noinline)) void *realloc_other(void *p, size_t size) {
  if (p == NULL) return hak_malloc(size);
  hak_block_info_t info = hak_block_check(p, "hak_realloc");
  return hak_realloc_checked(p, &info, size, "hak_realloc");
}

/* The bytes of the block of a slab that begins at p; 0 if that is not so, or takes a closer look. */
HAK_FAST size_t realloc_slab_bytes(const void *p) {
  uint64_t view = hak_tagmap_view(p) | HAK_VIEW_CODE;
  if ((uintptr_t)p >> 48 != 0 || view < HAK_VIEW_SLAB) return 0;
  const hak_slab_class_t *info = &hak_slab_classes[(view - HAK_VIEW_SLAB) / HAK_BIN_SCALE];
  uint32_t offset = (uint32_t)((uintptr_t)p & (HAK_SLICE_BYTES - 1));
  bool is_block = hak_slab_block_begins(info, offset) && ((const hak_block_t *)p)->key != hak_freed_key(p);
  return is_block ? info->block_bytes : 0;
}

void *hak_realloc(void *p, size_t size) {
  size_t bytes = realloc_slab_bytes(p);
  if (HAK_UNLIKELY(bytes == 0)) return realloc_other(p, size);
  if (size <= bytes && (size >= bytes / 2 || bytes == HAK_GRAIN)) return p;
  return realloc_move(p, bytes, HAK_GRAIN, size);
}

/* When one of both sizes is above those of ACE, or the alignment is more than a block has of itself. */
static __attribute__((noinline)) void *realloc_sized_other(void *p, size_t alignment, size_t old_size,
                                                           size_t new_size) {
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
    if (alignment <= hak_os_page_bytes() || new_size <= old_size) { /* one that shrinks stays where it is */
      hak_block_info_t info = hak_block_check(p, "hak_realloc_aligned_sized");
      bool over = false;
      void *resized =
          info.tier == HAK_TIER_MMAP ? hak_realloc_mapping(p, &info, new_size == 0 ? 1 : new_size, &over) : NULL;
      if (resized != NULL || over) return resized;
    }
  } else if (new_bytes <= HAK_ACE_MAX && hak_good_size(old_bytes) == hak_good_size(new_bytes)) {
    return p;
  }
  hak_block_info_t info = hak_block_check(p, "hak_realloc_aligned_sized");
  if (realloc_in_place(p, &info, new_bytes)) return p;
  if (info.heap == NULL) return realloc_move(p, old_size, alignment, new_size);
  return realloc_move_in(info.heap, p, info.bytes, old_size, alignment, new_size, "hak_realloc_aligned_sized");
}

void *hak_realloc_aligned_sized(void *p, size_t alignment, size_t old_size, size_t new_size) {
  /* Whether the class stays the same is in the sizes; a move looks at the block, which frees it after all. */
  if (HAK_LIKELY(alignment - 1 < HAK_GRAIN && hak_is_pow2(alignment) && old_size <= HAK_MID_MAX)) {
    if (new_size <= HAK_MID_MAX && hak_slab_bin_of(old_size) == hak_slab_bin_of(new_size)) return p;
    /* the size 0 does not pass: a block of no slab has 0 bytes here, too */
    if (HAK_LIKELY(old_size - 1 < realloc_slab_bytes(p))) return realloc_move(p, old_size, HAK_GRAIN, new_size);
  }
  return realloc_sized_other(p, alignment, old_size, new_size);
}
