/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * core/classes: the maps for every size, the waste, the magics for every offset; and the choice of a class by
 * alignment.
 */
#include "unit.h"

/* The documented sizes, computed another way: 16-byte steps to 128, then eight per doubling. */
static size_t class_bytes(size_t size) {
  if (size <= 128) {
    return size == 0 ? 16 : (size + 15) / 16 * 16;
  }
  size_t power = 128;
  while (power * 2 < size) {
    power *= 2;
  }
  size_t step = power / 8;
  return (size + step - 1) / step * step;
}

static void test_slab_sizes(void **state) {
  (void)state;
  unsigned before = 1;
  for (size_t size = 0; size <= HAK_MID_MAX; size++) {
    unsigned c = hak_slab_class_of(size);
    CHECK(c == before || c == before + 1, "%zu: class %u after %u", size, c, before);
    before = c;
    size_t bytes = hak_slab_classes[c].block_bytes;
    CHECK(bytes == class_bytes(size), "%zu bytes: class %u of %zu, not %zu", size, c, bytes, class_bytes(size));
    CHECK(c == 1 || hak_slab_classes[c - 1].block_bytes < size, "%zu bytes fit class %u", size, c - 1);
    CHECK((c <= HAK_CARRY_CLASSES) == (size <= HAK_CARRY_MAX), "%zu bytes: class %u", size, c);
    CHECK((c <= HAK_TINY_CLASSES) == (size <= HAK_TINY_MAX), "%zu bytes: class %u", size, c);
    CHECK(size <= 128 || (bytes - size) * 8 <= size, "%zu bytes waste %zu", size, bytes - size);
    if (size > HAK_TINY_MAX) { /* where the fast path uses the map without asking */
      CHECK(hak_bin_by_128[(size + 127) / 128] == c * HAK_BIN_SCALE, "%zu", size);
    }
  }
  CHECK(before == HAK_SLAB_CLASSES - 1, "the last class is %u", before);
}

static void test_span_sizes(void **state) {
  (void)state;
  unsigned before = 0;
  for (size_t size = HAK_MID_MAX + 1; size <= HAK_ACE_MAX; size++) {
    unsigned c = hak_span_class_of(size);
    CHECK(c == before || c == before + 1, "%zu: class %u after %u", size, c, before);
    before = c;
    size_t bytes = hak_span_classes[c].block_bytes;
    CHECK(bytes == class_bytes(size) && (bytes - size) * 8 <= size, "%zu bytes: class %u of %zu, not %zu", size, c,
          bytes, class_bytes(size));
    CHECK((c < HAK_POOL_CLASSES) == (size <= HAK_POOL_MAX), "%zu bytes: class %u", size, c);
    CHECK(size > HAK_POOL_MAX || hak_bin_by_128[(size + 127) / 128] == (HAK_SLAB_CLASSES + c) * HAK_BIN_SCALE, "%zu",
          size);
  }
  CHECK(before == HAK_SPAN_CLASSES - 1, "the last class is %u", before);
}

static void test_tables(void **state) {
  (void)state;
  for (unsigned c = 1; c < HAK_SLAB_CLASSES; c++) {
    const hak_slab_class_t *info = &hak_slab_classes[c];
    CHECK(info->block_bytes % HAK_GRAIN == 0 && info->capacity == HAK_SLICE_BYTES / info->block_bytes, "class %u", c);
    size_t room = HAK_BIN_BYTES_MAX / info->block_bytes;
    room = room > HAK_BIN_BLOCKS_MAX ? HAK_BIN_BLOCKS_MAX : room < HAK_BIN_BLOCKS_MIN ? HAK_BIN_BLOCKS_MIN : room;
    CHECK((size_t)info->bin_room == room, "class %u: room %d", c, info->bin_room);
  }
  bool has_40 = false, has_52 = false;
  for (unsigned c = 0; c < HAK_SPAN_CLASSES; c++) {
    const hak_span_class_t *info = &hak_span_classes[c];
    size_t span = info->slices * HAK_SLICE_BYTES;
    CHECK(info->blocks >= 1 && info->blocks <= 64 && (size_t)info->blocks * info->block_bytes <= span, "class %u", c);
    CHECK(info->blocks == 64 || span - (size_t)info->blocks * info->block_bytes < info->block_bytes, "class %u", c);
    CHECK(info->slices < HAK_SLICES, "class %u", c);
    CHECK(info->block_bytes % HAK_KIB == 0, "class %u", c);
    has_40 |= info->block_bytes == 40 * KIB;
    has_52 |= info->block_bytes == 52 * KIB;
  }
  CHECK(has_40 && has_52, "40 and 52 KiB");
}

static void test_slab_magic(void **state) {
  (void)state;
  CHECK(!hak_slab_block_begins(&hak_slab_classes[0], 0), "class 0 has no blocks");
  for (unsigned c = 1; c < HAK_SLAB_CLASSES; c++) {
    const hak_slab_class_t *info = &hak_slab_classes[c];
    for (uint32_t offset = 0; offset < HAK_SLICE_BYTES; offset++) {
      bool starts = offset % info->block_bytes == 0 && offset / info->block_bytes < info->capacity;
      CHECK(hak_slab_block_begins(info, offset) == starts, "class %u, offset %u: %d", c, offset, !starts);
    }
  }
}

static void test_span_numbers(void **state) {
  (void)state;
  const uintptr_t base = UINT64_C(0x7f0000410000);
  for (unsigned c = 0; c < HAK_SPAN_CLASSES; c++) {
    const hak_span_class_t *info = &hak_span_classes[c];
    for (size_t offset = 0; offset < info->slices * HAK_SLICE_BYTES; offset += HAK_KIB) {
      hak_tag_t tag = hak_tag_of_span(c, (unsigned)(offset / HAK_SLICE_BYTES));
      size_t number = offset / info->block_bytes;
      bool starts = offset % info->block_bytes == 0 && number < info->blocks;
      int got = hak_span_block_number((void *)(base + offset), tag);
      CHECK(got == (starts ? (int)number : -1), "class %u, offset %zu: %d", c, offset, got);
      static const size_t beside[] = {1, 8, 16, 512, 1008, 1023};
      for (size_t i = 0; i < COUNT_OF(beside); i++) {
        got = hak_span_block_number((void *)(base + offset + beside[i]), tag);
        CHECK(got == -1, "class %u, offset %zu: %d", c, offset + beside[i], got);
      }
    }
  }
}

static void test_tags(void **state) {
  (void)state;
  static const uint32_t ids[] = {1, 2, 63, 64, 1000, HAK_THEAP_ID_MAX};
  for (size_t i = 0; i < COUNT_OF(ids); i++) {
    for (unsigned c = 1; c < HAK_SLAB_CLASSES; c++) {
      hak_tag_t tag = hak_tag_of_slab(ids[i], c);
      CHECK(hak_tag_is_slab(tag) && !hak_tag_is_span(tag) && hak_tag_class(tag) == c && hak_tag_heap_id(tag) == ids[i],
            "heap %u, class %u: 0x%llx", ids[i], c, (unsigned long long)tag);
    }
  }
  for (unsigned c = 0; c < HAK_SPAN_CLASSES; c++) {
    for (unsigned back = 0; back < HAK_SLICES; back++) {
      hak_tag_t tag = hak_tag_of_span(c, back);
      CHECK(hak_tag_is_span(tag) && !hak_tag_is_slab(tag) && hak_tag_class(tag) == c && hak_tag_back(tag) == back,
            "class %u, back %u: 0x%llx", c, back, (unsigned long long)tag);
      CHECK((hak_tag_owner(tag) == hak_tag_owner(HAK_TAG_POOL)) == (c < HAK_POOL_CLASSES), "class %u: 0x%llx", c,
            (unsigned long long)tag);
    }
  }
  CHECK(!hak_tag_is_slab(HAK_TAG_FREED) && !hak_tag_is_span(HAK_TAG_FREED) && !hak_tag_is_slab(0), "freed");
}

/* The smallest class, of at least `bytes`, of which every block has the alignment; 0 when there is none. */
static size_t aligned_bytes(size_t alignment, size_t bytes) {
  for (unsigned c = 1; c < HAK_SLAB_CLASSES; c++) {
    size_t block = hak_slab_classes[c].block_bytes;
    if (block >= bytes && block % alignment == 0) {
      return block;
    }
  }
  for (unsigned c = 0; c < HAK_SPAN_CLASSES; c++) {
    const hak_span_class_t *info = &hak_span_classes[c];
    if (info->block_bytes >= bytes && (info->blocks == 1 || info->block_bytes % alignment == 0)) {
      return info->block_bytes;
    }
  }
  return 0;
}

static void check_aligned(size_t alignment, size_t size) {
  size_t got = hak_aligned_class_bytes(alignment, size);
  if (size > HAK_ACE_MAX || alignment > HAK_SLICE_BYTES) {
    CHECK(got > HAK_ACE_MAX && got >= size, "alignment %zu, %zu bytes: %zu", alignment, size, got);
    return;
  }
  size_t rounded = hak_align_up(size == 0 ? 1 : size, alignment);
  size_t expected = aligned_bytes(alignment, rounded);
  size_t block = hak_good_size(got);
  CHECK(block == expected && block >= size, "alignment %zu, %zu bytes: %zu, not %zu", alignment, size, block, expected);
}

static void test_aligned(void **state) {
  (void)state;
  for (size_t alignment = 1; alignment <= 2 * HAK_SLICE_BYTES; alignment *= 2) {
    for (size_t size = 0; size <= 70 * KIB; size++) {
      check_aligned(alignment, size);
    }
    for (size_t size = 70 * KIB; size <= HAK_ACE_MAX + 4096; size += 511) {
      check_aligned(alignment, size);
    }
    for (unsigned c = 0; c < HAK_SPAN_CLASSES; c++) {
      check_aligned(alignment, hak_span_classes[c].block_bytes - 1);
      check_aligned(alignment, hak_span_classes[c].block_bytes);
      check_aligned(alignment, hak_span_classes[c].block_bytes + 1);
    }
  }
  check_aligned(HAK_ALIGN_MAX, 1);
  check_aligned(16, SIZE_MAX);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_slab_sizes), cmocka_unit_test(test_span_sizes),   cmocka_unit_test(test_tables),
      cmocka_unit_test(test_slab_magic), cmocka_unit_test(test_span_numbers), cmocka_unit_test(test_tags),
      cmocka_unit_test(test_aligned),
  };
  return cmocka_run_group_tests_name("classes", tests, NULL, NULL);
}
