/* What is known about a pointer that a caller hands in. */
#ifndef HAK_API_BLOCK_H
#define HAK_API_BLOCK_H

#include "base/attr.h"
#include "hakmem.h"

typedef struct hak_block_info {
  size_t bytes;     /* usable; 0 when no live block begins there */
  int tier;         /* HAK_TIER_*; HAK_TIER_NONE when no live block begins there */
  const char *bad;  /* then: what is wrong, one of HAK_BAD_* */
  hak_heap_t *heap; /* of a program's own, of which the block is; or NULL */
} hak_block_info_t;

/* Looks a pointer up, other than NULL. Reads memory only of blocks that are ours. _mt */
HAK_HIDDEN hak_block_info_t hak_block_find(const void *p);

/* As hak_block_find, but ends the process with a line that names `function` when no live block begins there. */
HAK_HIDDEN hak_block_info_t hak_block_check(const void *p, const char *function);

#endif
