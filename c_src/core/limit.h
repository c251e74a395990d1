/* The process-wide limit on what the allocator holds for the program: slices that are in use or may be resident, and live
 * and cached mappings of the mmap tier, each in whole. Counted where memory comes from the system and goes back, next to a
 * page fault or a system call; nowhere else. Tables of our own are not counted.
 *
 * Invariant, while nobody is in between: held == (active + dirty slices) * HAK_SLICE_BYTES + live + cached bytes of the
 * mmap tier. What is taken is counted before it is used and taken back when that was too much, so the limit holds whoever
 * comes at the same time; two that come together may both be refused where one had room. */
#ifndef HAK_CORE_LIMIT_H
#define HAK_CORE_LIMIT_H

#include "base/atomic.h"
#include "hakmem.h"
#include "os/os.h"

/* Counts `bytes` that are about to be used; false, nothing counted and hak_limit_met set, when that is too much. _mt */
HAK_HIDDEN bool hak_limit_take_mt(size_t bytes);

/* Counts bytes that went back. _mt */
HAK_HIDDEN void hak_limit_give_mt(size_t bytes);

/* Counts bytes as they are, whatever the limit: for the child of a fork. */
HAK_HIDDEN void hak_limit_correct(int64_t bytes);

/* The limit that the process begins with; before anybody can set another. */
HAK_HIDDEN void hak_limit_start(int64_t bytes);

/* Whether the limit refused the calling thread anything since it last cleared this. */
HAK_HIDDEN extern _Thread_local bool hak_limit_met HAK_TLS_MODEL;

/* The limit, INT64_MAX for none, and who is to be called when it is met; both at once. _mt */
HAK_HIDDEN void hak_limit_set_mt(int64_t bytes, hak_limit_callback_t callback, void *argument);
HAK_HIDDEN hak_limit_callback_t hak_limit_callback_mt(void **argument);

/* What is held, the limit, and the requests that failed because of it. _mt */
HAK_HIDDEN int64_t hak_limit_held_mt(void);
HAK_HIDDEN int64_t hak_limit_bytes_mt(void);
HAK_HIDDEN _Atomic(uint64_t) *hak_limit_failed(void);

/* Of the callback; for fork. */
HAK_HIDDEN extern hak_lock_t hak_limit_lock;

#endif
