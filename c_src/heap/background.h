/* The background thread (option `background`): gives memory back while the program does nothing. It is made in a slow path,
 * when the C library can make threads, and sleeps without a time limit while nothing is dirty. Without the option there
 * is none. */
#ifndef HAK_HEAP_BACKGROUND_H
#define HAK_HEAP_BACKGROUND_H

#include "base/atomic.h"

/* Whether the thread is to be made. */
HAK_HIDDEN extern _Atomic bool hak_background_xwanted;

/* Makes it, if the time has come. By a thread in an allocation, which holds nothing. Not in a free: the C library frees
 * under locks that it needs to make a thread. Allocates. Keeps errno. _mt */
HAK_SLOW void hak_background_start_mt(void);

HAK_FAST void hak_background_tick_mt(void) {
  if (HAK_UNLIKELY(hak_load_relaxed(&hak_background_xwanted))) hak_background_start_mt();
}

/* At the start of the process, the options read; and in the child of a fork, which has no such thread. */
HAK_HIDDEN void hak_background_init(void);

#endif
