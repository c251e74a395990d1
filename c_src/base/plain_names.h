/* Renames the functions of the interface that allocate and free, where a wrapper has the public names: for memcheck
 * (os/valgrind.h), for the profile or in the secure build (api/wrapped_names.h). base/public_names.h takes it back. */
#ifndef HAK_BASE_PLAIN_NAMES_H
#define HAK_BASE_PLAIN_NAMES_H

#define hak_malloc hak_plain_malloc
#define hak_alloc_at hak_plain_alloc_at
#define hak_calloc hak_plain_calloc
#define hak_realloc hak_plain_realloc
#define hak_realloc_aligned_sized hak_plain_realloc_aligned_sized
#define hak_aligned_alloc hak_plain_aligned_alloc
#define hak_aligned_zalloc hak_plain_aligned_zalloc
#define hak_posix_memalign hak_plain_posix_memalign
#define hak_free hak_plain_free
#define hak_free_sized hak_plain_free_sized
#define hak_free_aligned_sized hak_plain_free_aligned_sized
#define hak_heap_malloc hak_plain_heap_malloc
#define hak_heap_zalloc hak_plain_heap_zalloc
#define hak_heap_aligned_alloc hak_plain_heap_aligned_alloc
#define hak_heap_aligned_zalloc hak_plain_heap_aligned_zalloc
#define hak_heap_realloc hak_plain_heap_realloc
#define hak_heap_free hak_plain_heap_free
#define hak_heap_free_sized hak_plain_heap_free_sized
#define hak_heap_reset hak_plain_heap_reset
#define hak_heap_destroy hak_plain_heap_destroy

#endif
