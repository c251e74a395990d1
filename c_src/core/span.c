#include "core/span.h"

#include "base/check.h"
#include "core/hints.h"
#include "core/purge.h"

/* The lowest `n` set bits of a mask; all if it has fewer. */
static uint64_t span_lowest(uint64_t mask, uint32_t n) {
  uint64_t rest = mask;
  while (n-- != 0 && rest != 0) rest &= rest - 1;
  return mask ^ rest;
}

/* What is in xshape: the class, and how many blocks the span has. */
static uint32_t span_shape(unsigned class_number, unsigned blocks) { return class_number | blocks << 8; }
static unsigned span_class(uint32_t shape) { return shape & 0xff; }
static uint64_t span_full(uint32_t shape) { return hak_low_mask(hak_span_blocks(shape)); }
static size_t span_slices_for(size_t bytes) { return (bytes + HAK_SLICE_BYTES - 1) / HAK_SLICE_BYTES; }
static size_t span_bytes(uint32_t shape) {
  return (size_t)hak_span_blocks(shape) * hak_span_classes[span_class(shape)].block_bytes;
}
static unsigned span_slices(uint32_t shape) { return (unsigned)span_slices_for(span_bytes(shape)); }

static _Atomic uint32_t span_xblocks[HAK_SPAN_CLASSES]; /* of all spans of the class */

/* The shape of a new span: as many blocks as the class has already, so that one of which there are few does not hold memory
 * that is resident for many; and what fits into the slices that these take. Where a class has blocks already, no more than an
 * eighth of the slices is left over. */
static uint32_t span_new_shape(unsigned class_number, uint32_t wanted) {
  const hak_span_class_t *info = &hak_span_classes[class_number];
  uint32_t has = hak_load_relaxed(&span_xblocks[class_number]);
  size_t block_bytes = info->block_bytes, blocks = has < wanted ? wanted : has;
  size_t slices = span_slices_for(blocks * block_bytes);
  while ((blocks = slices * HAK_SLICE_BYTES / block_bytes) < info->blocks) {
    size_t rest = slices * HAK_SLICE_BYTES - blocks * block_bytes;
    if (has == 0 || rest * 8 <= slices * HAK_SLICE_BYTES) return span_shape(class_number, (unsigned)blocks);
    slices++;
  }
  return span_shape(class_number, info->blocks);
}

/* A free is checked by class, and for a class with more blocks than this span has one more would begin in what is left of the
 * last slice. The key there has a free of that address looked at closely. */
static void span_mark_end(char *base, uint32_t shape) {
  size_t end = span_bytes(shape);
  if (hak_span_blocks(shape) == hak_span_classes[span_class(shape)].blocks || end % HAK_SLICE_BYTES == 0) return;
  ((hak_block_t *)(void *)(base + end))->key = hak_freed_key(base + end);
}

/* Returns blocks to a span, and releases it when that made it all free. Returns the slices that became free, for which the
 * bound on dirty memory is to be kept. The fetch-or releases what the blocks' last users wrote (its pair: the fetch-and in
 * span_take) and is the first half of the hints' protocol, therefore seq_cst. */
static unsigned span_give(hak_cell_t *cell, uint64_t blocks) {
  uint32_t shape = hak_load_relaxed(&cell->xshape);
  unsigned class_number = span_class(shape);
  char *base = cell->span.base;
  hak_segment_t *segment = hak_segment_of(base);
  uint64_t before = hak_or_seq(&cell->xmask, blocks);
  if (HAK_UNLIKELY((before & blocks) != 0)) {
    hak_fatal("hak_free", HAK_BAD_DOUBLE_FREE,
              base + (size_t)hak_lowest_bit(before & blocks) * hak_span_classes[class_number].block_bytes);
  }
  uint64_t full = span_full(shape);
  if (HAK_UNLIKELY((blocks & ~full) != 0)) { /* by a sized free, which looks at nothing */
    hak_fatal("hak_free_sized", HAK_BAD_FOREIGN,
              base + (size_t)hak_highest_bit(blocks) * hak_span_classes[class_number].block_bytes);
  }
  if ((before | blocks) != full || !hak_cas_acq_rel(&cell->xmask, &full, 0)) { /* not full, or a refill was faster */
    if (before == 0) hak_hint_set(hak_hint_of_span_class(class_number), segment->index);
    return 0;
  }
  /* All that was set in the bitmap is ours now. Between the two steps others may have emptied, released and remade the
   * span: if it has as many blocks now, it is as free as the one we meant; if not, we hold some blocks of it. */
  shape = hak_load_relaxed(&cell->xshape);
  if (HAK_UNLIKELY(span_full(shape) != full)) {
    return span_give(cell, full);
  }
  (void)hak_and_relaxed(&segment->xspans, ~((uint64_t)1 << hak_slice_of(base)));
  (void)hak_sub_relaxed(&span_xblocks[span_class(shape)], hak_span_blocks(shape));
  hak_segment_give_mt(base, span_slices(shape));
  return span_slices(shape);
}

/* Takes up to `wanted` blocks out of a cell's bitmap, if it is (still) a span of the class. */
static uint64_t span_take(hak_cell_t *cell, unsigned class_number, uint32_t wanted) {
  uint64_t mask = hak_load_seq(&cell->xmask);
  while (mask != 0) {
    if (span_class(hak_load_relaxed(&cell->xshape)) != class_number) return 0;
    uint64_t choice = span_lowest(mask, wanted);
    uint64_t before = hak_and_seq(&cell->xmask, ~choice);
    uint64_t taken = before & choice;
    if (taken != 0) {
      /* While we hold a block nobody can release the span, so its class is certain now: it may have been released and
       * made anew since we looked. Then we took somebody else's blocks and give them back. */
      if (HAK_LIKELY(span_class(hak_load_relaxed(&cell->xshape)) == class_number)) return taken;
      (void)span_give(cell, taken);
      return 0;
    }
    mask = before;
  }
  return 0;
}

static void span_push(hak_magazine_t *magazine, hak_cell_t *cell, uint32_t block_bytes, uint64_t taken) {
  uint64_t zero = hak_load_relaxed(&cell->span.xzero) & taken;
  if (zero != 0) (void)hak_and_relaxed(&cell->span.xzero, ~zero);
  char *base = cell->span.base;
  while (taken != 0) { /* highest first, so that the lowest is handed out first */
    unsigned number = hak_highest_bit(taken);
    uint64_t bit = (uint64_t)1 << number;
    taken ^= bit;
    uintptr_t slot = (uintptr_t)(base + (size_t)number * block_bytes);
    magazine->slots[magazine->count++] = slot | ((zero & bit) != 0 ? HAK_SLOT_ZERO : 0);
  }
}

/* Fills the magazine from one segment's spans of the class. */
static uint32_t span_take_from_segment(hak_segment_t *segment, unsigned class_number, hak_magazine_t *magazine,
                                       uint32_t wanted) {
  uint32_t got = 0;
  /* pairs with the fetch-or in span_new: the cell of a span seen here is initialised; seq_cst as part of the hints' second
   * look */
  uint64_t spans = hak_load_seq(&segment->xspans);
  for (; spans != 0 && got < wanted; spans &= spans - 1) {
    hak_cell_t *cell = &segment->cell[hak_lowest_bit(spans)];
    uint64_t taken = span_take(cell, class_number, wanted - got);
    if (taken == 0) continue;
    span_push(magazine, cell, hak_span_classes[class_number].block_bytes, taken);
    got += hak_count_bits(taken);
  }
  return got;
}

static uint32_t span_new(unsigned class_number, hak_magazine_t *magazine, uint32_t wanted, uint32_t *segment_index) {
  uint32_t shape = span_new_shape(class_number, wanted), block_bytes = hak_span_classes[class_number].block_bytes;
  uint64_t full = span_full(shape);
  unsigned slices = span_slices(shape);
  bool zeroed;
  char *base = hak_segment_take_mt(slices, &zeroed);
  if (base == NULL) {
    hak_log(HAK_LOG_CHUNK, "[POOL_ARENA] chunk_ensure FAILED: class=%u, block_size=%u, count=%u, needed=%zu",
            class_number, block_bytes, hak_span_blocks(shape), (size_t)slices * HAK_SLICE_BYTES);
    return 0;
  }
  (void)hak_add_relaxed(&span_xblocks[class_number], hak_span_blocks(shape));
  hak_segment_t *segment = hak_segment_of(base);
  unsigned first = hak_slice_of(base);
  hak_cell_t *cell = &segment->cell[first];
  cell->span.base = base;
  hak_store_relaxed(&cell->span.xzero, zeroed ? full : 0);
  hak_store_relaxed(&cell->xshape, shape);
  span_mark_end(base, shape);
  hak_tagmap_set_run(base, slices, hak_tag_of_span(class_number, 0));
  uint64_t taken = span_lowest(full, wanted);
  span_push(magazine, cell, block_bytes, taken);
  /* seq_cst: publishes the cell to whoever takes a bit, and is the first half of the hints' protocol */
  atomic_store_explicit(&cell->xmask, full & ~taken, memory_order_seq_cst);
  (void)atomic_fetch_or_explicit(&segment->xspans, (uint64_t)1 << first, memory_order_seq_cst);
  if (taken != full) hak_hint_set(hak_hint_of_span_class(class_number), segment->index);
  *segment_index = segment->index;
  return hak_count_bits(taken);
}

/* Puts the youngest blocks of a magazine into a random order (Fisher and Yates). */
static inline void span_shuffle(hak_theap_t *heap, hak_magazine_t *magazine, uint32_t blocks) {
  uintptr_t *slots = magazine->slots + magazine->count - blocks;
  for (uint32_t i = 1; i < blocks; i++) {
    uint32_t other = hak_random(&heap->random, i + 1);
    uintptr_t slot = slots[i];
    slots[i] = slots[other];
    slots[other] = slot;
  }
}

static uint32_t span_refill(hak_theap_t *heap, unsigned class_number, hak_magazine_t *magazine, uint32_t wanted) {
  uint32_t *hint = &heap->span_hint[class_number];
  uint32_t end = hak_segment_count_mt();
  if (*hint < end) {
    uint32_t got = span_take_from_segment(hak_segment_at_mt(*hint), class_number, magazine, wanted);
    if (got != 0) return got;
  }
  unsigned kind = hak_hint_of_span_class(class_number);
  for (uint32_t i = 0; (i = hak_hint_next(kind, i, end)) < end; i++) {
    hak_segment_t *segment = hak_segment_at_mt(i);
    uint32_t got = span_take_from_segment(segment, class_number, magazine, wanted);
    if (got == 0) {
      hak_hint_clear(kind, i);
      got = span_take_from_segment(segment, class_number, magazine, wanted); /* the protocol's second look */
      if (got == 0) continue;
      hak_hint_set(kind, i);
    }
    *hint = i;
    return got;
  }
  return span_new(class_number, magazine, wanted, hint);
}

uint32_t hak_span_refill(hak_theap_t *heap, unsigned class_number, hak_magazine_t *magazine, uint32_t wanted) {
  uint32_t got = span_refill(heap, class_number, magazine, wanted);
  if (HAK_SECURE) span_shuffle(heap, magazine, got);
  return got;
}

uint32_t hak_span_spill(hak_magazine_t *magazine, uint32_t blocks, void **strays) {
  enum { GROUPS = 8 };
  hak_cell_t *cells[GROUPS];
  uint64_t masks[GROUPS];
  unsigned groups = 0;
  uint32_t strayed = 0;
  unsigned released = 0;
  for (uint32_t i = 0; i < blocks; i++) {
    char *block = (char *)(magazine->slots[i] & ~HAK_SLOT_ZERO);
    hak_tag_t tag = hak_tagmap_get_mt(block);
    int number = hak_tag_is_span(tag) ? hak_span_block_number(block, tag) : -1;
    if (HAK_UNLIKELY(number < 0)) {
      strays[strayed++] = block;
      continue;
    }
    hak_cell_t *cell = hak_cell_of_span(block, tag);
    uint64_t bit = (uint64_t)1 << number;
    unsigned g = 0;
    while (g < groups && cells[g] != cell) g++;
    if (g == GROUPS) { /* more spans than groups: the first goes out and makes room */
      released += span_give(cells[0], masks[0]);
      cells[0] = cells[--groups];
      masks[0] = masks[groups];
      g = groups;
    }
    if (g == groups) {
      cells[groups] = cell;
      masks[groups++] = 0;
    }
    if (HAK_UNLIKELY((masks[g] & bit) != 0)) hak_fatal("hak_free", HAK_BAD_DOUBLE_FREE, block);
    masks[g] |= bit;
  }
  for (unsigned g = 0; g < groups; g++) released += span_give(cells[g], masks[g]);
  if (released != 0) hak_purge_bound_mt(released); /* once, whatever was released */
  magazine->count -= blocks;
  for (uint32_t i = 0; i < magazine->count; i++) magazine->slots[i] = magazine->slots[i + blocks];
  return strayed;
}

bool hak_span_resize_mt(void *p, hak_tag_t tag, unsigned class_number) {
  unsigned old_class = hak_tag_class(tag);
  if (hak_span_classes[old_class].blocks != 1 || hak_span_classes[class_number].blocks != 1) return false;
  char *base = p;
  unsigned old_slices = hak_span_classes[old_class].slices, slices = hak_span_classes[class_number].slices;
  if (slices > old_slices && !hak_segment_take_at_mt(base + old_slices * HAK_SLICE_BYTES, slices - old_slices))
    return false;
  /* The block is the caller's and the only one, so the bitmap is empty and nobody but the caller may ask what it is. Who comes
   * late to the span of the old class takes nothing, or gives it back (span_take). */
  hak_store_relaxed(&hak_cell_of(base)->xshape, span_shape(class_number, 1));
  (void)hak_sub_relaxed(&span_xblocks[old_class], 1);
  (void)hak_add_relaxed(&span_xblocks[class_number], 1);
  hak_tagmap_set_run(base, slices, hak_tag_of_span(class_number, 0));
  if (slices < old_slices) {
    hak_segment_give_mt(base + slices * HAK_SLICE_BYTES, old_slices - slices);
    hak_purge_bound_mt(old_slices - slices);
  }
  return true;
}

/* Purges the whole pages of the blocks `first` .. `first + blocks` of a span that the caller took. */
static size_t span_purge_run(hak_cell_t *cell, const hak_span_class_t *info, unsigned first, unsigned blocks) {
  size_t page = hak_os_page_bytes();
  uintptr_t base = (uintptr_t)cell->span.base + (size_t)first * info->block_bytes;
  uintptr_t from = hak_align_up(base, page);
  uintptr_t to = hak_align_down(base + (size_t)blocks * info->block_bytes, page);
  if (from >= to || !hak_os_purge((void *)from, to - from)) return 0;
  if (info->block_bytes % page == 0) (void)hak_or_relaxed(&cell->span.xzero, hak_low_mask(blocks) << first);
  return to - from;
}

size_t hak_span_purge_mt(hak_segment_t *segment) {
  size_t bytes = 0;
  for (uint64_t spans = hak_load_acquire(&segment->xspans); spans != 0; spans &= spans - 1) {
    hak_cell_t *cell = &segment->cell[hak_lowest_bit(spans)];
    uint64_t taken = hak_and_seq(&cell->xmask, 0);
    if (taken == 0) continue;
    const hak_span_class_t *info = &hak_span_classes[span_class(hak_load_relaxed(&cell->xshape))];
    for (uint64_t dirty = taken & ~hak_load_relaxed(&cell->span.xzero); dirty != 0;) {
      unsigned first = hak_lowest_bit(dirty);
      uint64_t beyond = ~(dirty >> first);
      unsigned blocks = beyond == 0 ? 64 : hak_lowest_bit(beyond);
      bytes += span_purge_run(cell, info, first, blocks);
      dirty &= ~(hak_low_mask(blocks) << first);
    }
    (void)span_give(cell, taken);
  }
  return bytes;
}
