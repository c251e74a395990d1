/* In a build whose interface has a wrapper (api/profile_wrap.c, api/secure.c), the functions that allocate and free are
 * compiled under names of their own, for themselves and for each other, and are seen by nobody else. hakmem.c includes
 * this, through the wrapper's own header, before all others. */
#ifndef HAK_API_WRAPPED_NAMES_H
#define HAK_API_WRAPPED_NAMES_H

#include "base/attr.h"
#include "hakmem.h"

/* Not each wrapper calls each of them. */
#define WRAPPED(name) static __typeof__(hak_##name) hak_plain_##name __attribute__((unused))
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

#include "base/plain_names.h"

#endif
