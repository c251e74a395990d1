/* What is done when a request meets the limit (core/limit.h): memory that is not in use is given back, then the program is
 * asked. And the collection, by which that is done, when a program asks for it, too. */
#ifndef HAK_HEAP_RELIEF_H
#define HAK_HEAP_RELIEF_H

#include "base/atomic.h"

/* How far a request has come with it; all zero at its first failure. */
typedef struct hak_relief {
  bool collected; /* what was free, for this request */
  bool over;      /* there is no more to be done: the request fails because of the limit */
} hak_relief_t;

/* To be called after a request for `bytes` got no memory: true when the caller is to try again. False at once when it was not
 * the limit (or, in the secure build, blocks that waited in the quarantine). The caller holds nothing, is in no guard, and has not looked at anything that a call of any function of
 * the interface may change. Keeps errno. _mt */
HAK_SLOW bool hak_relief_mt(hak_relief_t *relief, size_t bytes);

/* hak_collect. _mt */
HAK_HIDDEN void hak_relief_collect_mt(bool force);

/* A forced collection that leaves `pad` bytes of what is free, and returns whether any memory went back; for programs that
 * ask all the time, too: it takes no more than a ninth of the time. It comes at once if HAK_TRIM_REST_MS have passed since the
 * last one, and eight times as long as that took. Before that only if much is free as a whole, in slices and mappings:
 * 1 MiB more than `pad`, then 2, 4 and so on; else nothing is done, for the price of two or three loads. _mt */
HAK_HIDDEN bool hak_relief_trim_mt(size_t pad);

#endif
