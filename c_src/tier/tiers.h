/* The one table of tiers, in the order in which a request walks them. */
#ifndef HAK_TIER_TIERS_H
#define HAK_TIER_TIERS_H

#include "base/limits.h"

/*   X(NAME, name, largest size, what serves it) */
#define HAK_TIERS_TABLE(X)                                                                               \
  X(TINY, tiny, HAK_TINY_MAX, "slabs of 64 KiB owned by a thread's heap")                                \
  X(MID, mid, HAK_MID_MAX, "slabs of 64 KiB owned by a thread's heap")                                   \
  X(POOL, pool, HAK_POOL_MAX, "ownerless spans with a bitmap, a magazine per thread and class")          \
  X(ACE, ace, HAK_ACE_MAX, "ownerless spans and single runs of slices, a magazine per thread and class") \
  X(MMAP, mmap, (size_t)PTRDIFF_MAX, "a mapping of its own, with a cache of free mappings")

#endif
