/* The contract with the operating system: all that the allocator asks of it. One file a system implements this; nothing
 * else maps, advises, waits or reads the clock. Any thread may call every function. Failures are return values; a
 * function that cannot fail says so. None allocates. Functions used on the way of a free keep errno. */
#ifndef HAK_OS_OS_H
#define HAK_OS_OS_H

#include "base/atomic.h"

/* The page size in bytes, a power of two, read from the system once. */
HAK_HIDDEN size_t hak_os_page_bytes(void);

/* The number of processors the process may run on; at least 1. */
HAK_HIDDEN unsigned hak_os_cpus(void);

/* Maps `bytes` (a multiple of the page size) of zeroed memory, readable and writable. NULL with errno on failure. */
HAK_HIDDEN void *hak_os_map(size_t bytes);

/* As hak_os_map, aligned to `alignment` (a power of two, at least a page). */
HAK_HIDDEN void *hak_os_map_aligned(size_t bytes, size_t alignment);

/* Unmaps whole pages that hak_os_map returned, or a part of them. False when the system refuses: then they stay mapped
 * and usable. Keeps errno. */
HAK_HIDDEN bool hak_os_unmap(void *base, size_t bytes);

/* Resizes a mapping, moving it when it has to; content is kept, new pages are zero. NULL on failure: nothing changed. */
HAK_HIDDEN void *hak_os_remap(void *base, size_t old_bytes, size_t new_bytes);

/* Gives the pages back; they read as zero afterwards. False when the system refuses: the content is then undefined but
 * the pages are usable. Keeps errno. */
HAK_HIDDEN bool hak_os_purge(void *base, size_t bytes);

/* Makes the range's pages resident and writable at once, which costs less than a fault for each. May fail without
 * consequence: then they come as they are touched. Keeps errno. */
HAK_HIDDEN void hak_os_populate(void *base, size_t bytes);

/* Asks that no transparent huge pages back the range, or that they do. May fail without consequence. Keep errno. */
HAK_HIDDEN void hak_os_no_huge_pages(void *base, size_t bytes);
HAK_HIDDEN void hak_os_huge_pages(void *base, size_t bytes);

/* Milliseconds of a monotonic clock that is read without a system call, to within a tick (1 to 10 ms). */
HAK_HIDDEN uint64_t hak_os_now_ms(void);

/* Fills in bytes that nobody can guess: the kernel's random numbers, or as good as there are without. Cannot fail, calls
 * nothing that a program could have replaced. Keeps errno. */
HAK_HIDDEN void hak_os_secret(void *out, size_t bytes);

/* The value of an environment variable, or NULL. Calls nothing that a program could have replaced. */
HAK_HIDDEN const char *hak_os_env(const char *name);

/* Has `on_exit(argument)` called when the calling thread ends; a repeated call replaces the argument. False when the
 * system has no room for it. */
HAK_HIDDEN bool hak_os_at_thread_exit(void (*on_exit)(void *), void *argument);

/* The library's one thread of its own: whether one may be made yet (the C library is ready), and make it. `run` is called on
 * it, with all signals blocked; before the library is unloaded, `stop` is called, after which `run` must return soon, for
 * that is waited for. The caller holds nothing: this allocates. False when the system refuses. Keep errno. */
HAK_HIDDEN bool hak_os_may_make_thread(void);
HAK_HIDDEN bool hak_os_make_thread(void (*run)(void), void (*stop)(void));

/* A lock for slow paths; zero is unlocked. At most one is held at a time (see docs/concurrency.md). */
typedef struct hak_lock {
  _Atomic uint32_t xstate; /* 0 free, 1 held, 2 held and somebody may be waiting */
} hak_lock_t;

HAK_HIDDEN extern _Thread_local bool hak_os_locks_mine HAK_TLS_MODEL;
HAK_SLOW void hak_lock_slow(hak_lock_t *lock);

/* Takes the lock if it is free. */
HAK_FAST bool hak_lock_try(hak_lock_t *lock) {
  uint32_t expected = 0;
  /* acquire pairs with the release in hak_unlock: what the last holder wrote is visible */
  return hak_cas_acquire(&lock->xstate, &expected, 1);
}

HAK_FAST void hak_lock(hak_lock_t *lock) {
  if (HAK_UNLIKELY(!hak_lock_try(lock))) hak_lock_slow(lock);
}

HAK_FAST void hak_unlock(hak_lock_t *lock);

/* Sleeps while *word == value, or not at all; the caller looks again. Wakes one sleeper. Keep errno. */
HAK_HIDDEN void hak_os_wait(_Atomic uint32_t *word, uint32_t value);
HAK_HIDDEN void hak_os_wait_ms(_Atomic uint32_t *word, uint32_t value, uint64_t ms); /* no longer than this */
HAK_SLOW void hak_os_wake(_Atomic uint32_t *word);

HAK_FAST void hak_unlock(hak_lock_t *lock) {
  if (HAK_UNLIKELY(hak_os_locks_mine)) return;
  if (HAK_UNLIKELY(hak_swap_release(&lock->xstate, 0) == 2)) hak_os_wake(&lock->xstate);
}

/* Lets other threads run. */
HAK_HIDDEN void hak_os_yield(void);

/* Tells the kernel that hak_os_barrier_all_threads will be wanted, if the process has one thread: then that takes no time.
 * Later, as in the first barrier otherwise, the kernel waits for all processors: 10 ms and more. Keeps errno. */
HAK_HIDDEN void hak_os_barrier_prepare(void);

/* Returns after every running thread of the process has passed a full memory barrier. False, and then always, when the
 * kernel cannot do that. Keeps errno. */
HAK_HIDDEN bool hak_os_barrier_all_threads(void);

/* Between these two, by the same thread, every lock is the calling thread's: hak_lock and hak_unlock do nothing. (One that
 * is made meanwhile stays held until the caller frees it.) For the
 * time of a fork, in which handlers of others run between our own. The caller holds all locks. */
HAK_HIDDEN void hak_locks_begin_mine(void);
HAK_HIDDEN void hak_locks_end_mine(void);

/* Makes the lock free whoever held it: for the child of a fork only. */
HAK_HIDDEN void hak_lock_reset(hak_lock_t *lock);

/* Makes good what other threads were doing in this layer when the process was forked: for the child only. */
HAK_HIDDEN void hak_os_reset(void);

/* Has the three functions called around every fork of the process, as pthread_atfork does. */
HAK_HIDDEN void hak_os_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void));

/* Tests only (HAK_TESTING): from now on let `after` calls of map, remap and purge succeed and fail the `count` calls
 * that follow with ENOMEM; and of make_thread. */
HAK_HIDDEN void hak_os_fail_calls(unsigned after, unsigned count);

#endif
