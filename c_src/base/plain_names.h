/* Where wrappers have the public names, the functions of the interface that allocate and free have one name in each layer:
 *
 *   hak_malloc               what programs call: the topmost wrapper's
 *   hak_secure_malloc        the secure build's below the profile (api/wrapped_names.h)
 *   hak_plain_malloc         what every build has, compiled with these names
 *
 * HAK_LAYER says which layer's a file means when it says hak_malloc; a wrapper sets it anew: base/public_names.h. */
#ifndef HAK_BASE_PLAIN_NAMES_H
#define HAK_BASE_PLAIN_NAMES_H

#define HAK_LAYER(name) hak_plain_##name

#define hak_malloc HAK_LAYER(malloc)
#define hak_alloc_at HAK_LAYER(alloc_at)
#define hak_calloc HAK_LAYER(calloc)
#define hak_realloc HAK_LAYER(realloc)
#define hak_realloc_aligned_sized HAK_LAYER(realloc_aligned_sized)
#define hak_aligned_alloc HAK_LAYER(aligned_alloc)
#define hak_aligned_zalloc HAK_LAYER(aligned_zalloc)
#define hak_posix_memalign HAK_LAYER(posix_memalign)
#define hak_free HAK_LAYER(free)
#define hak_free_sized HAK_LAYER(free_sized)
#define hak_free_aligned_sized HAK_LAYER(free_aligned_sized)
#define hak_heap_malloc HAK_LAYER(heap_malloc)
#define hak_heap_zalloc HAK_LAYER(heap_zalloc)
#define hak_heap_aligned_alloc HAK_LAYER(heap_aligned_alloc)
#define hak_heap_aligned_zalloc HAK_LAYER(heap_aligned_zalloc)
#define hak_heap_realloc HAK_LAYER(heap_realloc)
#define hak_heap_free HAK_LAYER(heap_free)
#define hak_heap_free_sized HAK_LAYER(heap_free_sized)
#define hak_heap_reset HAK_LAYER(heap_reset)
#define hak_heap_destroy HAK_LAYER(heap_destroy)

#endif
