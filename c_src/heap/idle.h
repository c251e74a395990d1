/* What a thread caches and does not use, or had better not: looked for now and then in its slow paths. */
#ifndef HAK_HEAP_IDLE_H
#define HAK_HEAP_IDLE_H

#include "core/types.h"

/* Gives back to slabs and spans, at most four times in a purge delay: what lay in bins and magazines since the last look,
 * for it may be all that is in use of them; half of what magazines always had left over. And while memory waits to go back
 * to the system, what is in all bins, which then stay closed for some allocations: a program with so little to do that its
 * bins could serve it for ever comes by here all the same, in its 64th allocation. That is bounded, so a busy program does
 * not notice it: it takes 4096 slow paths more in a quarter of the delay. */
HAK_HIDDEN void hak_idle_flush(hak_theap_t *heap);

#endif
