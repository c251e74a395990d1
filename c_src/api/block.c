#include "api/block.h"

#include "base/log.h"
#include "core/segment.h"
#include "core/span.h"
#include "heap/arena.h"
#include "tier/mmap.h"

static hak_block_info_t block_bad(const char *what) { return (hak_block_info_t){0, HAK_TIER_NONE, what, NULL}; }

static int block_tier(size_t bytes) {
  if (bytes <= HAK_MID_MAX) return bytes <= HAK_TINY_MAX ? HAK_TIER_TINY : HAK_TIER_MID;
  return bytes <= HAK_POOL_MAX ? HAK_TIER_POOL : HAK_TIER_ACE;
}

static hak_block_info_t block_in_slab(const void *p, hak_tag_t tag) {
  const hak_slab_class_t *info = &hak_slab_classes[hak_tag_class(tag)];
  uint32_t offset = (uint32_t)((uintptr_t)p & (HAK_SLICE_BYTES - 1));
  if (!hak_slab_block_begins(info, offset)) {
    return block_bad(offset < info->capacity * info->block_bytes ? HAK_BAD_INTERIOR : HAK_BAD_FOREIGN);
  }
  /* the frontier only grows while a block of the slab is out, and is behind every block that is */
  if ((const char *)p >= hak_load_relaxed(&hak_cell_of(p)->slab.frontier)) return block_bad(HAK_BAD_FOREIGN);
  if (((const hak_block_t *)p)->key == hak_freed_key(p)) return block_bad(HAK_BAD_DOUBLE_FREE);
  return (hak_block_info_t){info->block_bytes, block_tier(info->block_bytes), NULL, NULL};
}

static hak_block_info_t block_in_span(const void *p, hak_tag_t tag) {
  const hak_span_class_t *info = &hak_span_classes[hak_tag_class(tag)];
  int number = hak_span_block_number(p, tag);
  if (number < 0) return block_bad(HAK_BAD_INTERIOR);
  hak_cell_t *cell = hak_cell_of_span(p, tag);
  if ((unsigned)number >= hak_span_blocks(hak_load_relaxed(&cell->xshape))) return block_bad(HAK_BAD_FOREIGN);
  uint64_t free = hak_load_relaxed(&cell->xmask);
  if ((free >> number & 1) != 0 || ((const hak_block_t *)p)->key == hak_freed_key(p)) {
    return block_bad(HAK_BAD_DOUBLE_FREE);
  }
  return (hak_block_info_t){info->block_bytes, block_tier(info->block_bytes), NULL, NULL};
}

static hak_block_info_t block_in_area(const void *p, hak_tag_t tag) {
  const char *bad;
  size_t bytes = hak_arena_find_mt(p, tag, &bad);
  if (bytes == 0) return block_bad(bad);
  return (hak_block_info_t){bytes, block_tier(bytes), NULL, hak_arena_by_id(hak_tag_arena_id(tag))};
}

hak_block_info_t hak_block_find(const void *p) {
  hak_tag_t tag = hak_tagmap_get_mt(p);
  if (hak_tag_is_slab(tag)) return block_in_slab(p, tag);
  if (hak_tag_is_span(tag)) return block_in_span(p, tag);
  if (hak_tag_is_area(tag)) return block_in_area(p, tag);
  hak_mmap_list_t *list;
  size_t bytes = hak_mmap_find_mt(p, &list);
  if (bytes != 0) return (hak_block_info_t){bytes, HAK_TIER_MMAP, NULL, hak_arena_of_list(list)};
  return block_bad(tag == HAK_TAG_FREED ? HAK_BAD_DOUBLE_FREE : hak_mmap_explain_mt(p));
}

hak_block_info_t hak_block_check(const void *p, const char *function) {
  hak_block_info_t info = hak_block_find(p);
  if (HAK_UNLIKELY(info.bad != NULL)) hak_fatal(function, info.bad, p);
  return info;
}
