/* Inside the API: resizing a block that has been looked at. */
#ifndef HAK_API_REALLOC_H
#define HAK_API_REALLOC_H

#include "api/block.h"

/* Resizes a block of which hak_block_check said `info`, in its heap. `function` is what the program called. */
HAK_HIDDEN void *hak_realloc_checked(void *p, const hak_block_info_t *info, size_t size, const char *function);

/* Resizes a mapping, of which it said so, to another size that only a mapping has; NULL when it has to be moved, or cannot be:
 * `*over`, which would take even more. */
HAK_HIDDEN void *hak_realloc_mapping(void *p, const hak_block_info_t *info, size_t size, bool *over);

#endif
