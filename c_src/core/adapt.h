/* ACE, the adaptive cache engine: how many blocks a thread's magazine of a span class may hold. It decides where it is
 * called, in the slow paths of that magazine, from what happened there before:
 *
 *   both ways   misses and overflows: the thread gives away what it needs again. When so many of both come in a window of
 *               time that they are worth the memory, the capacity doubles; so it stops where they have become rare. Blocks
 *               above 256 KiB, each a span of its own, begin with none: whoever uses many sizes would keep one of each.
 *   one way     more misses, or more overflows, in a row than any capacity could have prevented: the thread allocates what
 *               others free, or the other way round, and a magazine is a batch for it and no cache. The capacity goes to
 *               that of a batch, and what overflows goes back whole.
 *   idle        not used between two looks (heap/idle.c): all of it goes back, and the magazine is closed, as all are when a
 *               thread begins; of one that is used, half of what was always left over goes back.
 *
 * Capacities above those that all begin with have a budget that all threads share: max(256 MiB, what is in use / 8). So a
 * thread that sleeps strands no more than its start capacities and a part of the budget. Why each thread for itself, and
 * not one plan for all: docs/decisions/ace.md. What is wasted is time, so time is an argument. */
#ifndef HAK_CORE_ADAPT_H
#define HAK_CORE_ADAPT_H

#include "core/types.h"

typedef struct hak_adapt_bounds {
  uint32_t start, batch, most; /* blocks */
  uint32_t worth;              /* bytes of capacity that one miss and one overflow in a window are worth */
} hak_adapt_bounds_t;

/* Reads the options, before any heap exists. */
HAK_HIDDEN void hak_adapt_init(void);

/* The bounds of a class. With learning off, all three capacities are the same, as options pin them. _mt */
HAK_HIDDEN const hak_adapt_bounds_t *hak_adapt_bounds(unsigned class_number);

/* The magazine of the class is empty. Sets its capacity and returns how many blocks to refill it with, at least 1. */
HAK_HIDDEN uint32_t hak_adapt_missed(hak_theap_t *heap, unsigned class_number, hak_magazine_t *magazine,
                                     uint64_t now_ms);

/* The magazine of the class is full. Sets its capacity and returns how many of the blocks must be spilled, the oldest; 0
 * when it has room now, and when it has no capacity still: then the block that comes must be spilled at once. */
HAK_HIDDEN uint32_t hak_adapt_overflowed(hak_theap_t *heap, unsigned class_number, hak_magazine_t *magazine,
                                         uint64_t now_ms);

/* Makes room for so many blocks in an empty magazine, or as many as it may have; returns how many those are. */
HAK_HIDDEN uint32_t hak_adapt_prewarm(hak_theap_t *heap, unsigned class_number, hak_magazine_t *magazine,
                                      uint32_t blocks);

/* Notes how many blocks the magazine has just now: between two looks, the least of it is a surplus. */
HAK_HIDDEN void hak_adapt_sample(hak_theap_t *heap, unsigned class_number, const hak_magazine_t *magazine);

/* A look at an open magazine, some time after the last: whether it was not used since. If it was, what to spill of it is in
 * *surplus; if not, all must be spilled, and then it must be closed. */
HAK_HIDDEN bool hak_adapt_is_idle(hak_theap_t *heap, unsigned class_number, const hak_magazine_t *magazine,
                                  uint32_t *surplus);

/* Closes an empty magazine: it has no capacity until it is used again. */
HAK_HIDDEN void hak_adapt_close(hak_theap_t *heap, unsigned class_number, hak_magazine_t *magazine);

/* For the child of a fork: other threads may have been between the steps of a change. */
HAK_HIDDEN void hak_adapt_recount(void);

/* What all magazines may have above their start capacities, and what they have of it; in bytes. _mt */
HAK_HIDDEN uint64_t hak_adapt_budget_mt(void);
HAK_HIDDEN uint64_t hak_adapt_grown_mt(void);

#endif
