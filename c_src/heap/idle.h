/* What a thread caches and does not use: looked for now and then in its slow paths. */
#ifndef HAK_HEAP_IDLE_H
#define HAK_HEAP_IDLE_H

#include "core/types.h"

/* Gives what lay in bins and magazines since the last look back to slabs and spans, some of which it may be all that is
 * in use, and half of what magazines always had left over. Looks at most four times in a purge delay. */
HAK_HIDDEN void hak_idle_flush(hak_theap_t *heap);

#endif
