/* C11 atomics with the order in the name, so that a reader sees at each use what is promised. Fields that more than one
 * thread writes start with x; the comment at each release or acquire names its pair. */
#ifndef HAK_BASE_ATOMIC_H
#define HAK_BASE_ATOMIC_H

#include <stdatomic.h>

#include "base/attr.h"

#define hak_load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
/* A relaxed load that the compiler may make part of another instruction, which it never does with an atomic one. It may
 * also load twice, so this is for values that do not change while anybody with a right to them looks. */
#if HAK_SANITIZED
#define hak_load_foldable(p, type) hak_load_relaxed(p)
#else
#define hak_load_foldable(p, type) (*(const type *)(const void *)(p))
#endif
#define hak_load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#define hak_load_seq(p) atomic_load_explicit((p), memory_order_seq_cst)
#define hak_store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define hak_store_seq(p, v) atomic_store_explicit((p), (v), memory_order_seq_cst)
#define hak_store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define hak_swap_acquire(p, v) atomic_exchange_explicit((p), (v), memory_order_acquire)
#define hak_swap_release(p, v) atomic_exchange_explicit((p), (v), memory_order_release)
#define hak_add_relaxed(p, v) atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define hak_sub_relaxed(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_relaxed)
#define hak_or_relaxed(p, v) atomic_fetch_or_explicit((p), (v), memory_order_relaxed)
#define hak_or_seq(p, v) atomic_fetch_or_explicit((p), (v), memory_order_seq_cst)
#define hak_and_relaxed(p, v) atomic_fetch_and_explicit((p), (v), memory_order_relaxed)
#define hak_and_seq(p, v) atomic_fetch_and_explicit((p), (v), memory_order_seq_cst)
#define hak_cas_relaxed(p, old, new) \
  atomic_compare_exchange_strong_explicit((p), (old), (new), memory_order_relaxed, memory_order_relaxed)
#define hak_cas_seq(p, old, new) \
  atomic_compare_exchange_strong_explicit((p), (old), (new), memory_order_seq_cst, memory_order_seq_cst)
#define hak_cas_acquire(p, old, new) \
  atomic_compare_exchange_strong_explicit((p), (old), (new), memory_order_acquire, memory_order_relaxed)
#define hak_cas_weak_release(p, old, new) \
  atomic_compare_exchange_weak_explicit((p), (old), (new), memory_order_release, memory_order_relaxed)
#define hak_cas_weak_acquire(p, old, new) \
  atomic_compare_exchange_weak_explicit((p), (old), (new), memory_order_acquire, memory_order_acquire)
#define hak_cas_acq_rel(p, old, new) \
  atomic_compare_exchange_strong_explicit((p), (old), (new), memory_order_acq_rel, memory_order_relaxed)

/* Fetches a cache line that is about to be written, so that the writes of several can be waited for together: a processor
 * commits its stores in order, one miss after another. Only a hint; what x86-64 processors do not know it, skip it. */
#if defined(__x86_64__)
#define hak_prefetch_write(p) __asm__ volatile("prefetchw %0" : : "m"(*(const char *)(const void *)(p)))
#else
#define hak_prefetch_write(p) __builtin_prefetch((p), 1)
#endif

/* The owner's half of an asymmetric barrier: keeps the compiler's order. The other half is a system call that makes the
 * processor keep it too (hak_os_barrier_all_threads). */
#define hak_owner_barrier() atomic_signal_fence(memory_order_seq_cst)

/* A counter that one thread writes and any thread reads: no read-modify-write, no lost reads. */
#define hak_count(p, n) hak_store_relaxed((p), hak_load_relaxed(p) + (n))

#endif
