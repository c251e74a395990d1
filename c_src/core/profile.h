/* The profile: which live blocks were sampled, from where, and what they stand for. Only in builds with HAK_PROFILE.
 *
 *   thread      a countdown of bytes to its next sample (core/poisson.h), in static TLS; runs in every allocation
 *   samples     live ones by address: 8192 buckets of 8 places; a byte for every 8th of a bucket says whether any is there,
 *               which is all that the free of a block that was not sampled looks at
 *   stacks      each call stack once, with its figures; never forgotten but by a reset
 *
 * Everything in the tables is written under one lock, the innermost: nothing is called or taken meanwhile. What is read
 * without it, by whoever frees a block, is the byte and the addresses of a bucket: docs/concurrency.md says why that is
 * enough. The tables are one mapping of fixed size, made when the profile first starts; what does not fit is counted. */
#ifndef HAK_CORE_PROFILE_H
#define HAK_CORE_PROFILE_H

#include "base/atomic.h"
#include "base/limits.h"
#include "os/os.h"

#ifdef HAK_PROFILE
#define HAK_PROFILING 1
#else
#define HAK_PROFILING 0
#endif

#define HAK_PROFILE_BUCKET_BITS 13
#define HAK_PROFILE_PLACES 8u /* of a bucket: a cache line of addresses */
#define HAK_PROFILE_SAMPLES ((size_t)HAK_PROFILE_PLACES << HAK_PROFILE_BUCKET_BITS)
#define HAK_PROFILE_STACK_BYTES (8 * HAK_MIB) /* of all stacks: 64 bytes and 8 for each address */
#define HAK_PROFILE_DEPTH 64u                 /* addresses of a stack; the outermost are left out */

/* After so many bytes at the latest a thread notices that the profile was started, stopped, or has another mean. */
#define HAK_PROFILE_LEG_BYTES (256 * HAK_KIB)

/* The thread's part. All zero at its start: the first allocation looks closer. */
typedef struct hak_profile_tls {
  uint64_t left;                   /* bytes before the next closer look */
  uint64_t rest;                   /* from then to the next sample */
  uint64_t mean;                   /* with which that was drawn; 0: no sample is due */
  uint64_t random;                 /* the generator's state */
  uintptr_t stack_low, stack_high; /* of its stack, as far as known */
  uint8_t stack_looks;             /* how often they were looked for in vain */
  bool seeded, busy;               /* busy: in the profile, or in the program's unwinder; nothing is sampled */
} hak_profile_tls_t;

HAK_HIDDEN extern _Thread_local hak_profile_tls_t hak_profile_tls HAK_TLS_MODEL;
HAK_HIDDEN extern _Atomic uint8_t hak_profile_xfilter[HAK_PROFILE_SAMPLES];
HAK_HIDDEN extern _Atomic uint64_t hak_profile_xmean; /* of new samples; 0: stopped */

/* Counts a request down; true when a closer look is due. A request of 0 bytes counts, too, so that it can be sampled. */
HAK_FAST bool hak_profile_count(size_t size) {
  return HAK_UNLIKELY(__builtin_sub_overflow(hak_profile_tls.left, (uint64_t)size + 1, &hak_profile_tls.left));
}

/* The closer look: whether that request is to be sampled, that is, its block handed to hak_profile_record. `*mean`: with
 * which. Restarts the countdown. */
HAK_SLOW bool hak_profile_fires(size_t size, uint64_t *mean);

/* The place of an address in the filter; its bucket is the same without the low 3 bits. */
HAK_FAST size_t hak_profile_place(const void *p) {
  return (size_t)((uint64_t)(uintptr_t)p * UINT64_C(0x9e3779b97f4a7c15) >> (64 - HAK_PROFILE_BUCKET_BITS - 3));
}

/* Whether the block may be sampled: never wrong in saying no. */
HAK_FAST bool hak_profile_may_have(const void *p) {
  return HAK_UNLIKELY(hak_load_relaxed(&hak_profile_xfilter[hak_profile_place(p)]) != 0);
}

/* What is kept of a sample. */
typedef struct hak_profile_sample {
  const void *heap;        /* of a program's own, or NULL */
  uint64_t bytes;          /* requested, of all blocks that it stands for; 0 is none */
  uint64_t blocks;         /* how many those are, times 65536 */
  uint32_t stack;          /* where in the memory of stacks, in words; 0: no sample */
  uint32_t next, previous; /* of samples of heaps with the same hash: number + 1, or 0 */
  uint32_t generation;     /* of the tables */
} hak_profile_sample_t;

/* From where an allocation was called. */
typedef struct hak_profile_site {
  uintptr_t inner,
      outer;       /* return addresses: of the function that asks, and of the public one that called it; may be one */
  uintptr_t frame; /* the frame of the first */
} hak_profile_site_t;

/* Records the sampled block. _mt */
HAK_SLOW void hak_profile_record(const void *block, size_t size, const void *heap, uint64_t mean,
                                 hak_profile_site_t site);

/* Takes a block that is about to be freed out of the samples; `*taken` is what was known, stack 0 if it was none. It can be
 * put back if the block stays after all. _mt */
HAK_SLOW void hak_profile_forget(const void *block, hak_profile_sample_t *taken);
HAK_SLOW void hak_profile_put_back(const void *block, hak_profile_sample_t taken);

/* Takes all blocks of a heap out, with which nobody does anything meanwhile. _mt */
HAK_HIDDEN void hak_profile_forget_heap(const void *heap);

/* The sums of a stack, or of all; blocks are times 65536 here. */
typedef struct hak_profile_sums {
  uint64_t live_samples, live_blocks, live_bytes, total_samples, total_blocks, total_bytes;
} hak_profile_sums_t;

/* Maps the tables, once; false without memory. Sets the mean. */
HAK_HIDDEN bool hak_profile_begin_mt(uint64_t mean);
HAK_HIDDEN void hak_profile_clear_mt(void);
HAK_HIDDEN void hak_profile_totals_mt(hak_profile_sums_t *sums, uint64_t *dropped, uint64_t *stacks);

/* Copies the stack at `*at` (0: the first) and goes to the next; returns its depth, or 0 when there are no more, or when
 * there was a clear since the first. */
HAK_HIDDEN size_t hak_profile_next_mt(uint32_t *at, uint32_t *generation, const void **addresses,
                                      hak_profile_sums_t *sums);

/* The program's unwinder; NULL: frame pointers. */
typedef size_t hak_profile_unwinder_t(const void **addresses, size_t most);
HAK_HIDDEN extern _Atomic(hak_profile_unwinder_t *) hak_profile_xunwinder;

/* The call stack of an allocation, innermost first: HAK_PROFILE_DEPTH return addresses at most, at least 1. Allocates nothing, but
 * a program's unwinder may. */
HAK_HIDDEN size_t hak_profile_walk(hak_profile_site_t site, const void **addresses);

/* For fork. */
HAK_HIDDEN extern hak_lock_t hak_profile_lock;

/* Tests: threads that begin from now on draw from this seed and their number. */
HAK_HIDDEN void hak_profile_seed(uint64_t seed);

#endif
