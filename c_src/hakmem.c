/* The one translation unit of libhakmem.a: every file of the core, bottom up. See README.md for the layers. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "os/valgrind.h" /* first: it may rename functions */

#if defined(HAK_PROFILE) || HAK_SECURE
#include "api/wrapped_names.h" /* so does this */
#endif

#include "base/log.c"

#include "os/linux.c"

#ifdef HAK_PROFILE
#include "os/linux_process.c"
#endif

#include "core/adapt.c"
#include "core/classes.c"
#include "core/guard.c"
#include "core/hints.c"
#include "core/limit.c"
#include "core/magazine.c"
#include "core/options.c"
#include "core/purge.c"
#include "core/registry.c"
#include "core/remote.c"
#include "core/segment.c"
#include "core/slab.c"
#include "core/span.c"
#include "core/stats.c"
#include "core/tagmap.c"

#ifdef HAK_PROFILE
#include "core/poisson.c"
#include "core/profile.c"
#include "core/profile_walk.c"
#endif

#if HAK_SECURE
#include "core/secret.c"
#endif

#include "tier/ace.c"
#include "tier/mid.c"
#include "tier/mmap.c"
#include "tier/mmap_cache.c"
#include "tier/mmap_table.c"
#include "tier/pool.c"
#include "tier/tiny.c"

#include "heap/arena.c"
#include "heap/arena_area.c"
#include "heap/arena_table.c"
#include "heap/background.c"
#include "heap/fork.c"
#include "heap/holds.c"
#include "heap/idle.c"
#include "heap/relief.c"
#include "heap/theap.c"

#if HAK_SECURE
#include "heap/quarantine.c"
#endif

#include "api/ace.c"
#include "api/aligned.c"
#include "api/alloc.c"
#include "api/block.c"
#include "api/config.c"
#include "api/count.c"
#include "api/free.c"
#include "api/heap.c"
#include "api/info.c"
#include "api/limit.c"
#include "api/realloc.c"

#if HAK_SECURE
#include "api/secure.c"
#endif

#ifdef HAK_PROFILE
#include "api/profile_wrap.c"
#include "api/profile.c"
#else
#include "api/profile_off.c"
#endif

#ifdef HAK_VALGRIND
#include "api/valgrind.c"
#endif

#ifdef HAK_OVERRIDE
#include "override/cxx.c"
#include "override/glibc.c"
#include "override/malloc.c"
#endif
