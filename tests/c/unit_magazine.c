/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * core/magazine: refilled by half, spilled by half and the older half, the youngest block first; what is counted, and
 * what is said when memory runs out.
 */
#include "unit.h"

enum { CLASS = 8 }; /* 18 KiB, 56 in a span */

typedef struct {
  hak_magazine_t magazine;
  uintptr_t slots[HAK_POOL_MAGAZINE_BLOCKS_MAX];
} box_t;

static hak_magazine_t *box_of(box_t *box, uint32_t capacity) {
  hak_theap_get()->open = UINT64_MAX; /* a closed one would begin with a capacity of its class */
  box->magazine = (hak_magazine_t){.slots = box->slots, .capacity = capacity};
  return &box->magazine;
}

static hak_tier_counters_t *counters(hak_theap_t *heap) { return &heap->tier[HAK_AT_POOL]; }

static char *take(hak_theap_t *heap, hak_magazine_t *magazine) {
  uintptr_t slot = hak_magazine_take(heap, HAK_AT_POOL, CLASS, magazine);
  CHECK(slot != 0, "no memory");
  return (char *)(slot & ~HAK_SLOT_ZERO);
}

static void put(hak_theap_t *heap, hak_magazine_t *magazine, void *block) {
  void *strays[HAK_POOL_MAGAZINE_BLOCKS_MAX];
  ((hak_block_t *)block)->key = hak_freed_key(block);
  CHECK(hak_magazine_put(heap, HAK_AT_POOL, CLASS, magazine, block, strays) == 0, "strays");
}

static void by_half(size_t capacity) {
  hak_theap_t *heap = hak_theap_get();
  hak_options.ace_learn = 0; /* it is as large as we say */
  span_xblocks[CLASS] = 64;  /* so that one span has them all */
  box_t box;
  hak_magazine_t *magazine = box_of(&box, (uint32_t)capacity);
  char *blocks[64];
  const uint32_t half = (uint32_t)(capacity + 1) / 2;
  uint64_t taken = 0, refills = 0, returned = 0;
  for (size_t i = 0; i < 40; i++) { /* in address order, half a magazine at a time */
    bool was_empty = magazine->count == 0;
    blocks[i] = take(heap, magazine);
    CHECK(i == 0 || blocks[i] == blocks[0] + i * hak_span_classes[CLASS].block_bytes, "block %zu", i);
    CHECK(!was_empty || magazine->count == half - 1, "%u after a refill", magazine->count);
    refills += was_empty;
    taken += was_empty ? half : 0;
    CHECK(counters(heap)->refills == refills && counters(heap)->served == taken, "counted after block %zu", i);
  }
  /* The refill's rest goes first, so that only ours are in it. */
  while (magazine->count != 0) {
    put(heap, box_of(&(box_t){.magazine = {.count = 0}}, 1), take(heap, magazine));
  }
  hak_cell_t *cell = hak_cell_of(blocks[0]); /* one span, which begins there */
  uint64_t others = hak_load_relaxed(&cell->xmask);
  returned = counters(heap)->returned;
  size_t spilled = 0;
  for (size_t i = 0; i < 40; i++) {
    bool full = magazine->count == capacity;
    put(heap, magazine, blocks[i]);
    spilled += full ? half : 0;
    CHECK(magazine->count == i + 1 - spilled, "%u after %zu", magazine->count, i);
    CHECK(counters(heap)->returned == returned + spilled, "%llu returned",
          (unsigned long long)counters(heap)->returned);
    uint64_t free = hak_load_relaxed(&cell->xmask); /* exactly the oldest are back */
    CHECK(free == (others | (spilled == 0 ? 0 : hak_low_mask((unsigned)spilled))), "0x%llx after %zu",
          (unsigned long long)free, i);
  }
  for (size_t i = 40; magazine->count != 0;) { /* the youngest first */
    char *block = take(heap, magazine);
    CHECK(block == blocks[--i], "block %zu is not next", i);
    CHECK(((hak_block_t *)(void *)block)->key == 0, "block %zu keeps its key", i);
  }
}

static void test_halves(void **state) {
  (void)state;
  for (size_t capacity = 1; capacity <= HAK_POOL_MAGAZINE_BLOCKS; capacity++) {
    child_passes(by_half, capacity);
  }
}

/* A slot that is known to be zero is; one that was written to is known no more. */
static void zeroes(size_t unused) {
  (void)unused;
  hak_theap_t *heap = hak_theap_get();
  box_t box;
  hak_magazine_t *magazine = box_of(&box, 4);
  uintptr_t slot = hak_magazine_take(heap, HAK_AT_POOL, CLASS, magazine);
  CHECK((slot & HAK_SLOT_ZERO) != 0, "fresh memory");
  char *block = (char *)(slot & ~HAK_SLOT_ZERO);
  CHECK(first_nonzero(block, hak_span_classes[CLASS].block_bytes) == hak_span_classes[CLASS].block_bytes, "not zero");
  memset(block, 1, 100);
  put(heap, magazine, block);
  slot = hak_magazine_take(heap, HAK_AT_POOL, CLASS, magazine);
  CHECK(slot == (uintptr_t)block, "0x%lx", (unsigned long)slot);
}

static void no_memory(size_t unused) {
  (void)unused;
  hak_theap_t *heap = hak_theap_get();
  box_t box;
  hak_magazine_t *magazine = box_of(&box, 8);
  hak_log_enable(true);
  hak_os_fail_calls(0, FAIL_ALWAYS);
  CHECK(hak_magazine_take(heap, HAK_AT_POOL, 3, magazine) == 0 && magazine->count == 0, "from nothing");
  CHECK(counters(heap)->refills == 0, "counted");
  hak_os_fail_calls(0, 0);
  CHECK(hak_magazine_take(heap, HAK_AT_POOL, 3, magazine) != 0 && magazine->count == 3, "after that");
}

static void test_no_memory(void **state) {
  (void)state;
  child_passes(zeroes, 0);
  child_t child = child_run(no_memory, 0);
  CHECK(child.status == 0, "status 0x%x:\n%s", (unsigned)child.status, child.output);
  CHECK(strcmp(child.output, "[POOL_ARENA] mmap FAILED: new_size=4 MB, growth_level=0, errno=12\n"
                             "[POOL_ARENA] chunk_ensure FAILED: class=3, block_size=12288, count=5, needed=65536\n"
                             "[POOL_TLS] pool_refill_and_alloc FAILED: class=3, size=12288\n") == 0,
        "\n%s", child.output);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_halves),
      cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests_name("magazine", tests, NULL, NULL);
}
