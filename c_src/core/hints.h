/* Hints: which segments may have what one looks for. A row of 64-bit masks per 64 segments: for every span class the
 * segments that may hold a free block of it, for some run lengths the segments that may have so many free slices in a
 * row. One row after the other in memory, so that a small process touches one page of it.
 *
 * The protocol that makes a hint safe to trust when it is clear: whoever makes something available changes the segment
 * first and then sets the hint; whoever finds nothing clears the hint first and then looks at the segment once more.
 * All four are sequentially consistent: with any of them weaker, both could miss each other, the memory would be there
 * and nobody would find it (docs/concurrency.md, "Hints"). */
#ifndef HAK_CORE_HINTS_H
#define HAK_CORE_HINTS_H

#include "base/atomic.h"
#include "core/types.h"

/* Run lengths with a hint: 1, 2, 3 .. 16, 18, 20 .. 32 slices. All that slabs and spans ask for are among them, so
 * that a hint speaks of the run that is wanted: with shorter ones instead, every request would look at all segments that
 * have only those. */
#define HAK_HINT_RUNS 24u
#define HAK_HINT_KINDS (HAK_SPAN_CLASSES + HAK_HINT_RUNS)

/* The length of the r-th. */
HAK_FAST unsigned hak_hint_run_slices(unsigned r) { return r < 16 ? r + 1 : 2 * r - 14; }

HAK_FAST unsigned hak_hint_of_span_class(unsigned class_number) { return class_number; }
HAK_FAST unsigned hak_hint_of_run(unsigned r) { return HAK_SPAN_CLASSES + r; }

/* The longest hinted run that is not longer than `slices` (at least 1). */
HAK_FAST unsigned hak_hint_run_within(unsigned slices) {
  if (slices > 32) slices = 32;
  return slices <= 16 ? slices - 1 : slices / 2 + 7;
}

/* All of these are _mt. */
HAK_HIDDEN void hak_hint_set(unsigned kind, uint32_t segment);
HAK_HIDDEN void hak_hint_clear(unsigned kind, uint32_t segment);

/* The first segment from `from` on (below `end`) with a hint of this kind; `end` when there is none. */
HAK_HIDDEN uint32_t hak_hint_next(unsigned kind, uint32_t from, uint32_t end);

#endif
