/* What the calling thread holds: blocks in its bins, magazines and rings. */
#ifndef HAK_HEAP_HOLDS_H
#define HAK_HEAP_HOLDS_H

#include "base/attr.h"
#include "hakmem.h"

/* Fills in all of `*stats` but its size and what was counted; zeros for a thread without a heap. */
HAK_HIDDEN void hak_holds(hak_thread_stats_t *stats);

#endif
