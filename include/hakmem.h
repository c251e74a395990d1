/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * hakmem: a general-purpose memory allocator. The C interface.
 *
 * Valid from C99 to C17 and from C++11 on. Every function may be called from any thread at any time, before main and
 * in destructors included, unless its comment says otherwise. Sizes and alignments are in bytes. A block belongs to
 * whoever holds the pointer until exactly one call of a free or realloc function takes it; any thread may make that
 * call. Functions that allocate return NULL with errno = ENOMEM when memory runs out (or the request is larger than
 * PTRDIFF_MAX) and leave every block already allocated untouched. A block is aligned to 16 bytes at least. A request
 * for 0 bytes yields a unique block of the smallest size.
 *
 * A pointer that is not a live block of this allocator, handed to a function below, ends the process with one line on
 * standard error that names the function, the pointer and what is wrong with it.
 */
#ifndef HAKMEM_H
#define HAKMEM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define HAK_API __attribute__((visibility("default")))
#define HAK_ATTR_MALLOC __attribute__((malloc, warn_unused_result))
#define HAK_ATTR_USE_RESULT __attribute__((warn_unused_result))
#define HAK_ATTR_ALLOC_SIZE(n) __attribute__((alloc_size(n)))
#define HAK_ATTR_ALLOC_SIZE2(n, m) __attribute__((alloc_size(n, m)))
#define HAK_ATTR_ALLOC_ALIGN(n) __attribute__((alloc_align(n)))
#define HAK_ATTR_NONNULL(n) __attribute__((nonnull(n)))
#define HAK_ATTR_CONST __attribute__((const))
#else
#define HAK_API
#define HAK_ATTR_MALLOC
#define HAK_ATTR_USE_RESULT
#define HAK_ATTR_ALLOC_SIZE(n)
#define HAK_ATTR_ALLOC_SIZE2(n, m)
#define HAK_ATTR_ALLOC_ALIGN(n)
#define HAK_ATTR_NONNULL(n)
#define HAK_ATTR_CONST
#endif

/* The version of this header: major * 10000 + minor * 100 + patch. */
#define HAK_VERSION 100

/* The version of the library, in the form of HAK_VERSION. */
HAK_API HAK_ATTR_CONST int hak_version(void);

/* ---- Allocation ------------------------------------------------------------------------------------------------ */

/* Returns a block of at least `size` bytes with undefined content. */
HAK_API HAK_ATTR_MALLOC HAK_ATTR_ALLOC_SIZE(1) void *hak_malloc(size_t size);

/* As hak_malloc. `site` is what the request is attributed to in log lines when it fails, by custom the address of the
 * caller; NULL means unknown. This is the call that walks the tier chain: tiny, mid, pool, ACE, mmap. */
HAK_API HAK_ATTR_MALLOC HAK_ATTR_ALLOC_SIZE(1) void *hak_alloc_at(size_t size, const void *site);

/* Returns a block of at least `count * size` zero bytes; a product that overflows fails with ENOMEM. Memory that the
 * system delivered zeroed is not cleared a second time. */
HAK_API HAK_ATTR_MALLOC HAK_ATTR_ALLOC_SIZE2(1, 2) void *hak_calloc(size_t count, size_t size);

/* Resizes the block `ptr` to at least `size` bytes, in place where its size class or the system allows, else by moving
 * it. Content is kept up to the smaller of both sizes. NULL as `ptr` allocates; 0 as `size` resizes to the smallest
 * block (it does not free). On failure returns NULL and `ptr` stays valid. */
HAK_API HAK_ATTR_USE_RESULT HAK_ATTR_ALLOC_SIZE(2) void *hak_realloc(void *ptr, size_t size);

/* Returns a block of at least `size` bytes aligned to `alignment`, which must be a power of two up to 1 GiB; otherwise
 * fails with EINVAL. `size` need not be a multiple of it. */
HAK_API void *hak_aligned_alloc(size_t alignment, size_t size) HAK_ATTR_MALLOC HAK_ATTR_ALLOC_ALIGN(1)
    HAK_ATTR_ALLOC_SIZE(2);

/* hak_aligned_alloc with zeroed content. */
HAK_API void *hak_aligned_zalloc(size_t alignment, size_t size) HAK_ATTR_MALLOC HAK_ATTR_ALLOC_ALIGN(1)
    HAK_ATTR_ALLOC_SIZE(2);

/* As POSIX says: stores the block in `*out` and returns 0, or returns EINVAL or ENOMEM and leaves `*out` and errno
 * alone. `alignment` must be a power of two, a multiple of sizeof(void *), and at most 1 GiB. */
HAK_API HAK_ATTR_USE_RESULT HAK_ATTR_NONNULL(1) int hak_posix_memalign(void **out, size_t alignment, size_t size);

/* Resizes a block of which the caller knows alignment and size, those of its last allocation or reallocation, and
 * keeps the alignment. `ptr` must not be NULL. Otherwise as hak_realloc. */
HAK_API void *hak_realloc_aligned_sized(void *ptr, size_t alignment, size_t old_size, size_t new_size)
    HAK_ATTR_USE_RESULT HAK_ATTR_NONNULL(1) HAK_ATTR_ALLOC_SIZE(4);

/* ---- Release --------------------------------------------------------------------------------------------------- */

/* Frees a block of any function above; NULL is ignored. Keeps errno. */
HAK_API void hak_free(void *ptr);

/* The smallest size that hak_free_sized frees faster than hak_free. */
#define HAK_FREE_SIZED_MIN 8193

/* Frees a block whose size at its last allocation or reallocation was exactly `size` (count * size for hak_calloc) and
 * whose alignment, if one was asked for, was at most 16; from HAK_FREE_SIZED_MIN on it is faster than hak_free. NULL is
 * ignored. From 8 KiB to 52 KiB the caller is trusted: a wrong size or a block that is free already may be noticed
 * late. Blocks of a heap of such sizes are not for this function (see hak_heap_t). */
HAK_API void hak_free_sized(void *ptr, size_t size);

/* Frees a block allocated with exactly this alignment and size by one of the aligned functions. NULL is ignored. The
 * same holds for sizes and heaps as for hak_free_sized. */
HAK_API void hak_free_aligned_sized(void *ptr, size_t alignment, size_t size);

/* Returns memory that is not in use to the system: what the calling thread caches, what finished threads left behind,
 * and free spans and mappings. With `force` 0, only what has been free for a while. Keeps errno. */
HAK_API void hak_collect(int force);

/* ---- A limit for the whole process ------------------------------------------------------------------------------ */

/* Called when a request of `size` bytes would take the process beyond the limit, all that was free has gone back to the
 * system, and it still would. Returns 0 when the request is to fail, anything else when there may be room now: then it is
 * tried again, and if that is in vain, this is called again. It runs in the thread that made the request, in several at
 * once perhaps, with none of hakmem's locks held: it may free blocks, and call hak_collect or hak_limit_set. What it
 * allocates may fail, without another call. It must return (no longjmp, no exception), must not destroy or reset the heap
 * that the request is to, nor free or resize the block that is being resized, nor wait for a lock that the caller may
 * have. */
typedef int (*hak_limit_callback_t)(void *argument, size_t size);

/* Sets the most that hakmem may hold for the process, in bytes as `held_bytes` of hak_stats_get has them; 0: no limit, as
 * at the start (or what the option LIMIT_KIB says). What is held already stays, be it more. A request for which more would
 * be needed gives back what is free, calls `callback` (unless it is NULL) with `argument`, and at last returns NULL with
 * errno = ENOMEM; blocks that lie free in the caches of threads are served as ever. Requests that arrive together may
 * fail where one of them had room. A free may put the figure above the limit, though no memory comes with it. The former
 * callback may still run in other threads when this returns. */
HAK_API void hak_limit_set(size_t bytes, hak_limit_callback_t callback, void *argument);

/* ---- Questions about blocks ------------------------------------------------------------------------------------ */

/* The bytes that may be written at `ptr`: the size asked for, rounded up to its size class; in the secure build (HAK_SECURE)
 * that size itself, but 1 for 0. 0 for NULL. */
HAK_API size_t hak_usable_size(const void *ptr);

/* What hak_usable_size would report for a block of hak_malloc(size), in the secure build `size` itself; 0 when the request is
 * too large. */
HAK_API HAK_ATTR_CONST size_t hak_good_size(size_t size);

/* The tiers, in the order in which a request walks them. */
#define HAK_TIER_TINY 0 /* to 1 KiB */
#define HAK_TIER_MID 1  /* to 8 KiB */
#define HAK_TIER_POOL 2 /* to 52 KiB */
#define HAK_TIER_ACE 3  /* to 2 MiB */
#define HAK_TIER_MMAP 4 /* above */
#define HAK_TIER_COUNT 5
#define HAK_TIER_NONE (-1)

/* The tier that serves the block `ptr`, or HAK_TIER_NONE when it is not a live block of this allocator. Never ends the
 * process, so it also answers for pointers of other allocators. For a pointer into the middle of a block: NONE. */
HAK_API int hak_tier_of(const void *ptr);

/* The name of a tier in lower case ("tiny"); "none" for any other value. The string is static. */
HAK_API HAK_ATTR_CONST const char *hak_tier_name(int tier);

/* ---- Heaps of a program's own ----------------------------------------------------------------------------------- */

/* A heap from which a program allocates by name, and of which it can give all blocks back at once: an arena for a
 * request, a level of a game, a query, a cache with a limit. What is said at the top of this file holds for the
 * functions here too: any thread may allocate from any heap and free its blocks at any time, but for what
 * hak_heap_reset and hak_heap_destroy say. Operations on one heap exclude each other by a lock of its own; different
 * heaps share nothing that their threads would wait for.
 *
 * A heap's blocks are like others: hak_free, hak_usable_size, hak_tier_of, hak_realloc and hak_realloc_aligned_sized
 * take them, and the last two leave them in their heap. But hak_free_sized and hak_free_aligned_sized must NOT be given
 * a heap's block of more than 8 KiB to 52 KiB: they look at nothing but the size, and would keep the block for
 * hak_malloc to hand out, which ends badly when the heap goes. (As long as it does not, no harm is done.) For those who
 * have the size, there is hak_heap_free_sized. The options that switch tiers off do not concern heaps. */
typedef struct hak_heap hak_heap_t;

/* Set `size` to sizeof(hak_heap_options_t) and the rest to 0 before setting what is wanted; a later version may add
 * fields at the end. */
typedef struct hak_heap_options {
  size_t size; /* sizeof(hak_heap_options_t) */
  size_t
      limit_bytes; /* the most that the heap's live blocks may be together, in bytes by hak_usable_size; 0: no limit */
} hak_heap_options_t;

/* Returns a new, empty heap; `options` may be NULL for the defaults. It needs no memory of its own but some 1.1 KiB,
 * and makes no system call when a heap was destroyed before. Fails with ENOMEM, or EINVAL when `options->size` is none
 * that this version knows. */
HAK_API HAK_ATTR_USE_RESULT hak_heap_t *hak_heap_new(const hak_heap_options_t *options);

/* Returns a block of `heap` of at least `size` bytes with undefined content. NULL with ENOMEM besides the usual reasons
 * when the block would put the heap above its limit; then nothing has changed. */
HAK_API void *hak_heap_malloc(hak_heap_t *heap, size_t size) HAK_ATTR_MALLOC HAK_ATTR_NONNULL(1) HAK_ATTR_ALLOC_SIZE(2);

/* hak_heap_malloc with `size` zeroed bytes. Memory that is known to be zero is not cleared a second time. */
HAK_API void *hak_heap_zalloc(hak_heap_t *heap, size_t size) HAK_ATTR_MALLOC HAK_ATTR_NONNULL(1) HAK_ATTR_ALLOC_SIZE(2);

/* hak_aligned_alloc and hak_aligned_zalloc from `heap`. */
HAK_API void *hak_heap_aligned_alloc(hak_heap_t *heap, size_t alignment, size_t size)
    HAK_ATTR_MALLOC HAK_ATTR_NONNULL(1) HAK_ATTR_ALLOC_ALIGN(2) HAK_ATTR_ALLOC_SIZE(3);
HAK_API void *hak_heap_aligned_zalloc(hak_heap_t *heap, size_t alignment, size_t size)
    HAK_ATTR_MALLOC HAK_ATTR_NONNULL(1) HAK_ATTR_ALLOC_ALIGN(2) HAK_ATTR_ALLOC_SIZE(3);

/* hak_realloc in `heap`: NULL as `ptr` allocates there; a block that is not of `heap` ends the process. A limit counts
 * what the block is afterwards, not the two copies that there may be meanwhile. */
HAK_API void *hak_heap_realloc(hak_heap_t *heap, void *ptr, size_t size) HAK_ATTR_USE_RESULT HAK_ATTR_NONNULL(1)
    HAK_ATTR_ALLOC_SIZE(3);

/* Frees a block of `heap`, a little faster than hak_free; NULL is ignored. A block that is not of `heap` ends the
 * process. Keeps errno. */
HAK_API HAK_ATTR_NONNULL(1) void hak_heap_free(hak_heap_t *heap, void *ptr);

/* hak_heap_free for callers that know alignment (1 to 16 if none was asked for) and size, those of the block's last
 * allocation or reallocation. What C++'s sized delete and Rust's dealloc are to call. */
HAK_API HAK_ATTR_NONNULL(1) void hak_heap_free_sized(hak_heap_t *heap, void *ptr, size_t alignment, size_t size);

/* Frees all blocks of the heap at once. It can be used again at once, and keeps up to 2 MiB of memory to that end. No
 * other thread may be in a call with this heap or with a block of it meanwhile, and nobody may use a pointer to one of
 * its blocks afterwards: a free of one ends the process as far as it can be told from a new block. The limit stays; the
 * figures of hak_heap_stats for what was (peak_bytes, failed) stay, too. Keeps errno. */
HAK_API HAK_ATTR_NONNULL(1) void hak_heap_reset(hak_heap_t *heap);

/* As hak_heap_reset, and the heap itself is gone, too: its memory is for anybody. NULL is ignored. Keeps errno. */
HAK_API void hak_heap_destroy(hak_heap_t *heap);

/* Figures of one heap. Set `size` to sizeof(hak_heap_stats_t) before the call; a later version may add fields at the
 * end. In the secure build bytes are what the blocks take, more than their usable sizes. */
typedef struct hak_heap_stats {
  size_t size;              /* in: sizeof(hak_heap_stats_t); out: bytes filled in */
  uint64_t live_bytes;      /* of all live blocks, by hak_usable_size; what the limit is for */
  uint64_t live_blocks;     /* their number */
  uint64_t peak_bytes;      /* the most that live_bytes has been */
  uint64_t footprint_bytes; /* address space the heap holds for its blocks: slices of segments, and mappings */
  uint64_t limit_bytes;     /* as in the options; 0: no limit */
  uint64_t failed;          /* requests that got NULL, because of the limit or for want of memory */
} hak_heap_stats_t;

/* Fills in `*stats`, all figures of the same moment, and returns 1; returns 0 and leaves it alone when its `size` is
 * none that this version knows. */
HAK_API HAK_ATTR_NONNULL(1) HAK_ATTR_NONNULL(2) int hak_heap_stats(hak_heap_t *heap, hak_heap_stats_t *stats);

/* The heap of the block `ptr`; NULL for blocks of the functions that name no heap and for what is no live block. Never
 * ends the process. */
HAK_API hak_heap_t *hak_heap_of(const void *ptr);

/* ---- What was built in, what is on, what happened --------------------------------------------------------------- */

/* Writes what was built in (version, compiler, flags, tiers and size limits) and what is on (every option with its
 * value and the environment variable that sets it) to the file descriptor `fd`. */
HAK_API void hak_config_print(int fd);

/* What was built in. Set `size` to sizeof(hak_config_t) before the call; a later version may add fields at the end. The
 * strings are static. */
typedef struct hak_config {
  size_t size;                       /* in: sizeof(hak_config_t); out: bytes filled in */
  const char *compiler;              /* its version */
  const char *flags;                 /* what it was called with; "unknown" when the build did not say */
  int version;                       /* as hak_version() */
  int replaces_malloc;               /* 1 when malloc and its family are hakmem's, else 0 */
  int assertions;                    /* the level of assertions; 0: none */
  size_t tier_bytes[HAK_TIER_COUNT]; /* the largest request of each tier, by HAK_TIER_* */
  int background;        /* 1 when the option BACKGROUND is on by default (HAK_BACKGROUND), else 0; and so on: */
  int counts_hits;       /* every block that comes and goes is counted (HAK_STATS) */
  int local_dynamic_tls; /* no static TLS is needed (HAK_LOCAL_DYNAMIC_TLS) */
  int inlines_hits;      /* hits may be part of their callers (HAK_INLINE_HITS) */
  int valgrind;          /* memcheck is told of every block (HAK_VALGRIND) */
  int secure;            /* misuse is looked for more closely, at some cost (HAK_SECURE) */
  int profile;           /* the heap profiler is there (HAK_PROFILE) */
} hak_config_t;

/* Fills in `*config` and returns 1; returns 0 and leaves it alone when its `size` is none that this version knows. */
HAK_API HAK_ATTR_NONNULL(1) int hak_config_get(hak_config_t *config);

/* One option. Set `size` to sizeof(hak_option_t) before the call; a later version may add fields at the end. The strings
 * are static. */
typedef struct hak_option {
  size_t size;          /* in: sizeof(hak_option_t); out: bytes filled in */
  const char *variable; /* of the environment, which sets it: "HAKMEM_..." */
  const char *meaning;  /* what it does, in a line */
  int64_t value;        /* what is in force */
  int64_t standard;     /* what is in force when the variable is not set, or not to a number in the range */
  int64_t least, most;  /* the range */
} hak_option_t;

/* Fills in `*option` for the option `number`, counted from 0, and returns 1; returns 0 and leaves it alone when there are
 * not so many, or when its `size` is none that this version knows. Options do not change while the program runs. */
HAK_API HAK_ATTR_NONNULL(2) int hak_option_get(unsigned number, hak_option_t *option);

/* Counters of one tier. The fast paths count nothing, unless the build counts hits (hak_config_t), so every other figure is
 * made in slow paths. */
typedef struct hak_tier_stats {
  uint64_t refills;      /* times a thread's cache ran empty and was filled, or a mapping was handed out */
  uint64_t served;       /* blocks handed to thread caches by those refills */
  uint64_t returned;     /* blocks that came back out of thread caches */
  uint64_t fell_through; /* requests this tier could not serve and passed to the next */
  uint64_t failed;       /* requests that began at this tier and that no tier served */
  uint64_t allocated;    /* blocks handed to the program; of the mmap tier, or in a build that counts hits, else 0 */
  uint64_t freed;        /* blocks that came back from it; the same */
} hak_tier_stats_t;

/* Set `size` to sizeof(hak_stats_t) before the call; a later version may add fields at the end. */
typedef struct hak_stats {
  size_t size;                           /* in: sizeof(hak_stats_t); out: bytes filled in */
  uint64_t segment_bytes;                /* address space of all segments */
  uint64_t active_bytes;                 /* slices of segments that slabs and spans use */
  uint64_t dirty_bytes;                  /* free slices that may still be resident */
  uint64_t mmap_bytes;                   /* live blocks of the mmap tier */
  uint64_t mmap_cached_bytes;            /* mappings kept for reuse, as far as resident */
  uint64_t purged_bytes;                 /* total returned to the system by madvise or munmap */
  uint64_t heaps;                        /* thread heaps ever created */
  uint64_t heaps_parked;                 /* of these, without a thread at the moment */
  uint64_t remote_posts;                 /* messages posted to other threads' heaps */
  uint64_t remote_blocks;                /* blocks of those that arrived */
  hak_tier_stats_t tier[HAK_TIER_COUNT]; /* by HAK_TIER_* */
  uint64_t program_heaps;                /* of hak_heap_new, not destroyed */
  uint64_t program_heap_bytes;           /* of their live blocks, by hak_usable_size */
  uint64_t held_bytes;                   /* active, dirty, mmap and mmap_cached bytes: what the limit is for */
  uint64_t limit_bytes;                  /* of hak_limit_set; 0: no limit */
  uint64_t limit_failed;                 /* requests that failed because of it */
} hak_stats_t;

/* Fills in `*stats` and returns 1; returns 0 and leaves it alone when its `size` is none that this version knows.
 * Figures of running threads are read while they change: each is exact, their sums may be a moment apart. */
HAK_API HAK_ATTR_NONNULL(1) int hak_stats_get(hak_stats_t *stats);

/* Writes the statistics to the file descriptor `fd`, one figure a line; the engine's below, too. */
HAK_API void hak_stats_print(int fd);

/* What the calling thread holds and did. Set `size` to sizeof(hak_thread_stats_t) before the call; a later version may add
 * fields at the end. */
typedef struct hak_thread_stats {
  size_t size;              /* in: sizeof(hak_thread_stats_t); out: bytes filled in */
  uint64_t bin_blocks;      /* free blocks to 8 KiB that wait for the thread's next requests, */
  uint64_t bin_bytes;       /* and their bytes */
  uint64_t magazine_blocks; /* the same above, to 2 MiB */
  uint64_t magazine_bytes;
  uint64_t ring_blocks; /* blocks of other threads that it freed and has not sent home yet */
  uint64_t ring_bytes;
  uint64_t inbox_posts; /* messages with blocks of its own, which others freed and it has not taken in yet */
  uint64_t
      allocated[HAK_TIER_COUNT];  /* blocks handed to the thread, by HAK_TIER_*; to ACE, in a build that counts hits, */
  uint64_t freed[HAK_TIER_COUNT]; /* and blocks that it freed; else 0 */
} hak_thread_stats_t;

/* Fills in `*stats` for the calling thread and returns 1; returns 0 and leaves it alone when its `size` is none that this
 * version knows. Walks the lists of what the thread holds: some microseconds. hak_collect gives all of it back. */
HAK_API HAK_ATTR_NONNULL(1) int hak_thread_stats_get(hak_thread_stats_t *stats);

/* What the adaptive cache engine knows of a size class of pool or ACE. How many free blocks of it a thread may keep, its
 * capacity, follows what the thread does (option ACE_LEARN); each thread has its own. */
typedef struct hak_ace_class {
  uint64_t block_bytes;
  uint64_t misses;         /* times a thread had no block of it left, all threads ever */
  uint64_t overflows;      /* times a thread had no room for one more */
  uint32_t threads;        /* of those that run, how many have had either */
  uint32_t capacity_start; /* blocks; with which each thread begins */
  uint32_t capacity_least; /* blocks; among those threads; 0 without any */
  uint32_t capacity_most;
} hak_ace_class_t;

#define HAK_ACE_SNAPSHOT_CLASSES 64

/* Set `size` to sizeof(hak_ace_snapshot_t) before the call; a later version may add fields at the end. */
typedef struct hak_ace_snapshot {
  size_t size;           /* in: sizeof(hak_ace_snapshot_t); out: bytes filled in */
  uint64_t budget_bytes; /* what all threads together may have above their start capacities */
  uint64_t grown_bytes;  /* what they have of it */
  hak_ace_class_t classes[HAK_ACE_SNAPSHOT_CLASSES]; /* by ascending block size */
} hak_ace_snapshot_t;

/* Fills in `*snapshot` and returns 1; returns 0 and leaves it alone when its `size` is none that this version knows. As
 * hak_stats_get. */
HAK_API HAK_ATTR_NONNULL(1) int hak_ace_snapshot(hak_ace_snapshot_t *snapshot);

/* ---- The profile -------------------------------------------------------------------------------------------------- */

/* Where the heap's memory comes from: a sampling profiler, in builds with HAK_PROFILE (CMake, cargo: the feature
 * `profile`). In others these functions fail with ENOSYS, and nothing costs anything. docs/profiling.md says more. Of every
 * `mean` allocated bytes one is sampled, on average and at random; the call stack of the block that it is in is kept until
 * the block is freed. All figures but the counts of samples are unbiased estimates of the sums over all blocks. */

/* Begins to sample, or goes on with another mean: `mean` bytes, or the option PROFILE_RATE's (512 KiB) for 0. Returns 1,
 * or 0 with EINVAL when that is 0 as well, ENOMEM without memory for the tables (11 MiB of address space, once), ENOSYS.
 * Other threads begin within 256 KiB that they allocate. */
HAK_API int hak_profile_start(size_t mean);

/* Ends it. What was recorded stays, and frees of sampled blocks are noted as before. */
HAK_API void hak_profile_stop(void);

/* Forgets all that was recorded: stacks, live samples and sums. */
HAK_API void hak_profile_reset(void);

/* Has call stacks found by `unwind` instead of frame pointers, or by these again for NULL. It stores up to `most` return
 * addresses, the innermost first, and returns their number; 0 means that it cannot say. It is called in the thread that
 * allocates, in the middle of an allocation, without any lock of the allocator; it may allocate (that is not sampled), and
 * must neither throw nor call functions of the profile. */
HAK_API void hak_profile_unwind_with(size_t (*unwind)(const void **addresses, size_t most));

/* One call stack. A later version may add fields at the end. */
typedef struct hak_profile_stack {
  const void *const *addresses; /* return addresses, the innermost first; valid during the call */
  size_t depth;                 /* their number: 1 to 64 */
  uint64_t live_samples;        /* sampled blocks that are not freed */
  uint64_t live_blocks;         /* what these stand for: blocks, */
  uint64_t live_bytes;          /* and bytes, as requested */
  uint64_t total_samples;       /* the same of all, freed or not */
  uint64_t total_blocks;
  uint64_t total_bytes;
} hak_profile_stack_t;

/* Calls `visit` with every stack that was sampled since the last reset, and returns how many those were. A stack's figures
 * are of one moment, those of different stacks a moment apart. `visit` may allocate and free; a reset meanwhile ends the
 * visit. */
HAK_API size_t hak_profile_visit(void (*visit)(const hak_profile_stack_t *stack, void *context), void *context);

/* Sums. Set `size` to sizeof(hak_profile_stats_t) before the call; a later version may add fields at the end. */
typedef struct hak_profile_stats {
  size_t size;           /* in: sizeof(hak_profile_stats_t); out: bytes filled in */
  uint64_t mean_bytes;   /* of new samples; 0 when the profile is stopped */
  uint64_t stacks;       /* different ones */
  uint64_t dropped;      /* samples for which a table had no room, missing in all other figures */
  uint64_t live_samples; /* as in hak_profile_stack_t, of all stacks */
  uint64_t live_blocks;
  uint64_t live_bytes;
  uint64_t total_samples;
  uint64_t total_blocks;
  uint64_t total_bytes;
} hak_profile_stats_t;

/* Fills in `*stats` and returns 1; returns 0 and leaves it alone when its `size` is none that this version knows, or with
 * ENOSYS. */
HAK_API HAK_ATTR_NONNULL(1) int hak_profile_stats(hak_profile_stats_t *stats);

/* Writes the profile to the file descriptor `fd`, in the text form of gperftools that pprof reads: a line for each stack,
 * and the mappings of the process. Allocates nothing. Returns 1, or 0 with errno when something could not be written. */
HAK_API int hak_profile_dump(int fd);

#ifdef __cplusplus
}
#endif

#endif /* HAKMEM_H */
