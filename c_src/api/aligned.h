/* Inside the API: how alignment is turned into size. */
#ifndef HAK_API_ALIGNED_H
#define HAK_API_ALIGNED_H

#include "base/bits.h"
#include "base/limits.h"

/* The size to ask the tiers for so that a block of its class has the alignment: the next multiple of it. Above HAK_ACE_MAX
 * when only the mmap tier has such blocks. `alignment` is a power of two. */
HAK_FAST size_t hak_aligned_class_bytes(size_t alignment, size_t size) {
  if (alignment > HAK_SLICE_BYTES || size > HAK_ACE_MAX) return size > HAK_ACE_MAX ? size : HAK_ACE_MAX + 1;
  return hak_align_up(size == 0 ? 1 : size, alignment);
}

/* Whether that size is one of a slab's block, and the alignment a power of two at all. */
HAK_FAST bool hak_aligned_is_slab(size_t alignment, size_t size) {
  size_t mask = alignment - 1; /* for the alignment 0 it is everything */
  return (alignment & mask) == 0 && mask < HAK_MID_MAX && size - 1 <= HAK_MID_MAX - 1;
}

#endif
