/* The interface as the profile is to see it; only in builds with HAK_PROFILE. Each function counts the request down and does
 * what the plain one does: a hit costs a subtraction more, a free a look at a byte. A realloc is a free and an allocation, in
 * place or not. The slow halves are jumped to, so that the stack below them is the program's. */
#include "core/profile.h"

#include "base/public_names.h" /* after what declares the plain ones */

#include "base/bits.h"
#include "core/options.h"
#include "heap/theap.h"

/* In a slow half: from where the program called. */
#define PROFILE_SITE(site_)                                                                                         \
  (hak_profile_site_t) {                                                                                            \
    .inner = (uintptr_t)__builtin_return_address(0), .outer = site_, .frame = (uintptr_t)__builtin_frame_address(0) \
  }
#define PROFILE_CALLER ((uintptr_t)__builtin_return_address(0)) /* in a public function */

/* The option that starts the profile with the process; by its first allocation. */
static bool profile_fires(size_t size, uint64_t *mean) {
  static _Atomic bool xlooked;
  if (HAK_UNLIKELY(!hak_load_relaxed(&xlooked)) && !atomic_exchange_explicit(&xlooked, true, memory_order_relaxed)) {
    (void)hak_theap_get(); /* the options */
    if (hak_options.profile != 0 && hak_load_relaxed(&hak_profile_xmean) == 0) (void)hak_profile_start(0);
  }
  return hak_profile_fires(size, mean);
}

/* The rest of an allocation that the countdown stopped at; `call` is the plain one. */
#define PROFILE_ALLOCATE(size, heap, site, call)                                               \
  uint64_t mean;                                                                               \
  bool fires = profile_fires(size, &mean);                                                     \
  void *block = (call);                                                                        \
  if (fires && block != NULL) hak_profile_record(block, size, heap, mean, PROFILE_SITE(site)); \
  return block

HAK_SLOW_STATIC void *profile_malloc(size_t size, uintptr_t site) {
  PROFILE_ALLOCATE(size, NULL, site, HAK_PROFILED(malloc)(size));
}
HAK_HIT void *hak_malloc(size_t size) {
  if (hak_profile_count(size)) return profile_malloc(size, PROFILE_CALLER);
  return HAK_PROFILED(malloc)(size);
}

HAK_SLOW_STATIC void *profile_alloc_at(size_t size, const void *called_from, uintptr_t site) {
  PROFILE_ALLOCATE(size, NULL, site, HAK_PROFILED(alloc_at)(size, called_from));
}
void *hak_alloc_at(size_t size, const void *called_from) {
  if (hak_profile_count(size)) return profile_alloc_at(size, called_from, PROFILE_CALLER);
  return HAK_PROFILED(alloc_at)(size, called_from);
}

HAK_SLOW_STATIC void *profile_aligned_alloc(size_t alignment, size_t size, uintptr_t site) {
  PROFILE_ALLOCATE(size, NULL, site, HAK_PROFILED(aligned_alloc)(alignment, size));
}
void *hak_aligned_alloc(size_t alignment, size_t size) {
  if (hak_profile_count(size)) return profile_aligned_alloc(alignment, size, PROFILE_CALLER);
  return HAK_PROFILED(aligned_alloc)(alignment, size);
}

HAK_SLOW_STATIC void *profile_aligned_zalloc(size_t alignment, size_t size, uintptr_t site) {
  PROFILE_ALLOCATE(size, NULL, site, HAK_PROFILED(aligned_zalloc)(alignment, size));
}
void *hak_aligned_zalloc(size_t alignment, size_t size) {
  if (hak_profile_count(size)) return profile_aligned_zalloc(alignment, size, PROFILE_CALLER);
  return HAK_PROFILED(aligned_zalloc)(alignment, size);
}

HAK_SLOW_STATIC void *profile_heap_malloc(hak_heap_t *heap, size_t size, uintptr_t site) {
  PROFILE_ALLOCATE(size, heap, site, HAK_PROFILED(heap_malloc)(heap, size));
}
void *hak_heap_malloc(hak_heap_t *heap, size_t size) {
  if (hak_profile_count(size)) return profile_heap_malloc(heap, size, PROFILE_CALLER);
  return HAK_PROFILED(heap_malloc)(heap, size);
}

HAK_SLOW_STATIC void *profile_heap_zalloc(hak_heap_t *heap, size_t size, uintptr_t site) {
  PROFILE_ALLOCATE(size, heap, site, HAK_PROFILED(heap_zalloc)(heap, size));
}
void *hak_heap_zalloc(hak_heap_t *heap, size_t size) {
  if (hak_profile_count(size)) return profile_heap_zalloc(heap, size, PROFILE_CALLER);
  return HAK_PROFILED(heap_zalloc)(heap, size);
}

HAK_SLOW_STATIC void *profile_heap_aligned_alloc(hak_heap_t *heap, size_t alignment, size_t size, uintptr_t site) {
  PROFILE_ALLOCATE(size, heap, site, HAK_PROFILED(heap_aligned_alloc)(heap, alignment, size));
}
void *hak_heap_aligned_alloc(hak_heap_t *heap, size_t alignment, size_t size) {
  if (hak_profile_count(size)) return profile_heap_aligned_alloc(heap, alignment, size, PROFILE_CALLER);
  return HAK_PROFILED(heap_aligned_alloc)(heap, alignment, size);
}

HAK_SLOW_STATIC void *profile_heap_aligned_zalloc(hak_heap_t *heap, size_t alignment, size_t size, uintptr_t site) {
  PROFILE_ALLOCATE(size, heap, site, HAK_PROFILED(heap_aligned_zalloc)(heap, alignment, size));
}
void *hak_heap_aligned_zalloc(hak_heap_t *heap, size_t alignment, size_t size) {
  if (hak_profile_count(size)) return profile_heap_aligned_zalloc(heap, alignment, size, PROFILE_CALLER);
  return HAK_PROFILED(heap_aligned_zalloc)(heap, alignment, size);
}

HAK_SLOW_STATIC void *profile_calloc(size_t count, size_t size, uintptr_t site) {
  PROFILE_ALLOCATE(count * size, NULL, site, HAK_PROFILED(calloc)(count, size));
}
void *hak_calloc(size_t count, size_t size) {
  size_t bytes; /* what overflows fails in the plain one */
  if (!hak_mul_overflows(count, size, &bytes) && hak_profile_count(bytes)) {
    return profile_calloc(count, size, PROFILE_CALLER);
  }
  return HAK_PROFILED(calloc)(count, size);
}

HAK_SLOW_STATIC int profile_posix_memalign(void **out, size_t alignment, size_t size, uintptr_t site) {
  uint64_t mean;
  bool fires = profile_fires(size, &mean);
  int error = HAK_PROFILED(posix_memalign)(out, alignment, size);
  if (fires && error == 0) hak_profile_record(*out, size, NULL, mean, PROFILE_SITE(site));
  return error;
}
int hak_posix_memalign(void **out, size_t alignment, size_t size) {
  if (hak_profile_count(size)) return profile_posix_memalign(out, alignment, size, PROFILE_CALLER);
  return HAK_PROFILED(posix_memalign)(out, alignment, size);
}

/* ---- Resizing: the old block's sample goes first, for its address may be another thread's before we return ---- */

#define PROFILE_RESIZE(p, size, heap, counted, site, call)                                     \
  hak_profile_sample_t taken = {0};                                                            \
  if (hak_profile_may_have(p)) hak_profile_forget(p, &taken);                                  \
  uint64_t mean = 0;                                                                           \
  bool fires = (counted) && profile_fires(size, &mean);                                        \
  void *block = (call);                                                                        \
  if (block == NULL) hak_profile_put_back(p, taken);                                           \
  if (fires && block != NULL) hak_profile_record(block, size, heap, mean, PROFILE_SITE(site)); \
  return block

HAK_SLOW_STATIC void *profile_realloc(void *p, size_t size, bool counted, uintptr_t site) {
  hak_heap_t *heap = hak_heap_of(p);
  PROFILE_RESIZE(p, size, heap, counted, site, HAK_PROFILED(realloc)(p, size));
}
void *hak_realloc(void *p, size_t size) {
  bool counted = hak_profile_count(size);
  if (HAK_UNLIKELY(counted || hak_profile_may_have(p))) return profile_realloc(p, size, counted, PROFILE_CALLER);
  return HAK_PROFILED(realloc)(p, size);
}

HAK_SLOW_STATIC void *profile_realloc_aligned_sized(void *p, size_t alignment, size_t old_size, size_t size,
                                                    bool counted, uintptr_t site) {
  hak_heap_t *heap = hak_heap_of(p);
  PROFILE_RESIZE(p, size, heap, counted, site, HAK_PROFILED(realloc_aligned_sized)(p, alignment, old_size, size));
}
void *hak_realloc_aligned_sized(void *p, size_t alignment, size_t old_size, size_t size) {
  bool counted = hak_profile_count(size);
  if (HAK_UNLIKELY(counted || hak_profile_may_have(p))) {
    return profile_realloc_aligned_sized(p, alignment, old_size, size, counted, PROFILE_CALLER);
  }
  return HAK_PROFILED(realloc_aligned_sized)(p, alignment, old_size, size);
}

HAK_SLOW_STATIC void *profile_heap_realloc(hak_heap_t *heap, void *p, size_t size, bool counted, uintptr_t site) {
  PROFILE_RESIZE(p, size, heap, counted, site, HAK_PROFILED(heap_realloc)(heap, p, size));
}
void *hak_heap_realloc(hak_heap_t *heap, void *p, size_t size) {
  bool counted = hak_profile_count(size);
  if (HAK_UNLIKELY(counted || hak_profile_may_have(p))) {
    return profile_heap_realloc(heap, p, size, counted, PROFILE_CALLER);
  }
  return HAK_PROFILED(heap_realloc)(heap, p, size);
}

/* ---- Release ---- */

HAK_SLOW_STATIC void profile_free(void *p) {
  hak_profile_sample_t taken;
  hak_profile_forget(p, &taken);
  HAK_PROFILED(free)(p);
}
HAK_HIT void hak_free(void *p) {
  if (hak_profile_may_have(p)) {
    profile_free(p);
    return;
  }
  HAK_PROFILED(free)(p);
}

HAK_SLOW_STATIC void profile_free_sized(void *p, size_t size) {
  hak_profile_sample_t taken;
  hak_profile_forget(p, &taken);
  HAK_PROFILED(free_sized)(p, size);
}
HAK_HIT void hak_free_sized(void *p, size_t size) {
  if (hak_profile_may_have(p)) {
    profile_free_sized(p, size);
    return;
  }
  HAK_PROFILED(free_sized)(p, size);
}

HAK_SLOW_STATIC void profile_free_aligned_sized(void *p, size_t alignment, size_t size) {
  hak_profile_sample_t taken;
  hak_profile_forget(p, &taken);
  HAK_PROFILED(free_aligned_sized)(p, alignment, size);
}
void hak_free_aligned_sized(void *p, size_t alignment, size_t size) {
  if (hak_profile_may_have(p)) {
    profile_free_aligned_sized(p, alignment, size);
    return;
  }
  HAK_PROFILED(free_aligned_sized)(p, alignment, size);
}

HAK_SLOW_STATIC void profile_heap_free(hak_heap_t *heap, void *p) {
  hak_profile_sample_t taken;
  hak_profile_forget(p, &taken);
  HAK_PROFILED(heap_free)(heap, p);
}
void hak_heap_free(hak_heap_t *heap, void *p) {
  if (hak_profile_may_have(p)) {
    profile_heap_free(heap, p);
    return;
  }
  HAK_PROFILED(heap_free)(heap, p);
}

HAK_SLOW_STATIC void profile_heap_free_sized(hak_heap_t *heap, void *p, size_t alignment, size_t size) {
  hak_profile_sample_t taken;
  hak_profile_forget(p, &taken);
  HAK_PROFILED(heap_free_sized)(heap, p, alignment, size);
}
void hak_heap_free_sized(hak_heap_t *heap, void *p, size_t alignment, size_t size) {
  if (hak_profile_may_have(p)) {
    profile_heap_free_sized(heap, p, alignment, size);
    return;
  }
  HAK_PROFILED(heap_free_sized)(heap, p, alignment, size);
}

void hak_heap_reset(hak_heap_t *heap) {
  hak_profile_forget_heap(heap);
  HAK_PROFILED(heap_reset)(heap);
}

void hak_heap_destroy(hak_heap_t *heap) {
  hak_profile_forget_heap(heap);
  HAK_PROFILED(heap_destroy)(heap);
}
