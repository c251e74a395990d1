/* The one table of options. Each has an environment variable HAKMEM_<NAME>, read once, before the first block is served;
 * a value that is no number or out of range leaves the default and logs nothing (the log may be off). */
#ifndef HAK_CORE_OPTIONS_H
#define HAK_CORE_OPTIONS_H

#include "base/limits.h"

/* What the background thread's option is by default, for builds that want it. */
#ifndef HAK_BACKGROUND
#define HAK_BACKGROUND 0
#endif

/* Those of the secure build. */
#if HAK_SECURE
#define HAK_SECURE_OPTIONS(X)                                  \
  X(quarantine_kib, QUARANTINE_KIB, 1024, 0, INT64_MAX / 1024, \
    "freed blocks that a thread keeps from use for a while (0: none)")
#else
#define HAK_SECURE_OPTIONS(X)
#endif

/*   X(name, NAME, default, least, most, meaning) */
#define HAK_OPTIONS(X)                                                                                              \
  X(tiny, TINY, 1, 0, 1, "serve requests to 1 KiB from the tiny tier (0: the next tier does)")                      \
  X(mid, MID, 1, 0, 1, "serve requests to 8 KiB from the mid tier")                                                 \
  X(pool, POOL, 1, 0, 1, "serve requests to 52 KiB from the pool tier")                                             \
  X(ace, ACE, 1, 0, 1, "serve requests to 2 MiB from the ACE tier")                                                 \
  X(ace_learn, ACE_LEARN, 1, 0, 1, "let the capacities of the threads' magazines follow the program")               \
  X(ace_shift, ACE_SHIFT, 0, -3, 3, "without that: the capacities they begin with, times 2 to this power")          \
  X(log, LOG, 0, 0, 1, "log failures that the allocator survives, the first 10 of a kind")                          \
  X(prewarm_kib, PREWARM_KIB, 0, 0, 1024, "fill each pool magazine of a new thread with so much resident memory")   \
  X(dirty_kib, DIRTY_KIB, 32768, 0, INT64_MAX / 1024, "free memory kept resident in segments; more is given back")  \
  X(dirty_percent, DIRTY_PERCENT, 10, 0, 100, "the same as a share of what is in use; the larger counts")           \
  X(purge_delay_ms, PURGE_DELAY_MS, 1000, 0, INT64_MAX, "age at which free memory is given back within that bound") \
  X(huge_pages, HUGE_PAGES, 1, 0, 2,                                                                                \
    "huge pages in segments after the first 16 MiB (0: as the system does, 1: never, 2: asked for)")                \
  X(background, BACKGROUND, HAK_BACKGROUND, 0, 1, "a thread gives back what is old while the program does nothing") \
  X(limit_kib, LIMIT_KIB, 0, 0, INT64_MAX / 1024, "the most that may be held for the program (0: no limit)")        \
  X(mmap_cache_kib, MMAP_CACHE_KIB, 65536, 0, INT64_MAX / 1024,                                                     \
    "free mappings kept by the mmap tier, or half of its live bytes if larger")                                     \
  HAK_SECURE_OPTIONS(X)                                                                                             \
  X(profile, PROFILE, 0, 0, 2,                                                                                      \
    "in builds with HAK_PROFILE: 1 profiles from the start, 2 writes the profile at exit, too")                     \
  X(profile_rate, PROFILE_RATE, 524288, 0, INT64_MAX / 1024,                                                        \
    "bytes allocated for each sample on average (0: no profile)")

typedef struct hak_options {
#define HAK_OPTION_FIELD(name, NAME, standard, least, most, meaning) int64_t name;
  HAK_OPTIONS(HAK_OPTION_FIELD)
#undef HAK_OPTION_FIELD
} hak_options_t;

/* Read-only after hak_options_init. Zero before: every tier is off until the allocator has started. */
HAK_HIDDEN extern hak_options_t hak_options;

/* Reads the environment. Called under the heap creation lock before any heap exists. */
HAK_HIDDEN void hak_options_init(void);

/* Writes every option with its value, default and meaning to a file descriptor. */
HAK_HIDDEN void hak_options_print(int fd);

#endif
