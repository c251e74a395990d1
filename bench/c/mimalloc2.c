/* mimalloc v2 beside v3: the whole library as one object, behind names of its own.
 *
 * Both versions define the same `mi_` symbols, so build.rs compiles this file with v2's folders on the include path and
 * then makes every global symbol but those below local to the object (objcopy --keep-global-symbol). */

#include "static.c"

void *bench_mi2_malloc(size_t size) { return mi_malloc(size); }
void *bench_mi2_zalloc(size_t size) { return mi_zalloc(size); }
void *bench_mi2_realloc(void *ptr, size_t size) { return mi_realloc(ptr, size); }
void *bench_mi2_malloc_aligned(size_t size, size_t align) { return mi_malloc_aligned(size, align); }
void *bench_mi2_zalloc_aligned(size_t size, size_t align) { return mi_zalloc_aligned(size, align); }
void *bench_mi2_realloc_aligned(void *ptr, size_t size, size_t align) { return mi_realloc_aligned(ptr, size, align); }
void bench_mi2_free(void *ptr) { mi_free(ptr); }
void bench_mi2_collect(bool force) { mi_collect(force); }
int bench_mi2_version(void) { return mi_version(); }
