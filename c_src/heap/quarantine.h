/* Delayed reuse, in the secure build: what a thread frees waits before anybody may get it, so that a use of it after the free
 * meets nobody's data, and a second free is certain to be one.
 *
 *   hak_free --> wiped --> quarantine --a random one, when it is full--> looked at --> freed as in every build
 *
 * A block that waits is still live for the tiers. It is all zero but for its trailer (core/trailer.h). Bounded by
 * HAK_QUARANTINE_BLOCKS and the option QUARANTINE_KIB, for each thread; drained at the thread's end, by a collection, and when
 * memory runs out. In the child of a fork what the other threads had in theirs is lost, as what was in their bins. */
#ifndef HAK_HEAP_QUARANTINE_H
#define HAK_HEAP_QUARANTINE_H

#include "core/types.h"

/* Frees a block as the plain hak_free does. The API provides it (api/secure.c), which alone knows how. */
HAK_HIDDEN void hak_quarantine_release(void *block);

/* Clears the block's bytes but those of its trailer. What is large is given back to the system instead. Keeps errno. */
HAK_HIDDEN void hak_quarantine_wipe(char *block, size_t bytes);

/* Whether a block of so many bytes is kept at all. */
HAK_HIDDEN bool hak_quarantine_takes(size_t bytes);

/* Takes in a wiped block that hak_quarantine_takes; others leave for it. `function`: what the program called, which is named
 * when one of these was written to. Keeps errno. */
HAK_HIDDEN void hak_quarantine_put(hak_theap_t *heap, void *block, size_t bytes, const char *function);

/* Lets all blocks go. False when there were none. Keeps errno. */
HAK_HIDDEN bool hak_quarantine_drain(hak_theap_t *heap, const char *function);

/* Forgets all blocks, of a thread that is no more: for the child of a fork only. */
HAK_HIDDEN void hak_quarantine_forget(hak_theap_t *heap);

/* Looks at all blocks, which stay. */
HAK_HIDDEN void hak_quarantine_look(const hak_theap_t *heap, const char *function);

/* Whether the invariant of the structure holds. Tests. */
HAK_HIDDEN bool hak_quarantine_is_valid(const hak_theap_t *heap);

#endif
