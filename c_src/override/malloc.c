/* malloc and its family in the names of the C library. Semantics where the standards leave a choice are those of the C
 * library that is built against; what glibc has alone is in glibc.c. */
#include <errno.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/limits.h"
#include "hakmem.h"
#include "heap/relief.h"
#include "os/os.h"
#include "os/valgrind.h"

#define OVERRIDE_API HAK_API

OVERRIDE_API void *malloc(size_t size) { return hak_malloc(size); }
OVERRIDE_API void *calloc(size_t count, size_t size) { return hak_calloc(count, size); }
OVERRIDE_API void free(void *p) { hak_free(p); }
OVERRIDE_API void cfree(void *p) { hak_free(p); }

/* The size 0 frees in glibc, and makes a block small in musl. */
#ifdef __GLIBC__
#define OVERRIDE_REALLOC_0_FREES 1
#else
#define OVERRIDE_REALLOC_0_FREES 0
#endif

OVERRIDE_API void *realloc(void *p, size_t size) {
  if (OVERRIDE_REALLOC_0_FREES && size == 0 && p != NULL) {
    hak_free(p);
    return NULL;
  }
  return hak_realloc(p, size);
}

OVERRIDE_API void *reallocarray(void *p, size_t count, size_t size) {
  size_t bytes;
  if (hak_mul_overflows(count, size, &bytes)) {
    errno = ENOMEM;
    return NULL;
  }
  return realloc(p, bytes);
}

/* An alignment that is a power of two, but more than we have, is not wrong: there is no memory for it. */
HAK_SLOW_STATIC int override_refuse(size_t alignment) { return hak_is_pow2(alignment) ? ENOMEM : EINVAL; }

OVERRIDE_API void *aligned_alloc(size_t alignment, size_t size) {
  if (HAK_LIKELY(alignment <= HAK_ALIGN_MAX)) return hak_aligned_alloc(alignment, size);
  errno = override_refuse(alignment);
  return NULL;
}

OVERRIDE_API int posix_memalign(void **out, size_t alignment, size_t size) {
  return HAK_LIKELY(alignment <= HAK_ALIGN_MAX) ? hak_posix_memalign(out, alignment, size) : override_refuse(alignment);
}

/* As glibc: an alignment that is no power of two is rounded up to one, if there is one. */
OVERRIDE_API void *memalign(size_t alignment, size_t size) {
  if (HAK_UNLIKELY(alignment > HAK_ALIGN_MAX)) {
    errno = alignment > SIZE_MAX / 2 + 1 ? EINVAL : ENOMEM;
    return NULL;
  }
  size_t power = HAK_GRAIN;
  while (power < alignment) power *= 2;
  return hak_aligned_alloc(power, size);
}

OVERRIDE_API void *valloc(size_t size) { return hak_aligned_alloc(hak_os_page_bytes(), size); }

OVERRIDE_API void *pvalloc(size_t size) {
  size_t page = hak_os_page_bytes();
  if (size > PTRDIFF_MAX - page) {
    errno = ENOMEM;
    return NULL;
  }
  return hak_aligned_alloc(page, size == 0 ? page : hak_align_up(size, page));
}

OVERRIDE_API size_t malloc_usable_size(void *p) { return hak_usable_size(p); }

/* Says whether anything was returned to the system. It does nothing when it was called a moment ago and little is free. */
OVERRIDE_API int malloc_trim(size_t pad) {
  hak_memcheck_pause();
  bool trimmed = hak_relief_trim_mt(pad);
  hak_memcheck_resume();
  return trimmed;
}

OVERRIDE_API void malloc_stats(void) { hak_stats_print(STDERR_FILENO); }

OVERRIDE_API void free_sized(void *p, size_t size) { hak_free_sized(p, size); }
OVERRIDE_API void free_aligned_sized(void *p, size_t alignment, size_t size) {
  hak_free_aligned_sized(p, alignment, size);
}
