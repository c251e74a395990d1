#include "core/adapt.h"

#include "base/check.h"
#include "core/options.h"
#include "core/registry.h"
#include "core/segment.h"

/* The most that is cached of a class by one thread, and what a batch one way is. */
#define ADAPT_POOL_START_BYTES (64 * HAK_KIB)
#define ADAPT_POOL_BATCH_BYTES (128 * HAK_KIB)
#define ADAPT_POOL_MOST_BYTES (2 * HAK_MIB)
#define ADAPT_ACE_START_BYTES (256 * HAK_KIB)
#define ADAPT_ACE_BATCH_BYTES (256 * HAK_KIB)
#define ADAPT_ACE_MOST_BYTES (8 * HAK_MIB)

/* So many blocks one way are no burst that comes back: more than any magazine holds, several times. */
#define ADAPT_ONE_WAY_BLOCKS 512u

/* The window in which events are counted. */
#define ADAPT_WINDOW_MS 16u

#define ADAPT_BUDGET_MIN ((uint64_t)256 * HAK_MIB)
#define ADAPT_BUDGET_SHARE 8u

enum { ADAPT_NOTHING, ADAPT_MISS, ADAPT_OVERFLOW };

static HAK_LINE_ALIGNED _Atomic uint64_t adapt_xgrown;

uint64_t hak_adapt_grown_mt(void) { return hak_load_relaxed(&adapt_xgrown); }

uint64_t hak_adapt_budget_mt(void) {
  int64_t active = hak_load_relaxed(hak_segment_active_slices());
  uint64_t share = active > 0 ? (uint64_t)active * HAK_SLICE_BYTES / ADAPT_BUDGET_SHARE : 0;
  return share > ADAPT_BUDGET_MIN ? share : ADAPT_BUDGET_MIN;
}

static uint32_t adapt_blocks(size_t bytes, size_t block_bytes, uint32_t least, uint32_t most) {
  size_t blocks = bytes / block_bytes;
  return blocks < least ? least : blocks > most ? most : (uint32_t)blocks;
}

/* What options pin: the capacities that were best for all classes before they could be learned, times a power of two. */
static uint32_t adapt_pinned(unsigned class_number) {
  bool pool = class_number < HAK_POOL_CLASSES;
  size_t bytes = pool ? HAK_POOL_MAGAZINE_BYTES : HAK_ACE_MAGAZINE_BYTES;
  size_t blocks = pool ? HAK_POOL_MAGAZINE_BLOCKS : HAK_ACE_MAGAZINE_BLOCKS;
  if (hak_options.ace_shift >= 0) {
    bytes <<= hak_options.ace_shift;
    blocks <<= hak_options.ace_shift;
  } else {
    bytes >>= -hak_options.ace_shift;
    blocks >>= -hak_options.ace_shift;
  }
  uint32_t most = pool ? HAK_POOL_MAGAZINE_BLOCKS_MAX : HAK_ACE_MAGAZINE_BLOCKS_MAX;
  if (blocks < most) most = (uint32_t)blocks;
  return adapt_blocks(bytes, hak_span_classes[class_number].block_bytes, 1, most);
}

static hak_adapt_bounds_t adapt_bounds_of(unsigned class_number) {
  if (!hak_options.ace_learn) {
    uint32_t pinned = adapt_pinned(class_number);
    return (hak_adapt_bounds_t){pinned, pinned, pinned, 0};
  }
  const hak_span_class_t *info = &hak_span_classes[class_number];
  size_t bytes = info->block_bytes;
  if (class_number < HAK_POOL_CLASSES) {
    const uint32_t max = HAK_POOL_MAGAZINE_BLOCKS_MAX;
    return (hak_adapt_bounds_t){.start = adapt_blocks(ADAPT_POOL_START_BYTES, bytes, 2, max),
                                .batch = adapt_blocks(ADAPT_POOL_BATCH_BYTES, bytes, 2, max),
                                .most = adapt_blocks(ADAPT_POOL_MOST_BYTES, bytes, 2, max),
                                .worth = 16 * HAK_KIB};
  }
  const uint32_t max = HAK_ACE_MAGAZINE_BLOCKS_MAX;
  uint32_t most = adapt_blocks(ADAPT_ACE_MOST_BYTES, bytes, 1, max);
  if (info->blocks == 1) { /* what a thread keeps of each such class adds up: nothing, until it is seen to pay */
    return (hak_adapt_bounds_t){.start = 0, .batch = 0, .most = most, .worth = 32 * HAK_KIB};
  }
  return (hak_adapt_bounds_t){.start = adapt_blocks(ADAPT_ACE_START_BYTES, bytes, 1, max),
                              .batch = adapt_blocks(ADAPT_ACE_BATCH_BYTES, bytes, 1, max),
                              .most = most,
                              .worth = 64 * HAK_KIB};
}

static hak_adapt_bounds_t adapt_bounds[HAK_SPAN_CLASSES];

void hak_adapt_init(void) {
  for (unsigned c = 0; c < HAK_SPAN_CLASSES; c++) adapt_bounds[c] = adapt_bounds_of(c);
}

const hak_adapt_bounds_t *hak_adapt_bounds(unsigned class_number) { return &adapt_bounds[class_number]; }

static uint64_t adapt_extra(unsigned class_number, uint32_t capacity) {
  uint32_t start = adapt_bounds[class_number].start;
  return capacity <= start ? 0 : (uint64_t)(capacity - start) * hak_span_classes[class_number].block_bytes;
}

void hak_adapt_recount(void) {
  uint64_t grown = 0;
  uint32_t count = hak_registry_count_mt();
  for (uint32_t id = 1; id <= count; id++) {
    const hak_theap_t *heap = hak_registry_heap(id);
    for (unsigned c = 0; c < HAK_SPAN_CLASSES; c++) {
      grown += adapt_extra(c, hak_load_relaxed(&heap->adapt[c].xcapacity));
    }
  }
  hak_store_relaxed(&adapt_xgrown, grown);
}

/* Sets the capacity, if the budget has what that takes or we do not care. */
static void adapt_set(hak_adapt_t *adapt, unsigned class_number, hak_magazine_t *magazine, uint32_t capacity,
                      bool whatever_budget) {
  uint64_t before = adapt_extra(class_number, magazine->capacity);
  uint64_t after = adapt_extra(class_number, capacity);
  if (after > before) {
    uint64_t more = after - before;
    if (hak_add_relaxed(&adapt_xgrown, more) + more > hak_adapt_budget_mt() && !whatever_budget) {
      (void)hak_sub_relaxed(&adapt_xgrown, more);
      return;
    }
  } else if (after < before) {
    (void)hak_sub_relaxed(&adapt_xgrown, before - after);
  }
  magazine->capacity = capacity;
  hak_store_relaxed(&adapt->xcapacity, capacity);
}

/* Counts an event in its window. */
static void adapt_count(hak_adapt_t *adapt, uint8_t event, uint64_t now_ms) {
  if ((uint32_t)now_ms - adapt->window_ms >= ADAPT_WINDOW_MS) {
    adapt->window_ms = (uint32_t)now_ms;
    adapt->misses = adapt->overflows = 0;
  }
  adapt->misses += event == ADAPT_MISS;
  adapt->overflows += event == ADAPT_OVERFLOW;
}

/* A miss or an overflow that moves so many blocks. */
static void adapt_event(hak_adapt_t *adapt, unsigned class_number, hak_magazine_t *magazine, uint8_t event,
                        uint32_t blocks, uint64_t now_ms) {
  if (!hak_options.ace_learn) return;
  const hak_adapt_bounds_t *bounds = &adapt_bounds[class_number];
  uint32_t capacity = magazine->capacity, wanted = capacity;
  adapt_count(adapt, event, now_ms);
  if (adapt->last != event) {
    adapt->last = event;
    adapt->run = 0;
    adapt->one_way = false;
  }
  adapt->run += blocks;
  uint32_t both = adapt->misses < adapt->overflows ? adapt->misses : adapt->overflows;
  if (adapt->run > ADAPT_ONE_WAY_BLOCKS) {
    adapt->one_way = true;
    adapt->run = 0;
    uint32_t half = capacity / 2;
    wanted = half < bounds->batch ? bounds->batch : half;
  } else if (!adapt->one_way && capacity < bounds->most) {
    uint32_t larger = capacity == 0 ? 1 : capacity < bounds->most / 2 ? 2 * capacity : bounds->most;
    uint64_t price = (uint64_t)(larger - capacity) * hak_span_classes[class_number].block_bytes;
    if ((uint64_t)both * bounds->worth >= price) {
      wanted = larger;
      adapt->misses = adapt->overflows = 0;
    }
  }
  if (wanted != capacity) adapt_set(adapt, class_number, magazine, wanted, false);
}

static bool adapt_is_open(const hak_theap_t *heap, unsigned class_number) {
  return (heap->open >> class_number & 1) != 0;
}

static void adapt_open(hak_theap_t *heap, unsigned class_number, hak_magazine_t *magazine) {
  hak_adapt_t *adapt = &heap->adapt[class_number];
  heap->open |= (uint64_t)1 << class_number;
  adapt->last = ADAPT_NOTHING;
  adapt->one_way = false;
  adapt->run = adapt->misses = adapt->overflows = adapt->least = adapt->seen_count = 0;
  adapt->seen_events = hak_load_relaxed(&adapt->xmisses) + hak_load_relaxed(&adapt->xoverflows);
  adapt_set(adapt, class_number, magazine, adapt_bounds[class_number].start, false);
}

/* How many blocks a refill takes. */
static uint32_t adapt_refill(const hak_adapt_t *adapt, const hak_magazine_t *magazine) {
  if (magazine->capacity == 0) return 1;
  return adapt->one_way ? magazine->capacity : (magazine->capacity + 1) / 2;
}

uint32_t hak_adapt_missed(hak_theap_t *heap, unsigned class_number, hak_magazine_t *magazine, uint64_t now_ms) {
  hak_adapt_t *adapt = &heap->adapt[class_number];
  if (!adapt_is_open(heap, class_number)) adapt_open(heap, class_number, magazine);
  hak_count(&adapt->xmisses, 1);
  adapt_event(adapt, class_number, magazine, ADAPT_MISS, adapt_refill(adapt, magazine), now_ms);
  return adapt_refill(adapt, magazine);
}

uint32_t hak_adapt_overflowed(hak_theap_t *heap, unsigned class_number, hak_magazine_t *magazine, uint64_t now_ms) {
  hak_adapt_t *adapt = &heap->adapt[class_number];
  if (!adapt_is_open(heap, class_number)) {
    adapt_open(heap, class_number, magazine);
    return 0;
  }
  hak_count(&adapt->xoverflows, 1);
  uint32_t count = magazine->count;
  adapt_event(adapt, class_number, magazine, ADAPT_OVERFLOW, (count + 1) / 2, now_ms);
  if (count < magazine->capacity) return 0;
  return adapt->one_way ? count : (count + 1) / 2;
}

uint32_t hak_adapt_prewarm(hak_theap_t *heap, unsigned class_number, hak_magazine_t *magazine, uint32_t blocks) {
  if (blocks > adapt_bounds[class_number].most) blocks = adapt_bounds[class_number].most;
  if (!adapt_is_open(heap, class_number)) adapt_open(heap, class_number, magazine);
  if (blocks > magazine->capacity) adapt_set(&heap->adapt[class_number], class_number, magazine, blocks, true);
  return blocks;
}

void hak_adapt_sample(hak_theap_t *heap, unsigned class_number, const hak_magazine_t *magazine) {
  hak_adapt_t *adapt = &heap->adapt[class_number];
  if (magazine->count < adapt->least) adapt->least = magazine->count;
}

bool hak_adapt_is_idle(hak_theap_t *heap, unsigned class_number, const hak_magazine_t *magazine, uint32_t *surplus) {
  hak_adapt_t *adapt = &heap->adapt[class_number];
  uint32_t events = hak_load_relaxed(&adapt->xmisses) + hak_load_relaxed(&adapt->xoverflows);
  bool idle = adapt->seen_events == events && adapt->seen_count == magazine->count;
  hak_adapt_sample(heap, class_number, magazine);
  if (idle) return true;
  *surplus = (adapt->least + 1) / 2;
  adapt->seen_events = events;
  adapt->seen_count = adapt->least = magazine->count - *surplus;
  return false;
}

void hak_adapt_close(hak_theap_t *heap, unsigned class_number, hak_magazine_t *magazine) {
  hak_adapt_t *adapt = &heap->adapt[class_number];
  heap->open &= ~((uint64_t)1 << class_number);
  magazine->count = 0;
  magazine->capacity = hak_load_relaxed(&adapt->xcapacity); /* that of its last thread may be gone */
  adapt_set(adapt, class_number, magazine, 0, false);
}
