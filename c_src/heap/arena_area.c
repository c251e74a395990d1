#include "base/check.h"
#include "core/purge.h"
#include "heap/arena.h"
#include "heap/quarantine.h"

/* ---- Made and given back ---- */

/* What a span of the class has, at most; slabs have one. */
static unsigned area_most_slices(unsigned bin) {
  return bin < HAK_SLAB_CLASSES ? 1 : hak_span_classes[bin - HAK_SLAB_CLASSES].slices;
}

static unsigned area_least_slices(unsigned bin) {
  return (unsigned)((hak_arena_bin_bytes(bin) + HAK_SLICE_BYTES - 1) >> HAK_SLICE_SHIFT);
}

unsigned hak_area_slices_locked(const hak_heap_t *heap, unsigned bin) {
  const hak_area_t *first = heap->area[bin];
  unsigned least = area_least_slices(bin), most = area_most_slices(bin);
  unsigned slices = first == NULL ? least : 2u * first->slices;
  return slices < most ? slices : most;
}

static hak_tag_t area_tag(const hak_heap_t *heap, unsigned bin, unsigned back) {
  uint64_t class_bits =
      bin < HAK_SLAB_CLASSES ? bin * HAK_BIN_SCALE : HAK_TAG_ARENA_SPAN | (bin - HAK_SLAB_CLASSES) * HAK_BIN_SCALE;
  return HAK_TAG_ARENA | (uint64_t)heap->id << HAK_TAG_OWNER_SHIFT | class_bits | (uint64_t)back << HAK_TAG_BACK_SHIFT;
}

hak_area_t *hak_area_make_mt(const hak_heap_t *heap, unsigned bin, unsigned slices) {
  bool zeroed;
  char *base = hak_segment_take_mt(slices, &zeroed);
  if (HAK_UNLIKELY(base == NULL)) {
    slices = area_least_slices(bin);
    base = hak_segment_take_mt(slices, &zeroed);
    /* free mappings may be the memory that is missing, as for the tiers (api/alloc.c) */
    if (base == NULL && hak_mmap_collect_mt(true)) base = hak_segment_take_mt(slices, &zeroed);
    if (base == NULL) return NULL;
  }
  size_t block_bytes = hak_arena_bin_bytes(bin), blocks = slices * HAK_SLICE_BYTES / block_bytes;
  if (bin >= HAK_SLAB_CLASSES && blocks > hak_span_classes[bin - HAK_SLAB_CLASSES].blocks) {
    blocks = hak_span_classes[bin - HAK_SLAB_CLASSES].blocks;
  }
  uint32_t end = (uint32_t)(blocks * block_bytes);
  hak_area_t *area = &hak_cell_of(base)->area;
  *area = (hak_area_t){
      .base = base, .zero_from = zeroed ? 0 : end, .end = end, .bin = (uint8_t)bin, .slices = (uint8_t)slices};
  hak_tagmap_set_run(base, slices, area_tag(heap, bin, 0));
  return area;
}

/* ---- Rings ---- */

static void area_link(hak_heap_t *heap, hak_area_t *area) {
  hak_area_t **first = &heap->area[area->bin];
  if (*first == NULL) {
    area->next = area->previous = area;
    heap->bins[area->bin / 64] |= (uint64_t)1 << area->bin % 64;
  } else {
    if (hak_area_is_full(*first)) *first = (*first)->next; /* only the first may be full in front of one that is not */
    area->next = *first;
    area->previous = (*first)->previous;
    area->previous->next = area->next->previous = area;
  }
  *first = area;
}

static void area_unlink(hak_heap_t *heap, hak_area_t *area) {
  hak_area_t **first = &heap->area[area->bin];
  if (area->next == area) {
    *first = NULL;
    heap->bins[area->bin / 64] &= ~((uint64_t)1 << area->bin % 64);
    return;
  }
  area->next->previous = area->previous;
  area->previous->next = area->next;
  if (*first == area) *first = area->next;
}

void hak_area_add_locked(hak_heap_t *heap, hak_area_t *area) {
  area_link(heap, area);
  heap->slices += area->slices;
}

bool hak_area_advance_locked(hak_heap_t *heap, unsigned bin) {
  hak_area_t *first = heap->area[bin];
  if (first == NULL || hak_area_is_full(first->next)) return false;
  heap->area[bin] = first->next;
  return true;
}

void hak_area_revive_locked(hak_heap_t *heap, hak_area_t *area) {
  if (heap->area[area->bin] == area) return;
  area_unlink(heap, area);
  area_link(heap, area);
}

/* ---- Empty ones ---- */

/* Slices that are to be given back: areas that are neighbours, as those of a short life are, go together. */
typedef struct area_run {
  char *base;
  unsigned slices; /* 0: none */
} area_run_t;

/* They go with their tags changed, so a free of one of their blocks is noticed from then on. */
static void area_give_run(area_run_t run) {
  if (run.slices != 0) hak_segment_give_mt(run.base, run.slices);
}

/* Takes the area out of its arena and adds it to the run, or gives that back and begins another. (Neighbours are of one
 * segment, for the first slice of each is nobody's.) */
static area_run_t area_leave(hak_heap_t *heap, hak_area_t *area, area_run_t run) {
  area_unlink(heap, area);
  heap->slices -= area->slices;
  area->frontier = 0; /* no address in it is a block from now on */
  char *base = area->base, *end = base + area->slices * HAK_SLICE_BYTES;
  if (run.slices != 0 && base == run.base + run.slices * HAK_SLICE_BYTES) {
    return (area_run_t){run.base, run.slices + area->slices};
  }
  if (run.slices != 0 && end == run.base) return (area_run_t){base, run.slices + area->slices};
  area_give_run(run);
  return (area_run_t){base, area->slices};
}

void hak_area_give_locked(hak_heap_t *heap, hak_area_t *area) {
  area_give_run(area_leave(heap, area, (area_run_t){0}));
}

/* As if it were new, but for what was written to. */
static void area_clear(hak_area_t *area) {
  if (area->zero_from < area->frontier) area->zero_from = area->frontier;
  area->free = NULL;
  area->frontier = 0;
  area->used = 0;
}

#if HAK_SECURE
void hak_area_wipe_locked(hak_heap_t *heap) {
  for (unsigned half = 0; half < 2; half++) {
    for (uint64_t bins = heap->bins[half]; bins != 0; bins &= bins - 1) {
      const hak_area_t *first = heap->area[half * 64 + hak_lowest_bit(bins)], *area = first;
      do {
        if (area->frontier != 0) hak_quarantine_wipe(area->base, area->frontier); /* but the last block's trailer */
      } while ((area = area->next) != first);
    }
  }
}
#endif

unsigned hak_area_clear_locked(hak_heap_t *heap, unsigned kept, bool only_empty) {
  area_run_t run = {0};
  uint64_t before = heap->slices;
  for (unsigned half = 0; half < 2; half++) {
    for (uint64_t bins = heap->bins[half]; bins != 0; bins &= bins - 1) {
      unsigned bin = half * 64 + hak_lowest_bit(bins);
      hak_area_t *area = heap->area[bin], *last = area->previous, *next;
      for (bool more = true; more; area = next) {
        more = area != last;
        next = area->next;
        if (only_empty && area->used != 0) continue;
        if (area->slices <= kept) {
          kept -= area->slices;
          area_clear(area);
        } else {
          run = area_leave(heap, area, run);
        }
      }
    }
  }
  area_give_run(run);
  return (unsigned)(before - heap->slices);
}

/* ---- Validity ---- */

static bool area_is_valid(const hak_area_t *area, unsigned bin, int64_t *bytes, uint64_t *blocks) {
  size_t block_bytes = hak_arena_bin_bytes(bin);
  size_t handed_out = area->frontier / block_bytes, length = 0;
  for (const hak_block_t *b = area->free; b != NULL; b = hak_block_next(b), length++) {
    size_t offset = (size_t)((const char *)b - area->base);
    if (offset % block_bytes != 0 || offset >= area->frontier || b->key != hak_freed_key(b)) return false;
    if (length > handed_out) return false;
  }
  *bytes += (int64_t)(area->used * block_bytes);
  *blocks += area->used;
  return area->bin == bin && area->used + length == handed_out && area->frontier % block_bytes == 0 &&
         area->frontier <= area->end && area->end <= area->slices * HAK_SLICE_BYTES && area->next->previous == area;
}

bool hak_arena_is_valid_locked(const hak_heap_t *heap) {
  int64_t bytes = heap->mapped_bytes;
  uint64_t blocks = 0, slices = 0;
  for (unsigned bin = 0; bin < HAK_ARENA_BINS; bin++) {
    const hak_area_t *first = heap->area[bin], *area = first;
    if ((first != NULL) != ((heap->bins[bin / 64] >> bin % 64 & 1) != 0)) return false;
    if (first == NULL) continue;
    bool seen_full = false;
    do {
      if (!area_is_valid(area, bin, &bytes, &blocks)) return false;
      if (area != first && seen_full && !hak_area_is_full(area)) return false;
      seen_full = seen_full || (area != first && hak_area_is_full(area));
      slices += area->slices;
      area = area->next;
    } while (area != first);
  }
  return bytes == heap->limit - heap->room && blocks <= heap->blocks && slices == heap->slices;
}
