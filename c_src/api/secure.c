/* The interface of the secure build (docs/security.md). Each function does what the plain one does, and besides:
 *
 *   every allocation    asks for 8 bytes more and seals the block: core/trailer.h
 *   hak_free and its like
 *     secure_take       a live block? its trailer, the slack, the trailer in front of it, the size that the caller says
 *     wiped, and into the thread's quarantine: heap/quarantine.h
 *   every resize        the same looks; the block moves as it did, or is sealed anew
 *
 * What is no block at all is found by the same look-up as in every build, and a block of a heap of the program's own is freed
 * at once: a reset must not find it waiting somewhere. */
#undef HAK_LAYER
#define HAK_LAYER(name) HAK_SECURE_LAYER(name) /* the public names, or one layer below: api/wrapped_names.h */
#undef hak_usable_size
#undef hak_good_size
#undef hak_tier_of

#include <errno.h>
#include <string.h>

#include "api/alloc.h"
#include "api/block.h"
#include "api/realloc.h"
#include "base/bits.h"
#include "base/check.h"
#include "core/tagmap.h"
#include "core/trailer.h"
#include "heap/quarantine.h"
#include "heap/theap.h"
#include "os/os.h"

/* The size of a request, of which 0 is one for 1; with room for the trailer. What is too large stays so. */
static size_t secure_asked(size_t size) { return size == 0 ? 1 : size; }
static size_t secure_padded(size_t size) {
  return size <= PTRDIFF_MAX - HAK_TRAILER_BYTES ? secure_asked(size) + HAK_TRAILER_BYTES : SIZE_MAX;
}

/* ---- Allocation ---- */

/* Seals a new block, or passes NULL on. */
static void *secure_sealed(void *block, size_t size) {
  if (block != NULL) hak_trailer_seal(block, hak_block_find(block).bytes, secure_asked(size));
  return block;
}

void *hak_malloc(size_t size) { return secure_sealed(hak_plain_malloc(secure_padded(size)), size); }

void *hak_alloc_at(size_t size, const void *site) {
  return secure_sealed(hak_plain_alloc_at(secure_padded(size), site), size);
}

void *hak_aligned_alloc(size_t alignment, size_t size) {
  return secure_sealed(hak_plain_aligned_alloc(alignment, secure_padded(size)), size);
}

/* A block of a slab is cleared here, up to its trailer: that must not be half of one when a neighbour looks at it. */
static bool secure_clears(size_t size) { return size <= HAK_MID_MAX - HAK_TRAILER_BYTES; }

static void *secure_cleared(void *block, size_t size) { return block == NULL ? NULL : memset(block, 0, size); }

static void *secure_zalloc(size_t size) { return secure_sealed(hak_plain_calloc(1, secure_padded(size)), size); }

void *hak_calloc(size_t count, size_t size) {
  size_t bytes;
  if (hak_mul_overflows(count, size, &bytes)) return hak_plain_calloc(count, size);
  return secure_clears(bytes) ? secure_cleared(hak_malloc(bytes), bytes) : secure_zalloc(bytes);
}

static void *secure_aligned_zalloc(size_t alignment, size_t size) {
  return secure_sealed(hak_plain_aligned_zalloc(alignment, secure_padded(size)), size);
}

void *hak_aligned_zalloc(size_t alignment, size_t size) {
  if (secure_clears(size)) return secure_cleared(hak_aligned_alloc(alignment, size), size);
  return secure_aligned_zalloc(alignment, size);
}

int hak_posix_memalign(void **out, size_t alignment, size_t size) {
  int error = hak_plain_posix_memalign(out, alignment, secure_padded(size));
  if (error == 0) secure_sealed(*out, size);
  return error;
}

void *hak_heap_malloc(hak_heap_t *heap, size_t size) {
  return secure_sealed(hak_plain_heap_malloc(heap, secure_padded(size)), size);
}

void *hak_heap_zalloc(hak_heap_t *heap, size_t size) {
  return secure_sealed(hak_plain_heap_zalloc(heap, secure_padded(size)), size);
}

void *hak_heap_aligned_alloc(hak_heap_t *heap, size_t alignment, size_t size) {
  return secure_sealed(hak_plain_heap_aligned_alloc(heap, alignment, secure_padded(size)), size);
}

void *hak_heap_aligned_zalloc(hak_heap_t *heap, size_t alignment, size_t size) {
  return secure_sealed(hak_plain_heap_aligned_zalloc(heap, alignment, secure_padded(size)), size);
}

/* ---- Looks ---- */

#define SECURE_UNSIZED SIZE_MAX

/* What the program said of a block that it gives back. */
typedef struct secure_claim {
  size_t size, alignment; /* SECURE_UNSIZED, HAK_GRAIN: nothing */
  const char *function;
} secure_claim_t;

/* Whether the word of the block in front is one that can be there. Only of slabs it is known that all of their blocks up to
 * one that is out have a word; and of the smallest not, which have their key there while they are free. */
static bool secure_front_is_whole(const char *p, size_t bytes) {
  bool has_front = ((uintptr_t)p & (HAK_SLICE_BYTES - 1)) != 0 && hak_tag_is_slab(hak_tagmap_get_mt(p));
  if (!has_front || bytes == HAK_GRAIN) return true;
  hak_trailer_t *place = hak_trailer_of(p - bytes, bytes);
  uint64_t word = hak_load_relaxed(place);
  return word == hak_trailer_freed(place) || hak_trailer_slack(place, word, bytes) != 0;
}

/* The size that was asked for the live block that begins at p; ends the process when there is none, or it is damaged, or what
 * the program says of it is wrong. *word: what the trailer was. */
static size_t secure_look(const char *p, const hak_block_info_t *info, const secure_claim_t *claim, uint64_t *word) {
  if (HAK_UNLIKELY(info->bad != NULL)) hak_fatal(claim->function, info->bad, p);
  hak_trailer_t *place = hak_trailer_of(p, info->bytes);
  *word = hak_load_relaxed(place);
  if (HAK_UNLIKELY(*word == hak_trailer_freed(place))) hak_fatal(claim->function, HAK_BAD_DOUBLE_FREE, p);
  size_t slack = hak_trailer_slack(place, *word, info->bytes);
  if (HAK_UNLIKELY(slack == 0) || HAK_UNLIKELY(!hak_trailer_is_filled(p, info->bytes, slack))) {
    hak_fatal(claim->function, HAK_BAD_OVERRUN, p);
  }
  if (HAK_UNLIKELY(!secure_front_is_whole(p, info->bytes))) hak_fatal(claim->function, HAK_BAD_UNDERRUN, p);
  size_t asked = info->bytes - slack;
  if (HAK_UNLIKELY(claim->size != SECURE_UNSIZED && secure_asked(claim->size) != asked))
    hak_fatal(claim->function, HAK_BAD_SIZE, p);
  if (HAK_UNLIKELY(((uintptr_t)p & (claim->alignment - 1)) != 0 || (claim->alignment & (claim->alignment - 1)) != 0)) {
    hak_fatal(claim->function, HAK_BAD_ALIGNMENT, p);
  }
  return asked;
}

/* The same, and makes it one that was freed; of two threads that try at once, one does it. */
static void secure_take(char *p, const hak_block_info_t *info, const secure_claim_t *claim) {
  uint64_t word;
  (void)secure_look(p, info, claim, &word);
  hak_trailer_t *place = hak_trailer_of(p, info->bytes);
  if (HAK_UNLIKELY(!hak_cas_acq_rel(place, &word, hak_trailer_freed(place)))) {
    hak_fatal(claim->function, HAK_BAD_DOUBLE_FREE, p);
  }
}

/* ---- Release ---- */

void hak_quarantine_release(void *block) { hak_plain_free(block); }

static void secure_free(void *p, const secure_claim_t *claim) {
  if (p == NULL) return;
  hak_block_info_t info = hak_block_find(p);
  secure_take(p, &info, claim);
  hak_quarantine_wipe(p, info.bytes);
  hak_theap_t *heap = info.heap == NULL && hak_quarantine_takes(info.bytes) ? hak_theap_get() : NULL;
  if (heap != NULL) {
    hak_quarantine_put(heap, p, info.bytes, claim->function);
  } else {
    hak_plain_free(p);
  }
}

void hak_free(void *p) { secure_free(p, &(secure_claim_t){SECURE_UNSIZED, HAK_GRAIN, "hak_free"}); }

void hak_free_sized(void *p, size_t size) { secure_free(p, &(secure_claim_t){size, HAK_GRAIN, "hak_free_sized"}); }

void hak_free_aligned_sized(void *p, size_t alignment, size_t size) {
  secure_free(p, &(secure_claim_t){size, alignment, "hak_free_aligned_sized"});
}

/* What is no block of the heap the plain function knows best how to say. */
static void secure_heap_free(hak_heap_t *heap, void *p, const secure_claim_t *claim) {
  hak_block_info_t info = p == NULL ? (hak_block_info_t){0} : hak_block_find(p);
  if (p != NULL && info.bad == NULL && info.heap == heap) {
    secure_take(p, &info, claim);
    hak_quarantine_wipe(p, info.bytes);
  }
  hak_plain_heap_free(heap, p);
}

void hak_heap_free(hak_heap_t *heap, void *p) {
  secure_heap_free(heap, p, &(secure_claim_t){SECURE_UNSIZED, HAK_GRAIN, "hak_heap_free"});
}

void hak_heap_free_sized(hak_heap_t *heap, void *p, size_t alignment, size_t size) {
  secure_heap_free(heap, p, &(secure_claim_t){size, alignment, "hak_heap_free_sized"});
}

void hak_heap_reset(hak_heap_t *heap) { hak_plain_heap_reset(heap); }

void hak_heap_destroy(hak_heap_t *heap) { hak_plain_heap_destroy(heap); }

/* ---- Resizing ---- */

/* The block was one of `asked` bytes, is as large as it has to be, and becomes one of `size`. What the program gets more, or
 * gave back, is zero. */
static void *secure_resealed(char *block, size_t asked, size_t size) {
  size_t from = asked < size ? asked : size, to = asked < size ? size : asked;
  size_t bytes = hak_block_find(block).bytes, end = bytes - HAK_TRAILER_BYTES;
  if (to > end) to = end; /* a mapping that has shrunk */
  memset(block + from, 0, to - from);
  hak_trailer_seal(block, bytes, size);
  return block;
}

static void *secure_move(void *p, size_t asked, size_t size, const secure_claim_t *claim) {
  void *block = claim->alignment <= HAK_GRAIN ? hak_malloc(size) : hak_aligned_alloc(claim->alignment, size);
  if (block == NULL) return NULL;
  memcpy(block, p, asked < size ? asked : size);
  secure_free(p, claim);
  return block;
}

/* A block of a heap of the program's own; the plain functions know how its limit counts. */
static void *secure_resize_in_heap(void *p, const hak_block_info_t *info, size_t asked, size_t size,
                                   const secure_claim_t *claim) {
  size_t padded = secure_padded(size);
  void *block = claim->size == SECURE_UNSIZED
                    ? hak_realloc_checked(p, info, padded, claim->function)
                    : hak_plain_realloc_aligned_sized(p, claim->alignment, asked + HAK_TRAILER_BYTES, padded);
  return block == NULL ? NULL : secure_resealed(block, asked, size);
}

/* The end of a mapping that is about to shrink, which goes to the mmap tier's cache, and never fails to. */
static void secure_wipe_end(char *p, const hak_block_info_t *info, size_t padded) {
  if (info->tier != HAK_TIER_MMAP || padded <= HAK_ACE_MAX || padded > info->bytes) return;
  size_t kept = hak_align_up(padded, hak_os_page_bytes());
  if (kept < info->bytes) hak_quarantine_wipe(p + kept, info->bytes - kept);
}

static void *secure_resize(void *p, size_t size, const secure_claim_t *claim) {
  hak_block_info_t info = hak_block_find(p);
  uint64_t word;
  size_t asked = secure_look(p, &info, claim, &word), padded = secure_padded(size);
  size = secure_asked(size);
  if (HAK_UNLIKELY(padded > PTRDIFF_MAX)) return (void *)hak_alloc_slot(padded, NULL); /* NULL, and errno */
  secure_wipe_end(p, &info, padded);
  if (info.heap != NULL) return secure_resize_in_heap(p, &info, asked, size, claim);
  bool may_remap = claim->alignment <= hak_os_page_bytes() || size <= asked;
  if (info.tier == HAK_TIER_MMAP && padded > HAK_ACE_MAX && may_remap) {
    bool over;
    void *resized = hak_realloc_mapping(p, &info, padded, &over);
    if (resized != NULL) return secure_resealed(resized, asked, size);
    if (over) return NULL;
  } else if (padded <= info.bytes && (padded >= info.bytes / 2 || info.bytes == HAK_GRAIN)) {
    return secure_resealed(p, asked, size);
  }
  return secure_move(p, asked, size, claim);
}

void *hak_realloc(void *p, size_t size) {
  if (p == NULL) return hak_malloc(size);
  return secure_resize(p, size, &(secure_claim_t){SECURE_UNSIZED, HAK_GRAIN, "hak_realloc"});
}

void *hak_realloc_aligned_sized(void *p, size_t alignment, size_t old_size, size_t new_size) {
  if (HAK_UNLIKELY(!hak_is_pow2(alignment) || alignment > HAK_ALIGN_MAX)) {
    errno = EINVAL;
    return NULL;
  }
  return secure_resize(p, new_size, &(secure_claim_t){old_size, alignment, "hak_realloc_aligned_sized"});
}

void *hak_heap_realloc(hak_heap_t *heap, void *p, size_t size) {
  if (p == NULL) return hak_heap_malloc(heap, size);
  hak_block_info_t info = hak_block_find(p);
  if (info.bad != NULL || info.heap != heap) return hak_plain_heap_realloc(heap, p, size); /* which says so */
  return secure_resize(p, size, &(secure_claim_t){SECURE_UNSIZED, HAK_GRAIN, "hak_heap_realloc"});
}

/* ---- Questions ---- */

size_t hak_usable_size(const void *p) {
  if (p == NULL) return 0;
  hak_block_info_t info = hak_block_find(p);
  uint64_t word;
  return secure_look(p, &info, &(secure_claim_t){SECURE_UNSIZED, HAK_GRAIN, "hak_usable_size"}, &word);
}

size_t hak_good_size(size_t size) { return hak_plain_good_size(secure_padded(size)) == 0 ? 0 : secure_asked(size); }

int hak_tier_of(const void *p) {
  if (p == NULL) return HAK_TIER_NONE;
  hak_block_info_t info = hak_block_find(p);
  if (info.bad != NULL) return HAK_TIER_NONE;
  hak_trailer_t *place = hak_trailer_of(p, info.bytes);
  return hak_load_relaxed(place) == hak_trailer_freed(place) ? HAK_TIER_NONE : info.tier;
}

/* ---- The end ---- */

/* What the ending thread freed and wrote to since is noticed now or never. */
__attribute__((destructor)) static void secure_at_exit(void) {
  if (hak_tls.heap != NULL) hak_quarantine_look(hak_tls.heap, "exit");
}
