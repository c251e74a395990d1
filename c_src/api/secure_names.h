/* In the secure build the functions of the interface that allocate, free and say how large a block is are compiled under names
 * of their own, for themselves and for each other; api/secure.c has the public ones. hakmem.c includes this before all
 * others. */
#ifndef HAK_API_SECURE_NAMES_H
#define HAK_API_SECURE_NAMES_H

#include "base/attr.h"
#include "hakmem.h"

#if defined(HAK_VALGRIND) || defined(HAK_PROFILE)
#error "HAK_SECURE (the feature `secure`) goes neither with HAK_PROFILE (`profile`) nor with HAK_VALGRIND: two builds"
#endif

static __typeof__(hak_malloc) hak_plain_malloc;
static __typeof__(hak_alloc_at) hak_plain_alloc_at;
static __typeof__(hak_calloc) hak_plain_calloc;
static __typeof__(hak_realloc) hak_plain_realloc __attribute__((unused));
static __typeof__(hak_realloc_aligned_sized) hak_plain_realloc_aligned_sized;
static __typeof__(hak_aligned_alloc) hak_plain_aligned_alloc;
static __typeof__(hak_aligned_zalloc) hak_plain_aligned_zalloc;
static __typeof__(hak_posix_memalign) hak_plain_posix_memalign;
static __typeof__(hak_free) hak_plain_free;
static __typeof__(hak_free_sized) hak_plain_free_sized;
static __typeof__(hak_free_aligned_sized) hak_plain_free_aligned_sized __attribute__((unused));
static __typeof__(hak_usable_size) hak_plain_usable_size __attribute__((unused));
static __typeof__(hak_good_size) hak_plain_good_size;
static __typeof__(hak_tier_of) hak_plain_tier_of __attribute__((unused));
static __typeof__(hak_heap_malloc) hak_plain_heap_malloc;
static __typeof__(hak_heap_zalloc) hak_plain_heap_zalloc;
static __typeof__(hak_heap_aligned_alloc) hak_plain_heap_aligned_alloc;
static __typeof__(hak_heap_aligned_zalloc) hak_plain_heap_aligned_zalloc;
static __typeof__(hak_heap_realloc) hak_plain_heap_realloc;
static __typeof__(hak_heap_free) hak_plain_heap_free;
static __typeof__(hak_heap_free_sized) hak_plain_heap_free_sized __attribute__((unused));
static __typeof__(hak_heap_reset) hak_plain_heap_reset;
static __typeof__(hak_heap_destroy) hak_plain_heap_destroy;

#include "base/plain_names.h"
#define hak_usable_size hak_plain_usable_size
#define hak_good_size hak_plain_good_size
#define hak_tier_of hak_plain_tier_of

#endif
