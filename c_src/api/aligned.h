/* Inside the API: how alignment is turned into size. */
#ifndef HAK_API_ALIGNED_H
#define HAK_API_ALIGNED_H

#include "base/attr.h"

/* The size to ask the tiers for so that a block of its class has the alignment: the next multiple of it. Above HAK_ACE_MAX
 * when only the mmap tier has such blocks. `alignment` is a power of two. */
HAK_HIDDEN size_t hak_aligned_class_bytes(size_t alignment, size_t size);

#endif
