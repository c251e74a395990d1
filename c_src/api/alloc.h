/* Inside the API: allocation that reports whether the block is known to be zero. */
#ifndef HAK_API_ALLOC_H
#define HAK_API_ALLOC_H

#include "base/attr.h"

/* A slot: a block of at least `size` bytes, with HAK_SLOT_ZERO set if it is known to be zero; 0 with errno = ENOMEM when
 * there is no memory. Walks the tier chain. */
HAK_HIDDEN uintptr_t hak_alloc_slot(size_t size, const void *site);

#endif
