/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * core/span: refill, spill and release against a model of every block; blocks freed twice and strays; what is said
 * about zeroes, purges included; and threads, with a shadow that says who has which block.
 */
#include "unit.h"

enum { SEGMENTS = 64, KIB_IN_SEGMENT = HAK_SEGMENT_BYTES / 1024 };

typedef struct {
  hak_magazine_t magazine;
  uintptr_t slots[64];
} box_t;

static hak_magazine_t *box_of(box_t *box) {
  box->magazine = (hak_magazine_t){.slots = box->slots, .capacity = COUNT_OF(box->slots)};
  return &box->magazine;
}

static char *slot_block(uintptr_t slot) { return (char *)(slot & ~HAK_SLOT_ZERO); }

/* ---- A shadow: whose each KiB is --------------------------------------------------------------------------------- */

static _Atomic uint32_t shadow[SEGMENTS][KIB_IN_SEGMENT];

static void shadow_change(const char *block, size_t bytes, uint32_t from, uint32_t to) {
  const hak_segment_t *segment = hak_segment_of(block);
  CHECK(segment->index < SEGMENTS, "segment %u", segment->index);
  size_t first = (size_t)(block - segment->base) / KIB;
  for (size_t i = first; i < first + bytes / KIB; i++) {
    uint32_t was = atomic_exchange(&shadow[segment->index][i], to);
    CHECK(was == from, "%p, %zu bytes: belongs to %u, not %u", (const void *)block, bytes, was, from);
  }
}

/* Where content is looked at: every 4 KiB and the end. */
static void mark(char *block, size_t bytes, uint64_t value) {
  for (size_t at = 0; at < bytes; at += 4096) {
    memcpy(block + at, &value, sizeof value);
  }
  memcpy(block + bytes - sizeof value, &value, sizeof value);
}

static bool is_marked(const char *block, size_t bytes, uint64_t value) {
  bool same = memcmp(block + bytes - sizeof value, &value, sizeof value) == 0;
  for (size_t at = 0; same && at < bytes; at += 4096) {
    same = memcmp(block + at, &value, sizeof value) == 0;
  }
  return same;
}

static void got(uintptr_t slot, unsigned c, uint32_t who) {
  char *block = slot_block(slot);
  const hak_span_class_t *info = &hak_span_classes[c];
  hak_tag_t tag = hak_tagmap_get_mt(block);
  CHECK(hak_tag_is_span(tag) && hak_tag_class(tag) == c && hak_span_block_number(block, tag) >= 0, "tag 0x%llx",
        (unsigned long long)tag);
  shadow_change(block, info->block_bytes, 0, who);
  CHECK((slot & HAK_SLOT_ZERO) == 0 || is_marked(block, info->block_bytes, 0), "class %u: not zero", c);
  mark(block, info->block_bytes, (uintptr_t)block + who);
}

static void giving(uintptr_t slot, unsigned c, uint32_t who) {
  char *block = slot_block(slot);
  CHECK(is_marked(block, hak_span_classes[c].block_bytes, (uintptr_t)block + who), "class %u: content", c);
  shadow_change(block, hak_span_classes[c].block_bytes, who, 0);
}

/* ---- One thread: the bitmaps are exactly what nobody has --------------------------------------------------------- */

static void check_spans(const hak_magazine_t *magazines) {
  size_t held = 0, out = 0;
  for (unsigned c = 0; c < HAK_SPAN_CLASSES; c++) {
    held += magazines[c].count;
  }
  int64_t slices = 0;
  uint32_t in_spans[HAK_SPAN_CLASSES] = {0};
  for (uint32_t s = 0; s < hak_segment_count_mt(); s++) {
    hak_segment_t *segment = hak_segment_at_mt(s);
    for (unsigned i = 1; i < HAK_SLICES; i++) {
      const hak_cell_t *cell = &segment->cell[i];
      uint64_t mask = hak_load_relaxed(&cell->xmask);
      if ((hak_load_relaxed(&segment->xspans) >> i & 1) == 0) {
        CHECK(mask == 0, "slice %u of segment %u: no span, mask 0x%llx", i, s, (unsigned long long)mask);
        continue;
      }
      uint32_t shape = hak_load_relaxed(&cell->xshape);
      unsigned c = span_class(shape), blocks = hak_span_blocks(shape);
      const hak_span_class_t *info = &hak_span_classes[c];
      size_t tail = span_slices(shape) * HAK_SLICE_BYTES - (size_t)blocks * info->block_bytes;
      CHECK(blocks != 0 && tail < info->block_bytes, "class %u: %u blocks leave %zu bytes", c, blocks, tail);
      const char *end = cell->span.base + (size_t)blocks * info->block_bytes;
      bool marked = tail != 0 && ((const hak_block_t *)(const void *)end)->key == hak_freed_key(end);
      CHECK(tail == 0 || blocks == info->blocks || marked, "class %u: no key behind %u blocks", c, blocks);
      CHECK(span_slices(shape) <= info->slices, "class %u: %u slices", c, span_slices(shape));
      slices += span_slices(shape);
      out += blocks - hak_count_bits(mask);
      in_spans[c] += blocks;
      uint64_t full = span_full(shape);
      CHECK((mask & ~full) == 0 && mask != full, "class %u: mask 0x%llx", c, (unsigned long long)mask);
      CHECK((hak_load_relaxed(&cell->span.xzero) & ~full) == 0, "class %u: xzero", c);
      for (unsigned b = 0; b < blocks; b++) {
        size_t kib = ((size_t)(cell->span.base - segment->base) + (size_t)b * info->block_bytes) / KIB;
        CHECK((atomic_load(&shadow[s][kib]) == 0) == ((mask >> b & 1) != 0), "class %u, block %u", c, b);
      }
      bool hinted = hak_hint_next(hak_hint_of_span_class(c), s, s + 1) == s;
      CHECK(mask == 0 || hinted, "class %u: free blocks without a hint", c);
      for (unsigned k = 0; k < span_slices(shape); k++) {
        CHECK(hak_tagmap_get_mt(cell->span.base + k * HAK_SLICE_BYTES) == hak_tag_of_span(c, k), "class %u: tags", c);
      }
    }
  }
  for (unsigned c = 0; c < HAK_SPAN_CLASSES; c++) {
    CHECK(span_xblocks[c] == in_spans[c], "class %u: %u blocks, not %u", c, span_xblocks[c], in_spans[c]);
  }
  CHECK(out == held, "%zu blocks are out, %zu are held", out, held);
  CHECK(slices == hak_load_relaxed(hak_segment_active_slices()), "%lld slices in spans", (long long)slices);
}

/* Makes the youngest block of a magazine one of another class of one block a span, where it is; returns whether it did. */
static bool resize_youngest(hak_magazine_t *magazines, unsigned from, unsigned to) {
  hak_magazine_t *m = &magazines[from], *n = &magazines[to];
  uintptr_t slot = m->slots[m->count - 1];
  char *block = slot_block(slot);
  const hak_span_class_t *old = &hak_span_classes[from], *new = &hak_span_classes[to];
  const char *end = block + old->slices * HAK_SLICE_BYTES;
  bool taken = false; /* whether any of the slices behind it is not free */
  for (unsigned k = 0; k + old->slices < new->slices; k++) {
    taken = taken || hak_slice_of(end) + k >= HAK_SLICES || hak_slice_of(end) == 0 ||
            (hak_load_relaxed(&hak_segment_of(block)->xfree) >> (hak_slice_of(end) + k) & 1) == 0;
  }
  bool done = hak_span_resize_mt(block, hak_tagmap_get_mt(block), to);
  CHECK(done == (old->blocks == 1 && new->blocks == 1 && !taken), "class %u to %u", from, to);
  if (!done) return false;
  uint64_t value = (uintptr_t)block + 1;
  size_t kept = old->block_bytes < new->block_bytes ? old->block_bytes - sizeof value : new->block_bytes;
  for (size_t at = 0; at < kept; at += 4096) CHECK(memcmp(block + at, &value, sizeof value) == 0, "content at %zu", at);
  shadow_change(block, old->block_bytes, 1, 0);
  m->count--;
  n->slots[n->count++] = (uintptr_t)block;
  got((uintptr_t)block, to, 1);
  return true;
}

static void modelled(size_t steps) {
  hak_theap_t *heap = hak_theap_get();
  static box_t boxes[HAK_SPAN_CLASSES];
  static hak_magazine_t magazines[HAK_SPAN_CLASSES];
  rng_t rng = {test_seed()};
  for (unsigned c = 0; c < HAK_SPAN_CLASSES; c++) {
    magazines[c] = *box_of(&boxes[c]);
  }
  size_t zeroes = 0, purged_zeroes = 0, larger = 0, smaller = 0;
  bool purged = false;
  for (size_t step = 0; step < steps; step++) {
    unsigned c = (unsigned)rng_below(&rng, step % 600 < 300 ? HAK_SPAN_CLASSES : 12);
    hak_magazine_t *m = &magazines[c];
    uint32_t limit = (uint32_t)(MIB / hak_span_classes[c].block_bytes);
    limit = limit > 32 ? 32 : limit + 1;
    if (m->count < limit && rng_below(&rng, limit) >= m->count) {
      uint32_t wanted = (uint32_t)rng_between(&rng, 1, limit - m->count), before = m->count;
      uint32_t n = hak_span_refill(heap, c, m, wanted);
      CHECK(n >= 1 && n <= wanted && m->count == before + n, "class %u: %u of %u", c, n, wanted);
      for (uint32_t i = before; i < m->count; i++) {
        zeroes += m->slots[i] & HAK_SLOT_ZERO;
        purged_zeroes += purged ? m->slots[i] & HAK_SLOT_ZERO : 0;
        got(m->slots[i], c, 1);
      }
    } else if (m->count != 0) {
      uint32_t n = (uint32_t)rng_between(&rng, 1, m->count);
      uintptr_t youngest = m->slots[m->count - 1];
      uint32_t before = m->count;
      for (uint32_t i = 0; i < n; i++) {
        giving(m->slots[i], c, 1);
      }
      void *strays[64];
      CHECK(hak_span_spill(m, n, strays) == 0 && m->count == before - n, "class %u", c);
      CHECK(m->count == 0 || m->slots[m->count - 1] == youngest, "class %u: the order of the rest", c);
    }
    unsigned to = (unsigned)rng_between(&rng, HAK_SPAN_CLASSES - 28, HAK_SPAN_CLASSES - 1);
    if (m->count != 0 && to != c && magazines[to].count < 32 && resize_youngest(magazines, c, to)) {
      *(to > c ? &larger : &smaller) += 1;
    }
    if (step % 101 == 100) { /* every second one fails, and makes nothing zero */
      purged = true;
      hak_os_fail_calls(0, step % 202 == 100 ? 0 : FAIL_ALWAYS);
      for (uint32_t s = 0; s < hak_segment_count_mt(); s++) {
        size_t bytes = hak_span_purge_mt(hak_segment_at_mt(s));
        CHECK(step % 202 == 100 || bytes == 0, "%zu bytes", bytes);
      }
      hak_os_fail_calls(0, 0);
    }
    if (step % 20 == 0) {
      check_spans(magazines);
    }
  }
  CHECK(larger > 5 && smaller > 5, "%zu made larger, %zu made smaller", larger, smaller);
  CHECK(zeroes > purged_zeroes && purged_zeroes > 0, "%zu known to be zero, %zu after purges", zeroes, purged_zeroes);
  for (unsigned c = 0; c < HAK_SPAN_CLASSES; c++) {
    void *strays[64];
    for (uint32_t i = 0; i < magazines[c].count; i++) {
      giving(magazines[c].slots[i], c, 1);
    }
    hak_span_spill(&magazines[c], magazines[c].count, strays);
  }
  check_spans(magazines);
  CHECK(hak_load_relaxed(hak_segment_active_slices()) == 0, "spans are left");
}

static void test_model(void **state) {
  (void)state;
  child_passes(modelled, test_work(6000));
}

/* ---- What must not happen, and what may -------------------------------------------------------------------------- */

enum { SPAN_BLOCKS = 11 }; /* of a first span for 6 blocks of 11 KiB: what fits into two slices */

static void twice(size_t how) {
  hak_theap_t *heap = hak_theap_get();
  box_t box;
  hak_magazine_t *m = box_of(&box);
  void *strays[64];
  hak_span_refill(heap, 2, m, 6);
  fprintf(stderr, "expected 0x%lx\n", (unsigned long)(uintptr_t)slot_block(m->slots[2]));
  switch (how) {
  case 0: /* in one spill */
    m->slots[5] = m->slots[2];
    hak_span_spill(m, 6, strays);
    break;
  case 1: /* in two */
    m->slots[0] = m->slots[2];
    hak_span_spill(m, 1, strays);
    hak_span_spill(m, 2, strays);
    break;
  default: /* after others: it was never taken, or would be the first behind the span's last */
    m->slots[0] = m->slots[2] + hak_span_classes[2].block_bytes * (how == 2 ? 5 : SPAN_BLOCKS - 3);
    fprintf(stderr, "expected 0x%lx\n", (unsigned long)(uintptr_t)slot_block(m->slots[0]));
    hak_span_spill(m, 3, strays);
    break;
  }
}

static void test_double_free(void **state) {
  (void)state;
  for (size_t how = 0; how < 4; how++) {
    child_t child = child_run(twice, how);
    CHECK(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGABRT, "way %zu: status 0x%x: %s", how,
          (unsigned)child.status, child.output);
    const char *address = child.output;
    for (const char *next; (next = strstr(address, "expected ")) != NULL;) {
      address = next + strlen("expected ");
    }
    char words[128];
    const char *what = how < 3 ? "hak_free: " HAK_BAD_DOUBLE_FREE : "hak_free_sized: " HAK_BAD_FOREIGN;
    snprintf(words, sizeof words, "hakmem: %s: %.*s", what, (int)strcspn(address, "\n"), address);
    CHECK(strstr(child.output, words) != NULL, "way %zu: %s", how, child.output);
  }
}

/* More spans in one spill than it keeps apart, and what belongs to none between them. */
static void spread(size_t unused) {
  (void)unused;
  hak_theap_t *heap = hak_theap_get();
  enum { CLASS = 40, BLOCKS = 32 }; /* one block a span */
  box_t box, few;
  hak_magazine_t *m = box_of(&box);
  static char foreign[32];
  for (size_t i = 0; i < BLOCKS; i++) {
    if (i % 3 == 1) {
      hak_magazine_t *one = box_of(&few);
      CHECK(hak_span_refill(heap, CLASS, one, 1) == 1, "refill");
      m->slots[m->count++] = one->slots[0];
    } else if (i % 3 == 2) {
      CHECK(hak_span_refill(heap, 1, m, 2) == 2, "refill");
    } else {
      m->slots[m->count++] = (uintptr_t)(i % 2 == 0 ? foreign : (char *)m->slots[0] + 16);
    }
  }
  bool zeroed;
  void *mapping = hak_mmap_alloc_mt(5 * MIB, 16, &zeroed), *slab = hak_malloc(100);
  m->slots[m->count++] = (uintptr_t)mapping;
  m->slots[m->count++] = (uintptr_t)slab;
  m->slots[m->count++] = (uintptr_t)slot_block(m->slots[1]) + 1024; /* inside a block */
  void *strays[64];
  uint32_t strayed = hak_span_spill(m, m->count, strays);
  CHECK(strayed == (BLOCKS + 2) / 3 + 3 && m->count == 0, "%u strays", strayed);
  CHECK(strays[strayed - 3] == mapping && strays[strayed - 2] == slab, "strays keep their order");
  CHECK(hak_mmap_bytes_mt(mapping) == 5 * MIB, "the mapping lives");
  hak_free(slab);
  hak_mmap_free_mt(mapping);
  hak_theap_flush(heap);
  CHECK(hak_load_relaxed(hak_segment_active_slices()) == 0, "spans are left");
  for (uint32_t s = 0; s < hak_segment_count_mt(); s++) {
    const hak_segment_t *segment = hak_segment_at_mt(s);
    CHECK(segment->xspans == 0 && segment->xfree == ~UINT64_C(1), "segment %u: spans 0x%llx, free 0x%llx", s,
          (unsigned long long)segment->xspans, (unsigned long long)segment->xfree);
  }
}

static void test_spread(void **state) {
  (void)state;
  child_passes(spread, 0);
}

/* A class of which there are few blocks takes few slices, and one of which there are many takes whole spans. */
static void few_and_many(size_t unused) {
  (void)unused;
  hak_theap_t *heap = hak_theap_get();
  static box_t boxes[HAK_SPAN_CLASSES];
  int64_t largest = 0;
  for (unsigned c = 0; c < HAK_SPAN_CLASSES; c++) {
    if (box_of(&boxes[c]) == NULL || hak_span_classes[c].blocks == 1) continue;
    CHECK(hak_span_refill(heap, c, &boxes[c].magazine, 1) == 1, "class %u", c);
    largest += hak_span_classes[c].slices;
  }
  int64_t active = hak_load_relaxed(hak_segment_active_slices());
  CHECK(active * 3 <= largest * 2, "%lld slices for a block of each class, %lld if all spans were large",
        (long long)active, (long long)largest);
  enum { CLASS_OF_12_KIB = 3, MANY = 500 };
  static box_t many[MANY];
  for (int i = 0; i < MANY; i++) CHECK(hak_span_refill(heap, CLASS_OF_12_KIB, box_of(&many[i]), 1) == 1, "no memory");
  int64_t taken = hak_load_relaxed(hak_segment_active_slices()) - active;
  int64_t needed = MANY * 12 / 64;
  CHECK(taken <= needed + 2 * hak_span_classes[CLASS_OF_12_KIB].slices, "%lld slices, %lld needed", (long long)taken,
        (long long)needed);
  CHECK(span_xblocks[CLASS_OF_12_KIB] >= MANY + 1, "%u blocks", span_xblocks[CLASS_OF_12_KIB]);
  void *strays[64];
  for (int i = 0; i < MANY; i++) hak_span_spill(&many[i].magazine, 1, strays);
  for (unsigned c = 0; c < HAK_SPAN_CLASSES; c++) hak_span_spill(&boxes[c].magazine, boxes[c].magazine.count, strays);
  CHECK(hak_load_relaxed(hak_segment_active_slices()) == 0, "spans are left");
  for (unsigned c = 0; c < HAK_SPAN_CLASSES; c++)
    CHECK(span_xblocks[c] == 0, "class %u: %u blocks", c, span_xblocks[c]);
}

static void test_sizes(void **state) {
  (void)state;
  child_passes(few_and_many, 0);
}

/* ---- Threads ----------------------------------------------------------------------------------------------------- */

static void *trader(void *argument) {
  uint32_t who = 1 + (uint32_t)(uintptr_t)argument;
  rng_t rng = {test_seed() + who};
  hak_theap_t *heap = hak_theap_get();
  static const unsigned classes[] = {0,  7,  20, 33,
                                     36, 44, 63}; /* 56 .. 14 blocks, 4, 1: many become empty and others */
  box_t boxes[COUNT_OF(classes)];
  for (size_t i = 0; i < COUNT_OF(classes); i++) {
    box_of(&boxes[i]);
  }
  void *strays[64];
  size_t steps = test_work(8000);
  for (size_t step = 0; step < steps; step++) {
    size_t k = rng_below(&rng, COUNT_OF(classes));
    unsigned c = classes[k];
    hak_magazine_t *m = &boxes[k].magazine;
    uint32_t limit = c < HAK_POOL_CLASSES ? 24 : 2;
    if (m->count < limit && rng_below(&rng, 2) == 0) {
      uint32_t before = m->count;
      hak_span_refill(heap, c, m, (uint32_t)rng_between(&rng, 1, limit - before));
      for (uint32_t i = before; i < m->count; i++) {
        got(m->slots[i], c, who);
      }
    } else if (m->count != 0) {
      uint32_t n = (uint32_t)rng_between(&rng, 1, m->count);
      for (uint32_t i = 0; i < n; i++) {
        giving(m->slots[i], c, who);
      }
      CHECK(hak_span_spill(m, n, strays) == 0, "strays");
    }
    if (who == 1 && step % 16 == 0) {
      (void)hak_span_purge_mt(hak_segment_at_mt((uint32_t)rng_below(&rng, hak_segment_count_mt())));
    }
    if (who == 2 && step % 128 == 0) {
      hak_purge_all_mt(true, 0);
    }
  }
  for (size_t k = 0; k < COUNT_OF(classes); k++) {
    hak_magazine_t *m = &boxes[k].magazine;
    for (uint32_t i = 0; i < m->count; i++) {
      giving(m->slots[i], classes[k], who);
    }
    hak_span_spill(m, m->count, strays);
  }
  return NULL;
}

static void stress(size_t unused) {
  (void)unused;
  CHECK(hak_theap_get() != NULL && hak_malloc(8 * KIB + 1) != NULL, "a heap and a segment");
  pthread_t threads[4];
  for (uintptr_t i = 0; i < COUNT_OF(threads); i++) {
    threads[i] = thread_start(trader, (void *)i);
  }
  for (size_t i = 0; i < COUNT_OF(threads); i++) {
    thread_join(threads[i]);
  }
  int64_t active = hak_load_relaxed(hak_segment_active_slices());
  CHECK(active == 1, "%lld slices in use", (long long)active);
  for (uint32_t s = 0; s < hak_segment_count_mt(); s++) {
    hak_segment_t *segment = hak_segment_at_mt(s);
    CHECK((hak_load_relaxed(&segment->xspans) != 0) == (s == 0), "segment %u has spans", s);
    for (unsigned i = 0; i < HAK_SLICES; i++) {
      uint64_t mask = hak_load_relaxed(&segment->cell[i].xmask);
      CHECK(mask == 0 || hak_load_relaxed(&segment->xspans) == UINT64_C(1) << i, "segment %u, slice %u: 0x%llx", s, i,
            (unsigned long long)mask);
    }
  }
}

/* The same without content, so that they meet in every bitmap: spans become empty and others take their slices. */
static _Atomic uint32_t block_owner[SEGMENTS][KIB_IN_SEGMENT];
static pthread_barrier_t together;

static void *quick_trader(void *argument) {
  uint32_t who = 1 + (uint32_t)(uintptr_t)argument;
  rng_t rng = {test_seed() + who};
  hak_theap_t *heap = hak_theap_get();
  box_t box;
  hak_magazine_t *m = box_of(&box);
  void *strays[64];
  size_t steps = test_work(200000);
  pthread_barrier_wait(&together);
  for (size_t step = 0; step < steps; step++) {
    unsigned c = rng_below(&rng, 64) == 0 ? 36 : 24; /* 8 blocks of 128 KiB, or 12 of 80 */
    hak_span_refill(heap, c, m, (uint32_t)rng_between(&rng, 1, 4));
    for (int taken = 1; taken >= 0; taken--) {
      for (uint32_t i = 0; i < m->count; i++) {
        char *block = slot_block(m->slots[i]);
        const hak_segment_t *segment = hak_segment_of(block);
        uint32_t was =
            atomic_exchange(&block_owner[segment->index][(size_t)(block - segment->base) / KIB], taken != 0 ? who : 0);
        CHECK(was == (taken != 0 ? 0 : who), "%p: belongs to %u, not %u", (void *)block, was, taken != 0 ? 0 : who);
      }
    }
    CHECK(hak_span_spill(m, m->count, strays) == 0, "strays");
  }
  return NULL;
}

static void quick_stress(size_t unused) {
  (void)unused;
  pthread_t threads[4];
  pthread_barrier_init(&together, NULL, COUNT_OF(threads));
  for (uintptr_t i = 0; i < COUNT_OF(threads); i++) {
    threads[i] = thread_start(quick_trader, (void *)i);
  }
  for (size_t i = 0; i < COUNT_OF(threads); i++) {
    thread_join(threads[i]);
  }
  CHECK(hak_load_relaxed(hak_segment_active_slices()) == 0, "spans are left");
}

static void test_stress(void **state) {
  (void)state;
  child_passes(stress, 0);
  child_passes(quick_stress, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_model), cmocka_unit_test(test_double_free), cmocka_unit_test(test_spread),
      cmocka_unit_test(test_sizes), cmocka_unit_test(test_stress),
  };
  return cmocka_run_group_tests_name("span", tests, NULL, NULL);
}
