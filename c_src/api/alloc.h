/* Inside the API: the hit of a slab's size, and allocation that reports whether the block is known to be zero. */
#ifndef HAK_API_ALLOC_H
#define HAK_API_ALLOC_H

#include "api/count.h"
#include "heap/theap.h"

/* Takes a block from the bin at an offset in hak_tls; NULL when it is empty. */
HAK_FAST void *hak_bin_pop(size_t offset) {
  hak_bin_t HAK_TLS *bin = hak_tls_bin(offset);
  hak_block_t *block = bin->head;
  if (HAK_UNLIKELY(block == NULL)) return NULL;
  hak_block_t *next = hak_block_next(block);
  bin->head = next;
  __builtin_prefetch(next); /* the next hit reads its link: docs/decisions/bins.md */
  bin->room++;
  block->key = 0; /* the mark of a free block; see hak_freed_key */
  return hak_counted(block);
}

/* A slot: a block of at least `size` bytes, with HAK_SLOT_ZERO set if it is known to be zero; 0 with errno = ENOMEM when
 * there is no memory. Walks the tier chain. */
HAK_HIDDEN uintptr_t hak_alloc_slot(size_t size, const void *site);

/* The block of a slot of `bytes` bytes, made zero unless it is; NULL of 0. */
HAK_HIDDEN void *hak_alloc_zeroed(uintptr_t slot, size_t bytes);

#endif
