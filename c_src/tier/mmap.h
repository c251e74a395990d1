/* The mmap tier: above 2 MiB, whole pages, a mapping of its own for every block; the last of the chain, so it takes any
 * size. Freed mappings are cached (tier/mmap_cache.h). All state is out of band, in a table of live blocks. Everything
 * here is _mt and takes one lock for some ten nanoseconds, never across a system call. */
#ifndef HAK_TIER_MMAP_H
#define HAK_TIER_MMAP_H

#include "os/os.h"

/* A list of live blocks, of an arena: for whoever wants to free all of them at once. All zero is an empty one. */
typedef struct hak_mmap_list {
  char *first; /* under the lock */
} hak_mmap_list_t;

/* A block of at least `bytes` bytes, aligned to `alignment` (a power of two). *zeroed: known to be zero. NULL with errno
 * ENOMEM without memory. */
HAK_HIDDEN void *hak_mmap_alloc_mt(size_t bytes, size_t alignment, bool *zeroed);

/* The same, and puts it on the list, where it stays while it is live, however it is resized. */
HAK_HIDDEN void *hak_mmap_alloc_on_mt(hak_mmap_list_t *list, size_t bytes, size_t alignment, bool *zeroed);

/* Frees all blocks on the list, to which nobody adds any meanwhile. Keeps errno. */
HAK_HIDDEN void hak_mmap_free_list_mt(hak_mmap_list_t *list);

/* Frees the block; false when no live block begins at p. Keeps errno. */
HAK_HIDDEN bool hak_mmap_free_mt(void *p);

/* The size of the live block that begins at p; 0 when none does. */
HAK_HIDDEN size_t hak_mmap_bytes_mt(const void *p);

/* The same, and stores the list that the block is on, NULL if it is on none. */
HAK_HIDDEN size_t hak_mmap_find_mt(const void *p, hak_mmap_list_t **list);

/* Resizes a live block to at least `bytes`, above what the tiers before serve; may move it, to a page boundary only.
 * NULL without memory, where the system cannot move what it keeps as two mappings (a block that was joined in the cache), or
 * where it is cheaper to copy it to a cached mapping; then it stays as it was. */
HAK_HIDDEN void *hak_mmap_resize_mt(void *p, size_t bytes);

/* What is wrong with p, of which no live block begins: one of HAK_BAD_*. */
HAK_SLOW const char *hak_mmap_explain_mt(const void *p);

/* Unmaps the cached mappings: all, or those older than the purge delay. Returns whether there were any. Keeps errno. */
HAK_HIDDEN bool hak_mmap_collect_mt(bool force);

/* As hak_purge_trade_mt, for what segments took: purges so many bytes of cached mappings at most, in 4 calls at most. */
HAK_HIDDEN void hak_mmap_trade_mt(size_t bytes);

/* Unmaps some of what is older than the purge delay, or purges what is above the bound: 4 mappings and 4 MiB at most. Looks
 * once in a quarter of the delay. Called now and then from slow paths. Keeps errno. _mt */
HAK_HIDDEN void hak_mmap_old_mt(void);

/* Whether there are any cached mappings. _mt */
HAK_HIDDEN bool hak_mmap_waits_mt(void);

/* Live and cached bytes, and the number of blocks ever handed out, taken from and given back to it. */
HAK_HIDDEN void hak_mmap_stats_mt(uint64_t *live_bytes, uint64_t *cached_bytes, uint64_t *served, uint64_t *returned);

HAK_HIDDEN extern hak_lock_t hak_mmap_lock;

#endif
