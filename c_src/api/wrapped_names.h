/* In a build whose interface has wrappers, the functions that allocate and free are compiled under names of their own, for
 * themselves and for each other, and are seen by nobody else. hakmem.c includes this before all others.
 *
 *   HAK_PROFILE              HAK_SECURE               both
 *                                                     api/profile_wrap.c   hak_malloc
 *   api/profile_wrap.c       api/secure.c             api/secure.c         hak_secure_malloc
 *   the plain ones           the plain ones           the plain ones       hak_plain_malloc
 *
 * The profile is on top: a sample has the size that the program asked for, and goes when the program frees the block, not
 * when that leaves the quarantine. */
#ifndef HAK_API_WRAPPED_NAMES_H
#define HAK_API_WRAPPED_NAMES_H

#ifdef HAK_VALGRIND
#error "HAK_VALGRIND goes neither with HAK_PROFILE nor with HAK_SECURE: memcheck looks for itself"
#endif

#include "base/attr.h"
#include "hakmem.h"

/* Not each wrapper calls each of them. */
#define WRAPPED_PLAIN(name) static __typeof__(hak_##name) hak_plain_##name __attribute__((unused))

#if defined(HAK_PROFILE) && HAK_SECURE
#define WRAPPED(name)  \
  WRAPPED_PLAIN(name); \
  static __typeof__(hak_##name) hak_secure_##name
#define HAK_SECURE_LAYER(name) hak_secure_##name /* what api/secure.c defines */
#define HAK_PROFILED(name) hak_secure_##name     /* what api/profile_wrap.c calls */
#else
#define WRAPPED WRAPPED_PLAIN
#define HAK_SECURE_LAYER(name) hak_##name
#define HAK_PROFILED(name) hak_plain_##name
#endif

WRAPPED(malloc);
WRAPPED(alloc_at);
WRAPPED(calloc);
WRAPPED(realloc);
WRAPPED(realloc_aligned_sized);
WRAPPED(aligned_alloc);
WRAPPED(aligned_zalloc);
WRAPPED(posix_memalign);
WRAPPED(free);
WRAPPED(free_sized);
WRAPPED(free_aligned_sized);
WRAPPED(heap_malloc);
WRAPPED(heap_zalloc);
WRAPPED(heap_aligned_alloc);
WRAPPED(heap_aligned_zalloc);
WRAPPED(heap_realloc);
WRAPPED(heap_free);
WRAPPED(heap_free_sized);
WRAPPED(heap_reset);
WRAPPED(heap_destroy);
#undef WRAPPED
#undef WRAPPED_PLAIN

#include "base/plain_names.h"

#if HAK_SECURE /* whose wrapper answers these, too */
static __typeof__(hak_usable_size) hak_plain_usable_size __attribute__((unused));
static __typeof__(hak_good_size) hak_plain_good_size;
static __typeof__(hak_tier_of) hak_plain_tier_of __attribute__((unused));
#define hak_usable_size hak_plain_usable_size
#define hak_good_size hak_plain_good_size
#define hak_tier_of hak_plain_tier_of
#endif

#endif
