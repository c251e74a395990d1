/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * core/tagmap: reservations at made-up addresses against a model, both levels and what meets in them; and the whole
 * allocator with its first level taken. The map never touches what an address points to.
 */
#include "unit.h"

#define SLICE(number) ((const void *)((uintptr_t)(number) << HAK_SLICE_SHIFT))
#define LEVEL1 (UINT64_C(1) << HAK_TAGMAP_BITS)
#define LEVEL2 (UINT64_C(1) << HAK_TAGMAP2_BITS)
#define BASE UINT64_C(0x30000000) /* a slice, far from where the kernel maps anything */

static void check_tags(uint64_t slice, unsigned slices, hak_tag_t tag, const char *when) {
  for (unsigned i = 0; i < slices; i++) {
    hak_tag_t got = hak_tagmap_get_mt((const char *)SLICE(slice + i) + i * 997 % HAK_SLICE_BYTES);
    CHECK(got == tag, "slice 0x%llx %s: tag 0x%llx, not 0x%llx", (unsigned long long)(slice + i), when,
          (unsigned long long)got, (unsigned long long)tag);
  }
}

static bool reserve(uint64_t slice, unsigned slices) {
  hak_lock(&hak_segment_lock);
  bool done = hak_tagmap_reserve_locked(SLICE(slice), slices);
  hak_unlock(&hak_segment_lock);
  return done;
}

static void set_tags(uint64_t slice, unsigned slices, hak_tag_t tag) {
  for (unsigned i = 0; i < slices; i++) {
    hak_tagmap_set(SLICE(slice + i), tag);
  }
}

static void one_by_one(size_t unused) {
  (void)unused;
  const uint64_t near = BASE, far = BASE + LEVEL1, farther = BASE + 2 * LEVEL1, farthest = BASE + LEVEL1 + LEVEL2;
  check_tags(near, 64, 0, "before");
  CHECK(reserve(near, 64), "first level");
  check_tags(near, 64, 0, "reserved");
  set_tags(near, 64, hak_tag_of_slab(5, 9));
  check_tags(near, 64, hak_tag_of_slab(5, 9), "set");
  check_tags(far, 64, 0, "64 GiB off");
  check_tags(near + 64, 64, 0, "behind");
  check_tags(near - 64, 64, 0, "in front");
  CHECK(tagmap_xsecond == NULL, "a second level without need");

  hak_os_fail_calls(0, 1);
  CHECK(!reserve(far, 64), "without memory for the second level");
  hak_os_fail_calls(0, 0);
  CHECK(reserve(far, 64), "second level");
  set_tags(far, 64, hak_tag_of_span(3, 7));
  check_tags(far, 64, hak_tag_of_span(3, 7), "64 GiB off, set");
  check_tags(near, 64, hak_tag_of_slab(5, 9), "still");
  CHECK(reserve(farther, 64), "another in the second level");
  set_tags(farther, 64, HAK_TAG_FREED);
  CHECK(!reserve(farthest, 64), "taken in both levels");
  CHECK(!reserve(farthest + 63, 2), "its first slice is taken in both levels");
  check_tags(farthest, 64, 0, "refused");
  check_tags(far, 64, hak_tag_of_span(3, 7), "still");
  check_tags(farther, 64, HAK_TAG_FREED, "still");

  hak_tagmap_forget_mt(SLICE(near), 64); /* leaves those behind it in the second level */
  check_tags(near, 64, 0, "forgotten");
  check_tags(far, 64, hak_tag_of_span(3, 7), "still");
  CHECK(reserve(farthest, 64), "now free in the first level");
  set_tags(farthest, 64, hak_tag_of_span(30, 5));
  check_tags(far, 64, hak_tag_of_span(3, 7), "still");
  check_tags(farthest, 64, hak_tag_of_span(30, 5), "set");
  hak_tagmap_forget_mt(SLICE(far), 64);
  check_tags(far, 64, 0, "forgotten");
  check_tags(farthest, 64, hak_tag_of_span(30, 5), "still");
  check_tags(farther, 64, HAK_TAG_FREED, "still");
}

/* What no user address is. */
static void wild(size_t unused) {
  (void)unused;
  CHECK(reserve(BASE, 64), "first level");
  set_tags(BASE, 64, hak_tag_of_slab(3, 12));
  for (unsigned bit = 48; bit < 64; bit++) {
    uint64_t p = BASE << HAK_SLICE_SHIFT | UINT64_C(1) << bit;
    CHECK(hak_tagmap_get_mt((const void *)p) == 0, "bit %u", bit);
  }
  CHECK(!reserve(UINT64_C(1) << 32, 64), "beyond 48 bits");
  CHECK(hak_tagmap_get_mt(NULL) == 0 && hak_tagmap_get_mt((const void *)UINTPTR_MAX) == 0, "the ends");
  CHECK(hak_tagmap_get_mt((const void *)(UINTPTR_MAX >> 16)) == 0, "the end of 48 bits");
}

/* The hot paths' questions: whether the view is that of a slab whose blocks this heap may keep, or of a pool span. */
static bool passes(uint64_t view, uint64_t self) { return (view | self) >= HAK_VIEW_SLAB; }
static bool is_pool(uint64_t view, uint64_t self) { return ((view | self) ^ HAK_VIEW_POOL) <= UINT16_MAX; }

static void check_first(uint64_t slice, hak_tag_t tag, uint64_t self, bool keeps) {
  const char *p = (const char *)SLICE(slice) + 1000;
  set_tags(slice, 1, tag);
  CHECK(hak_tagmap_get_mt(p) == tag, "tag 0x%llx: 0x%llx", (unsigned long long)tag,
        (unsigned long long)hak_tagmap_get_mt(p));
  uint64_t view = hak_tagmap_view(p);
  CHECK(passes(view, self) == keeps, "tag 0x%llx, self 0x%llx", (unsigned long long)tag, (unsigned long long)self);
  CHECK(!keeps || (view | self) - HAK_VIEW_SLAB == hak_tag_class(tag) * HAK_BIN_SCALE, "a bin's offset");
  CHECK(is_pool(view, self) == (hak_tag_owner(tag) == 1), "tag 0x%llx: pool", (unsigned long long)tag);
  if (is_pool(view, self)) {
    CHECK((view & HAK_TAG_CLASS_MASK) == hak_tag_class(tag) * HAK_BIN_SCALE && hak_tag_back(view) == hak_tag_back(tag),
          "tag 0x%llx: class and slices back", (unsigned long long)tag);
  }
  static const uint64_t beside[] = {LEVEL1, 64, 2047 * LEVEL1, 1023 * LEVEL1 + 64};
  for (size_t i = 0; i < COUNT_OF(beside); i++) {
    uint64_t other = hak_tagmap_view(p + beside[i] * HAK_SLICE_BYTES);
    CHECK(!passes(other, self) && !is_pool(other, self), "0x%llx slices behind", (unsigned long long)beside[i]);
  }
}

static void hot_path(size_t unused) {
  (void)unused;
  static const uint32_t ids[] = {1, 2, 31, 32, 33, 63, 64, 1000, 65535, 65536, HAK_THEAP_ID_MAX - 1, HAK_THEAP_ID_MAX};
  CHECK(reserve(BASE, 64), "first level");
  for (size_t i = 0; i <= COUNT_OF(ids); i++) {
    uint32_t id = i == COUNT_OF(ids) ? 0 : ids[i]; /* 0: a thread without a heap */
    uint64_t self = id == 0 ? 0 : hak_tag_code(id);
    for (unsigned c = 1; c < HAK_SLAB_CLASSES; c++) {
      for (size_t k = 0; k < COUNT_OF(ids); k++) {
        bool stays = hak_slab_classes[c].block_bytes >= 64;
        check_first(BASE + c % 64, hak_tag_of_slab(ids[k], c), self, stays || ids[k] == id);
      }
    }
    for (unsigned c = 0; c < HAK_SPAN_CLASSES; c++) {
      check_first(BASE + c, hak_tag_of_span(c, (c * 7) % HAK_SLICES), self, false);
    }
    check_first(BASE, HAK_TAG_FREED, self, false);
    check_first(BASE, 0, self, false);
    for (uint64_t slice = 0; slice < LEVEL1 - 1000; slice += 77) { /* low addresses, where no entry is */
      uint64_t view = hak_tagmap_view(SLICE(slice));
      CHECK(!passes(view, self) && !is_pool(view, self), "slice 0x%llx", (unsigned long long)slice);
    }
  }
}

/* No heap's code covers another's. */
static void codes(size_t unused) {
  (void)unused;
  rng_t rng = {test_seed()};
  for (size_t i = 0; i < 200000; i++) {
    uint32_t a = (uint32_t)rng_between(&rng, 1, HAK_THEAP_ID_MAX), b = (uint32_t)rng_between(&rng, 1, HAK_THEAP_ID_MAX);
    if (i % 2 == 0) {
      b = a ^ 1u << rng_below(&rng, 17);
    }
    CHECK((hak_tag_code(a) & ~HAK_VIEW_CODE) == 0, "heap %u: outside of the code's bits", a);
    CHECK(a == b || (hak_tag_code(a) & ~hak_tag_code(b)) != 0, "heap %u covers %u", b, a);
  }
}

static void test_levels(void **state) {
  (void)state;
  child_passes(one_by_one, 0);
  child_passes(wild, 0);
  child_passes(hot_path, 0);
  child_passes(codes, 0);
}

/* ---- Against a model --------------------------------------------------------------------------------------------- */

typedef struct {
  uint64_t slice;
  unsigned slices, level; /* level 0: unused */
  hak_tag_t tag;
} reservation_t;

static bool overlap(uint64_t a, unsigned a_slices, uint64_t b, unsigned b_slices, uint64_t modulus) {
  return (a - b) % modulus < b_slices || (b - a) % modulus < a_slices;
}

static bool fits(const reservation_t *all, size_t count, uint64_t slice, unsigned slices, unsigned level) {
  for (size_t i = 0; i < count; i++) {
    if (all[i].level == level && overlap(slice, slices, all[i].slice, all[i].slices, level == 1 ? LEVEL1 : LEVEL2)) {
      return false;
    }
  }
  return true;
}

static void modelled(size_t steps) {
  enum { MANY = 48 };
  static reservation_t all[MANY];
  rng_t rng = {test_seed()};
  size_t in_level[3] = {0};
  for (size_t step = 0; step < steps; step++) {
    reservation_t *r = &all[rng_below(&rng, MANY)];
    if (r->level != 0 && rng_below(&rng, 3) == 0) {
      hak_tagmap_forget_mt(SLICE(r->slice), r->slices);
      r->level = 0;
    } else if (r->level != 0) {
      r->tag = hak_tag_of_slab((uint32_t)rng_between(&rng, 1, HAK_THEAP_ID_MAX), (unsigned)rng_between(&rng, 1, 56));
      set_tags(r->slice, r->slices, r->tag);
    } else {
      /* few places, many times 64 GiB and a few times 4 TiB apart */
      uint64_t slice = BASE + rng_below(&rng, 16) * 64 + rng_below(&rng, 4) * LEVEL1 + rng_below(&rng, 3) * LEVEL2;
      unsigned slices = (unsigned)rng_between(&rng, 1, 3) * 64;
      bool known = false; /* the caller reserves nothing twice */
      for (size_t i = 0; i < MANY; i++) {
        known |= all[i].level != 0 && overlap(slice, slices, all[i].slice, all[i].slices, UINT64_C(1) << 32);
      }
      if (known) {
        continue;
      }
      unsigned level = fits(all, MANY, slice, slices, 1) ? 1 : fits(all, MANY, slice, slices, 2) ? 2 : 0;
      CHECK(reserve(slice, slices) == (level != 0), "step %zu: %u slices from 0x%llx: expected level %u", step, slices,
            (unsigned long long)slice, level);
      *r = (reservation_t){slice, slices, level, 0};
      in_level[level]++;
    }
    for (size_t i = 0; i < MANY; i++) {
      if (all[i].level != 0) {
        check_tags(all[i].slice, all[i].slices, all[i].tag, "in the model");
      }
    }
  }
  CHECK(steps < 1000 || (in_level[0] > 20 && in_level[1] > 20 && in_level[2] > 20), "%zu refused, %zu and %zu reserved",
        in_level[0], in_level[1], in_level[2]);
}

static void test_model(void **state) {
  (void)state;
  child_passes(modelled, test_work(4000));
}

/* ---- The allocator with nothing but the second level ------------------------------------------------------------- */

static void *free_all(void *argument) {
  void **blocks = argument;
  for (size_t i = 0; blocks[i] != NULL; i++) {
    hak_free(blocks[i]);
  }
  return NULL;
}

static void no_first_level(size_t rounds) {
  for (size_t i = 0; i < LEVEL1; i++) {
    hak_store_relaxed(&hak_tagmap[i], UINT64_C(0xffffffff) ^ tagmap_view_of(HAK_TAG_FREED)); /* nobody's */
  }
  rng_t rng = {test_seed()};
  static void *blocks[301];
  static size_t sizes[300];
  for (size_t round = 0; round < rounds; round++) {
    for (size_t i = 0; i < 300; i++) {
      sizes[i] = random_size(&rng);
      blocks[i] = hak_malloc(sizes[i]);
      CHECK(blocks[i] != NULL && hak_tier_of(blocks[i]) == tier_for(sizes[i]), "%zu bytes", sizes[i]);
      CHECK(hak_usable_size(blocks[i]) >= sizes[i], "%zu bytes", sizes[i]);
      if (sizes[i] <= HAK_ACE_MAX) {
        CHECK(!tagmap_knows(hak_load_relaxed(&hak_tagmap[hak_tagmap_index(blocks[i])]), tagmap_slice(blocks[i])),
              "%zu bytes: in the first level", sizes[i]);
        CHECK(hak_tier_of((char *)blocks[i] + 8) == HAK_TIER_NONE, "inside %zu bytes", sizes[i]);
      }
      pattern_fill_ends(blocks[i], sizes[i], i);
    }
    for (size_t i = 0; i < 300; i++) {
      CHECK(pattern_check_ends(blocks[i], sizes[i], i), "%zu bytes", sizes[i]);
    }
    if (round % 2 == 0) {
      free_all(blocks);
    } else {
      thread_join(thread_start(free_all, blocks));
    }
    hak_collect(round % 3 == 0);
  }
  hak_collect(1);
  int64_t active = hak_load_relaxed(hak_segment_active_slices());
  CHECK(active == 0, "%lld slices in use", (long long)active);
}

static void test_second_level_alone(void **state) {
  (void)state;
  child_passes(no_first_level, test_work(20));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_levels),
      cmocka_unit_test(test_model),
      cmocka_unit_test(test_second_level_alone),
  };
  return cmocka_run_group_tests_name("tagmap", tests, NULL, NULL);
}
