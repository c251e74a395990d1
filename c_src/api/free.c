/* Freeing.
 *
 *   hak_free
 *     own block of a slab   pushed to the thread's bin
 *       free_overflow       the bin is full: to its slab's list
 *     block of a pool span  pushed to the thread's magazine
 *     free_other            everything else: other heaps' blocks, ACE, full magazines, mmap, NULL, what is no block
 *   hak_free_sized          pool sizes: to the magazine, without a look at any metadata
 */
#include <errno.h>

#include "api/aligned.h"
#include "api/block.h"
#include "base/check.h"
#include "core/remote.h"
#include "core/segment.h"
#include "core/slab.h"
#include "core/span.h"
#include "hakmem.h"
#include "heap/heap.h"
#include "tier/ace.h"
#include "tier/mmap.h"
#include "tier/pool.h"

/* The bin has no room (it was counted down below zero). */
static __attribute__((noinline)) void free_overflow(hak_bin_t *bin, hak_block_t *block) {
  bin->room++;
  block->key = hak_freed_key(block);
  hak_slab_give(hak_tls.heap, block);
}

static void free_remote(void *p, uint32_t tag) {
  hak_block_info_t info = hak_block_check(p, "hak_free");
  hak_block_t *block = p;
  block->key = hak_freed_key(block);
  hak_heap_t *heap = hak_heap_get();
  uint32_t owner = hak_tag_heap_id(tag);
  if (HAK_UNLIKELY(heap == NULL)) {
    hak_remote_post_one_mt(block, owner);
  } else if (heap->id == owner) { /* only now did this thread get the heap, whose blocks those are */
    hak_slab_give(heap, block);
  } else {
    hak_remote_free(heap, block, owner, (uint32_t)info.bytes);
  }
}

static void free_to_magazine(void *p, unsigned class_number) {
  hak_heap_t *heap = hak_heap_get();
  void *strays[HAK_POOL_MAGAZINE_BLOCKS];
  hak_magazine_t none = {.slots = (uintptr_t[]){(uintptr_t)p}, .count = 1, .capacity = 1};
  uint32_t strayed;
  if (HAK_UNLIKELY(heap == NULL)) { /* no memory for a heap: straight to the span */
    strayed = hak_span_spill(&none, 1, strays);
  } else if (class_number < HAK_POOL_CLASSES) {
    strayed = hak_pool_free(heap, p, class_number, strays);
  } else {
    strayed = hak_ace_free(heap, p, class_number, strays);
  }
  if (HAK_UNLIKELY(strayed != 0)) hak_heap_free_strays(strays, strayed);
}

/* Whether the block is already the youngest of the magazine: the double free that its span does not know of yet. */
HAK_FAST bool free_is_youngest(const hak_magazine_t *magazine, const void *p) {
  return magazine->count != 0 && (magazine->slots[magazine->count - 1] & ~HAK_SLOT_ZERO) == (uintptr_t)p;
}

static void free_to_span(void *p, uint32_t tag) {
  hak_block_check(p, "hak_free");
  unsigned class_number = hak_tag_class(tag);
  hak_heap_t *heap = hak_tls.heap;
  if (heap != NULL) {
    const hak_magazine_t *magazine = class_number < HAK_POOL_CLASSES ? &heap->tls->pool[class_number]
                                                                     : &heap->ace[class_number - HAK_POOL_CLASSES];
    if (HAK_UNLIKELY(free_is_youngest(magazine, p))) hak_fatal("hak_free", HAK_BAD_DOUBLE_FREE, p);
  }
  free_to_magazine(p, class_number);
}

static __attribute__((noinline)) void free_other(void *p) {
  if (p == NULL) return;
  uint32_t tag = hak_tagmap_get_mt(p);
  if (hak_tag_is_slab(tag)) {
    free_remote(p, tag);
  } else if (hak_tag_is_span(tag)) {
    free_to_span(p, tag);
  } else if (!hak_mmap_free_mt(p)) {
    hak_block_check(p, "hak_free");
  }
}

void hak_free(void *p) {
  hak_tls_t *tls = &hak_tls;
  uint64_t own = hak_tagmap_first(p) ^ tls->self;
  if (HAK_UNLIKELY(own >= 1u << HAK_TAG_HEAP_SHIFT)) {
    free_other(p);
    return;
  }
  hak_bin_t *bin = (hak_bin_t *)(void *)((char *)tls->bin + own);
  hak_block_t *block = p;
  uint32_t offset = (uint32_t)((uintptr_t)p & (HAK_SLICE_BYTES - 1));
  uintptr_t key = hak_freed_key(block);
  if (HAK_UNLIKELY(offset * bin->magic >= bin->magic) || HAK_UNLIKELY(block->key == key)) {
    free_other(p);
    return;
  }
  if (HAK_UNLIKELY(--bin->room < 0)) {
    free_overflow(bin, block);
    return;
  }
  block->next = bin->head;
  block->key = key;
  bin->head = block;
}

void hak_free_sized(void *p, size_t size) {
  if (size <= HAK_MID_MAX || HAK_UNLIKELY(size > HAK_POOL_MAX) || HAK_UNLIKELY(p == NULL)) {
    hak_free(p);
    return;
  }
  unsigned class_number = hak_class_by_128[(size + 127) >> 7] - HAK_SLAB_CLASSES;
  hak_magazine_t *magazine = &hak_tls.pool[class_number];
  uint32_t count = magazine->count;
  if (HAK_UNLIKELY(count == magazine->capacity)) {
    free_to_magazine(p, class_number);
    return;
  }
  magazine->slots[count] = (uintptr_t)p;
  magazine->count = count + 1;
}

void hak_free_aligned_sized(void *p, size_t alignment, size_t size) {
  if (alignment <= HAK_GRAIN) {
    hak_free_sized(p, size);
  } else {
    hak_free_sized(p, hak_aligned_class_bytes(alignment, size));
  }
}
