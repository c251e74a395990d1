/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * core/adapt: every decision about a magazine's capacity, driven by recorded events at given times. No block exists here: a
 * magazine's count is what a test says it is.
 */
#include "unit.h"

enum { POOL = 0, ACE = 24, SINGLE = 51 }; /* 9 KiB; 72 KiB, 3 in the start capacity; 768 KiB, a span each */

static hak_theap_t *start(void) {
  hak_theap_t *heap = hak_theap_get();
  CHECK(hak_span_classes[POOL].block_bytes == 9 * 1024 && hak_span_classes[ACE].block_bytes == 72 * 1024 &&
            hak_span_classes[SINGLE].block_bytes == 768 * 1024 && hak_span_classes[SINGLE].blocks == 1,
        "classes");
  return heap;
}

static void miss(hak_theap_t *heap, unsigned class_number, uint64_t now_ms, uint32_t capacity, uint32_t refill) {
  hak_magazine_t *magazine = hak_magazine_of(heap, class_number);
  magazine->count = 0;
  uint32_t got = hak_adapt_missed(heap, class_number, magazine, now_ms);
  CHECK(got == refill && magazine->capacity == capacity, "miss at %lu: refill %u, capacity %u", (unsigned long)now_ms,
        got, magazine->capacity);
}

static void overflow(hak_theap_t *heap, unsigned class_number, uint64_t now_ms, uint32_t capacity, uint32_t spill) {
  hak_magazine_t *magazine = hak_magazine_of(heap, class_number);
  magazine->count = magazine->capacity;
  uint32_t got = hak_adapt_overflowed(heap, class_number, magazine, now_ms);
  CHECK(got == spill && magazine->capacity == capacity, "overflow at %lu: spill %u, capacity %u", (unsigned long)now_ms,
        got, magazine->capacity);
  CHECK(magazine->capacity == 0 || magazine->count - got < magazine->capacity, "no room");
  magazine->count -= got;
}

/* A miss and an overflow are worth 16 KiB there: 7 blocks of 9 KiB take four of both. */
static void both_ways(size_t unused) {
  (void)unused;
  hak_theap_t *heap = start();
  hak_magazine_t *magazine = hak_magazine_of(heap, POOL);
  CHECK(magazine->capacity == 0 && heap->open == 0 && hak_adapt_grown_mt() == 0, "%u", magazine->capacity);
  for (int i = 0; i < 3; i++) {
    miss(heap, POOL, 100, 7, 4);
    overflow(heap, POOL, 101, 7, 4);
  }
  miss(heap, POOL, 101, 7, 4);
  overflow(heap, POOL, 101, 14, 0); /* the fourth: there is room now */
  CHECK(hak_adapt_grown_mt() == 7 * 9 * 1024, "%lu", (unsigned long)hak_adapt_grown_mt());
  for (int i = 0; i < 7; i++) { /* the next step is twice as dear */
    miss(heap, POOL, 110, 14, 7);
    overflow(heap, POOL, 110, 14, 7);
  }
  overflow(heap, POOL, 110, 14, 7);
  miss(heap, POOL, 110, 28, 14);
  /* The same number of events, but never enough of them in one window. */
  for (uint64_t now = 200; now < 200 + 16 * 20; now += 16) {
    for (int i = 0; i < 15; i++) {
      miss(heap, POOL, now, 28, 14);
      overflow(heap, POOL, now + 15, 28, 14);
    }
  }
  for (int i = 0; i < 5000; i++) { /* and it ends at the most */
    magazine->count = 0;
    (void)hak_adapt_missed(heap, POOL, magazine, 1000);
    magazine->count = magazine->capacity;
    (void)hak_adapt_overflowed(heap, POOL, magazine, 1000);
  }
  CHECK(magazine->capacity == hak_adapt_bounds(POOL)->most && magazine->capacity == 128, "%u", magazine->capacity);
}

/* More of one kind than any capacity prevents: a batch, and what overflows goes whole. */
static void one_way(size_t unused) {
  (void)unused;
  hak_theap_t *heap = start();
  uint32_t moved = 0;
  overflow(heap, POOL, 50, 7, 0); /* it opens */
  CHECK(heap->open == (uint64_t)1 << POOL, "0x%lx", (unsigned long)heap->open);
  while (moved + 4 <= 512) {
    overflow(heap, POOL, 50, 7, 4);
    moved += 4;
  }
  overflow(heap, POOL, 50, 14, 0); /* to a batch of 128 KiB */
  overflow(heap, POOL, 50, 14, 14);
  overflow(heap, POOL, 50, 14, 14);
  miss(heap, POOL, 50, 14, 7); /* it needs some itself: halves again */
  overflow(heap, POOL, 50, 14, 7);

  hak_magazine_t *magazine = hak_magazine_of(heap, ACE);
  for (int i = 0; i < 2000; i++) {
    magazine->count = 0;
    (void)hak_adapt_missed(heap, ACE, magazine, 1000);
    magazine->count = magazine->capacity;
    (void)hak_adapt_overflowed(heap, ACE, magazine, 1000);
  }
  uint32_t capacity = magazine->capacity;
  CHECK(capacity == hak_adapt_bounds(ACE)->most && capacity == 64, "%u", capacity);
  for (int i = 0; i < 2000; i++) { /* a large magazine shrinks to the batch by halves */
    uint32_t before = magazine->capacity;
    magazine->count = before;
    uint32_t spilled = hak_adapt_overflowed(heap, ACE, magazine, 1000);
    uint32_t half = before / 2 < 3 ? 3 : before / 2;
    CHECK(magazine->capacity == before || (magazine->capacity == half && spilled == before), "%u after %u, spilled %u",
          magazine->capacity, before, spilled);
  }
  CHECK(magazine->capacity == 3, "%u", magazine->capacity);
  for (int i = 0; i < 500; i++) { /* allocating only: refilled by whole batches */
    magazine->count = 0;
    (void)hak_adapt_missed(heap, ACE, magazine, 1000);
  }
  miss(heap, ACE, 1000, 3, 3);
}

/* A block that is a span of its own is given back at once until it was wanted so often in a window, at 32 KiB each, that it
 * pays to keep one, two, four. */
static void single(size_t unused) {
  (void)unused;
  hak_theap_t *heap = start();
  hak_magazine_t *magazine = hak_magazine_of(heap, SINGLE);
  for (int i = 0; i < 23; i++) {
    miss(heap, SINGLE, 10, 0, 1);
    overflow(heap, SINGLE, 25, 0, 0);
  }
  miss(heap, SINGLE, 26, 0, 1); /* another window */
  for (int i = 0; i < 23; i++) {
    overflow(heap, SINGLE, 27, 0, 0);
    miss(heap, SINGLE, 27, 0, 1);
  }
  overflow(heap, SINGLE, 27, 1, 0);
  for (int i = 0; i < 24; i++) {
    miss(heap, SINGLE, 28, 1, 1);
    if (i < 23) overflow(heap, SINGLE, 28, 1, 1);
  }
  overflow(heap, SINGLE, 28, 2, 0);
  for (int i = 0; i < 2000; i++) { /* who only frees keeps none */
    magazine->count = magazine->capacity;
    (void)hak_adapt_overflowed(heap, SINGLE, magazine, 28);
  }
  CHECK(magazine->capacity == 0, "%u", magazine->capacity);
  miss(heap, SINGLE, 28, 0, 1);
  /* Everything together stays within the budget. */
  for (unsigned c = 0; c < HAK_SPAN_CLASSES; c++) {
    magazine = hak_magazine_of(heap, c);
    for (int i = 0; i < 3000; i++) {
      magazine->count = 0;
      (void)hak_adapt_missed(heap, c, magazine, 5000);
      magazine->count = magazine->capacity;
      (void)hak_adapt_overflowed(heap, c, magazine, 5000);
    }
  }
  CHECK(hak_adapt_grown_mt() <= hak_adapt_budget_mt() && hak_adapt_grown_mt() > hak_adapt_budget_mt() * 3 / 4,
        "%lu of %lu", (unsigned long)hak_adapt_grown_mt(), (unsigned long)hak_adapt_budget_mt());
  CHECK(hak_adapt_budget_mt() == 256 << 20, "%lu", (unsigned long)hak_adapt_budget_mt());
  uint64_t sum = 0;
  for (unsigned c = 0; c < HAK_SPAN_CLASSES; c++) {
    uint32_t capacity = hak_magazine_of(heap, c)->capacity, begin = hak_adapt_bounds(c)->start;
    CHECK(capacity == hak_load_relaxed(&heap->adapt[c].xcapacity), "class %u", c);
    sum += capacity > begin ? (uint64_t)(capacity - begin) * hak_span_classes[c].block_bytes : 0;
  }
  CHECK(sum == hak_adapt_grown_mt(), "%lu", (unsigned long)sum);
  hak_adapt_recount(); /* changes nothing where nobody was interrupted */
  CHECK(sum == hak_adapt_grown_mt(), "%lu", (unsigned long)hak_adapt_grown_mt());
  CHECK(heap->open == UINT64_MAX, "0x%lx", (unsigned long)heap->open);
  for (unsigned c = 0; c < HAK_SPAN_CLASSES; c++) hak_adapt_close(heap, c, hak_magazine_of(heap, c));
  CHECK(hak_adapt_grown_mt() == 0 && heap->open == 0, "%lu", (unsigned long)hak_adapt_grown_mt());
}

static void looks(size_t unused) {
  (void)unused;
  hak_theap_t *heap = start();
  hak_magazine_t *magazine = hak_magazine_of(heap, POOL);
  for (int i = 0; i < 8; i++) {
    miss(heap, POOL, 100, i < 4 ? 7 : 14, i < 4 ? 4 : 7);
    magazine->count = magazine->capacity;
    (void)hak_adapt_overflowed(heap, POOL, magazine, 100);
  }
  CHECK(magazine->capacity == 14, "%u", magazine->capacity);
  uint32_t surplus = 0;
  magazine->count = 10;
  CHECK(!hak_adapt_is_idle(heap, POOL, magazine, &surplus) && surplus <= 1, "the first look: %u", surplus);
  magazine->count = 10;
  hak_adapt_sample(heap, POOL, magazine);
  magazine->count = 6;
  hak_adapt_sample(heap, POOL, magazine);
  magazine->count = 9;
  hak_adapt_sample(heap, POOL, magazine);
  CHECK(!hak_adapt_is_idle(heap, POOL, magazine, &surplus) && surplus == 3, "half of the least: %u", surplus);
  magazine->count -= surplus;
  CHECK(magazine->capacity == 14, "%u", magazine->capacity);
  CHECK(hak_adapt_is_idle(heap, POOL, magazine, &surplus), "nothing happened");
  hak_adapt_close(heap, POOL, magazine);
  CHECK(magazine->capacity == 0 && magazine->count == 0 && hak_adapt_grown_mt() == 0 && heap->open == 0, "closed");
  miss(heap, POOL, 200, 7, 4); /* and begins anew */
}

static void pinned(size_t shift) {
  char text[16];
  snprintf(text, sizeof text, "%d", (int)shift - 3);
  setenv("HAKMEM_ACE_SHIFT", text, 1);
  setenv("HAKMEM_ACE_LEARN", "0", 1);
  hak_theap_t *heap = start();
  uint32_t capacity = shift == 3 ? 28 : shift == 0 ? 3 : shift == 6 ? 227 : 0;
  if (capacity > HAK_POOL_MAGAZINE_BLOCKS_MAX) capacity = HAK_POOL_MAGAZINE_BLOCKS_MAX;
  for (int i = 0; i < 500 && capacity != 0; i++) {
    miss(heap, POOL, 5, capacity, (capacity + 1) / 2);
    overflow(heap, POOL, 5, capacity, (capacity + 1) / 2);
  }
  CHECK(heap->open <= 1, "0x%lx", (unsigned long)heap->open);
  for (int i = 0; i < 500 && capacity != 0; i++) overflow(heap, POOL, 5, capacity, (capacity + 1) / 2);
  miss(heap, HAK_SPAN_CLASSES - 1, 5, shift < 4 ? 1 : shift == 6 ? 4 : (uint32_t)shift - 3, shift == 6 ? 2 : 1);
  CHECK(hak_adapt_grown_mt() == 0, "grown");
}

static void test_all(void **state) {
  (void)state;
  child_passes(both_ways, 0);
  child_passes(one_way, 0);
  child_passes(single, 0);
  child_passes(looks, 0);
  for (size_t shift = 0; shift <= 6; shift++) child_passes(pinned, shift);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_all)};
  return cmocka_run_group_tests_name("adapt", tests, NULL, NULL);
}
