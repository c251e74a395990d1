/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * core/slab: the invariants of every slab, counted independently, after random operations; reuse of empty slabs by
 * other classes; carving in small steps; the order of the list.
 */
#include <sys/mman.h>

#include "unit.h"

/* ---- Every block is somewhere, once ------------------------------------------------------------------------------ */

enum { LIVE = 3000 };

static void *live[LIVE];
static size_t live_bytes[LIVE];

static size_t list_length(const hak_block_t *block) {
  size_t length = 0;
  for (; block != NULL; block = block->next) {
    CHECK(block->key == hak_freed_key(block), "block %p has no key", (const void *)block);
    length++;
  }
  return length;
}

/* Counts, for each slab, what the program and the bin hold of it. */
static void count_out(const hak_theap_t *heap, uint16_t out[][HAK_SLICES]) {
  for (size_t i = 0; i < LIVE; i++) {
    if (live[i] != NULL) {
      out[hak_segment_of(live[i])->index][hak_slice_of(live[i])]++;
    }
  }
  for (unsigned c = 1; c < HAK_SLAB_CLASSES; c++) {
    const hak_bin_t *bin = &heap->tls->bin[c];
    size_t length = list_length(bin->head);
    bool is_closed = length == 0 && bin->room == 0;
    CHECK(is_closed || (int64_t)length == hak_slab_classes[c].bin_room - bin->room, "class %u: %zu in the bin, room %d",
          c, length, bin->room);
    for (const hak_block_t *b = bin->head; b != NULL; b = b->next) {
      out[hak_segment_of(b)->index][hak_slice_of(b)]++;
    }
  }
}

/* `carved == free_blocks + out` and all else that is said at hak_slab_t, for every slice that is a slab. */
static size_t check_slabs(const hak_theap_t *heap) {
  static uint16_t out[64][HAK_SLICES];
  memset(out, 0, sizeof out);
  count_out(heap, out);
  size_t slabs = 0;
  for (uint32_t s = 0; s < hak_segment_count_mt(); s++) {
    hak_segment_t *segment = hak_segment_at_mt(s);
    for (unsigned i = 1; i < HAK_SLICES; i++) {
      char *base = segment->base + i * HAK_SLICE_BYTES;
      hak_tag_t tag = hak_tagmap_get_mt(base);
      const hak_slab_t *slab = &segment->cell[i].slab;
      if (!hak_tag_is_slab(tag) || slab == heap->spare) {
        CHECK(out[s][i] == 0, "blocks of a slice that is no slab");
        continue;
      }
      slabs++;
      const hak_slab_class_t *info = &hak_slab_classes[slab->class_number];
      CHECK(slab->base == base && hak_tag_class(tag) == slab->class_number && hak_tag_heap_id(tag) == heap->id,
            "tag 0x%llx", (unsigned long long)tag);
      CHECK(list_length(slab->free) == slab->free_blocks, "%u free", slab->free_blocks);
      CHECK(slab->carved == slab->free_blocks + out[s][i] && slab->carved <= info->capacity,
            "class %u: %u carved, %u free, %u out", slab->class_number, slab->carved, slab->free_blocks, out[s][i]);
      CHECK(slab->listed || (slab->free_blocks == 0 && slab->carved == info->capacity), "class %u: not listed",
            slab->class_number);
      CHECK(slab->free_blocks != slab->carved, "class %u: an empty slab is kept", slab->class_number);
    }
  }
  size_t spare = heap->spare != NULL;
  CHECK((int64_t)(slabs + spare) == hak_load_relaxed(hak_segment_active_slices()), "%zu slabs, %lld slices", slabs,
        (long long)hak_load_relaxed(hak_segment_active_slices()));
  for (unsigned c = 1; c < HAK_SLAB_CLASSES; c++) {
    CHECK(hak_slab_is_valid(heap, c), "class %u", c);
  }
  return slabs;
}

static void random_operations(size_t steps) {
  rng_t rng = {test_seed()};
  hak_theap_t *heap = hak_theap_get();
  size_t largest = HAK_MID_MAX, low = 0;
  for (size_t step = 0; step < steps; step++) {
    if (step % 2000 == 0) { /* now many blocks of few classes, now few of many */
      largest = (size_t)32 << rng_below(&rng, 9);
      low = rng_below(&rng, 2) * (largest - largest / 8);
    }
    size_t i = rng_below(&rng, step % 4000 < 2000 ? LIVE : LIVE / 10);
    if (live[i] == NULL) {
      live_bytes[i] = rng_between(&rng, low, largest);
      live[i] = hak_malloc(live_bytes[i]);
      CHECK(live[i] != NULL, "%zu bytes", live_bytes[i]);
      pattern_fill_ends(live[i], live_bytes[i], i);
    } else {
      CHECK(pattern_check_ends(live[i], live_bytes[i], i), "%zu bytes", live_bytes[i]);
      hak_free(live[i]);
      live[i] = NULL;
    }
    if (step % 500 == 0) {
      check_slabs(heap);
    }
    if (step % 3000 == 2999) {
      hak_theap_flush(heap);
      check_slabs(heap);
    }
  }
  for (size_t i = 0; i < LIVE; i++) {
    hak_free(live[i]);
    live[i] = NULL;
  }
  check_slabs(heap);
  hak_theap_flush(heap);
  CHECK(check_slabs(heap) == 0 && hak_load_relaxed(hak_segment_active_slices()) == 0, "slabs are left");
}

static void test_random(void **state) {
  (void)state;
  child_passes(random_operations, test_work(60000));
}

/* ---- The check itself sees what is broken ------------------------------------------------------------------------ */

static void broken(size_t how) {
  hak_theap_t *heap = hak_theap_get();
  unsigned c = hak_slab_class_of(100);
  for (size_t i = 0; i < 40; i++) {
    live[i] = hak_malloc(100);
  }
  for (size_t i = 0; i < 20; i++) {
    hak_free(live[i]);
  }
  CHECK(hak_slab_flush_bin(heap, c, NULL) == NULL, "a block of another heap");
  hak_slab_t *slab = heap->slabs[c];
  CHECK(slab != NULL && slab->free != NULL && hak_slab_is_valid(heap, c), "before");
  switch (how) {
  case 0:
    slab->free_blocks++;
    break;
  case 1:
    slab->carved = (uint16_t)(hak_slab_classes[c].capacity + 1);
    break;
  case 2:
    slab->free->key++;
    break;
  case 3:
    slab->free->next = (hak_block_t *)(void *)((char *)slab->free->next + 16);
    break;
  case 4:
    slab->listed = false;
    break;
  case 5:
    slab->class_number++;
    break;
  case 6:
    slab->free->next = slab->free; /* a loop */
    break;
  default: { /* a neighbour that does not know it */
    static hak_slab_t stranger;
    slab->next = &stranger;
    stranger.next = slab;
    break;
  }
  }
  CHECK(!hak_slab_is_valid(heap, c), "not seen");
}

static void test_check(void **state) {
  (void)state;
  for (size_t how = 0; how < 8; how++) {
    child_passes(broken, how);
  }
}

/* ---- Reuse, carving, order --------------------------------------------------------------------------------------- */

static void *slice_of(const void *block) { return (void *)hak_align_down((uintptr_t)block, HAK_SLICE_BYTES); }

static void reuse(size_t unused) {
  (void)unused;
  hak_theap_t *heap = hak_theap_get();
  void *slices[HAK_SLAB_CLASSES] = {NULL};
  for (unsigned c = 1; c < HAK_SLAB_CLASSES; c++) { /* every class in turn, in the one slab there is */
    size_t bytes = hak_slab_classes[c].block_bytes;
    for (size_t i = 0; i < 5; i++) {
      live[i] = hak_malloc(bytes);
      memset(live[i], 0xa5, bytes);
      CHECK(slice_of(live[i]) == slice_of(live[0]), "%zu bytes", bytes);
    }
    slices[c] = slice_of(live[0]);
    CHECK(slices[c] == slices[1] && heap->spare == NULL, "class %u is elsewhere", c);
    for (size_t i = 0; i < 5; i++) {
      hak_free(live[i]);
    }
    CHECK(hak_slab_flush_bin(heap, c, NULL) == NULL, "a block of another heap");
    CHECK(heap->spare != NULL && heap->spare->base == slices[1] && heap->slabs[c] == NULL, "class %u: no spare", c);
    CHECK(hak_tagmap_get_mt(slices[1]) == hak_tag_of_slab(heap->id, c), "its tag stays");
  }
  hak_slab_release_spare(heap);
  CHECK(heap->spare == NULL && hak_tagmap_get_mt(slices[1]) == HAK_TAG_FREED, "released");
  hak_slab_release_spare(heap);
  CHECK(hak_load_relaxed(hak_segment_active_slices()) == 0 && hak_segment_count_mt() == 1, "one segment, all free");
  /* Two that are empty: the first is the spare, the second goes back, and spans may have it. */
  void *a = hak_malloc(16), *b = hak_malloc(8000);
  hak_free(a);
  CHECK(hak_slab_flush_bin(heap, hak_slab_class_of(16), NULL) == NULL, "a block of another heap");
  hak_free(b);
  CHECK(hak_slab_flush_bin(heap, hak_slab_class_of(8000), NULL) == NULL, "a block of another heap");
  CHECK(heap->spare != NULL && heap->spare->base == slice_of(a), "the first is not the spare");
  CHECK(hak_tagmap_get_mt(b) == HAK_TAG_FREED && hak_load_relaxed(hak_segment_active_slices()) == 1,
        "the second stays");
  hak_theap_flush(heap);
  CHECK(hak_load_relaxed(hak_segment_active_slices()) == 0, "flushed");
}

/* Allocates a whole slab of each class and looks at what each step touches. */
static void carve(size_t unused) {
  (void)unused;
  hak_theap_t *heap = hak_theap_get();
  for (unsigned c = 1; c < HAK_SLAB_CLASSES; c++) {
    const hak_slab_class_t *info = &hak_slab_classes[c];
    const size_t step = info->block_bytes > HAK_CARVE_BYTES ? info->block_bytes : HAK_CARVE_BYTES;
    void *first = NULL;
    for (uint32_t i = 0; i < info->capacity; i++) {
      uint16_t before = first == NULL ? 0 : hak_cell_of(first)->slab.carved;
      bool bin_was_empty = heap->tls->bin[c].head == NULL;
      char *block = hak_malloc(info->block_bytes);
      first = first == NULL ? slice_of(block) : first;
      CHECK(block == (char *)first + (size_t)i * info->block_bytes, "class %u, block %u: not in order", c, i);
      const hak_slab_t *slab = &hak_cell_of(block)->slab;
      size_t carved = (size_t)(slab->carved - before);
      CHECK(bin_was_empty == (carved != 0) && carved * info->block_bytes <= step, "class %u: %zu carved at once", c,
            carved);
      char *behind = slab->base + (size_t)slab->carved * info->block_bytes;
      size_t rest = (size_t)(slab->base + HAK_SLICE_BYTES - behind);
      if (carved != 0) {
        if (slab->carved == info->capacity && rest != 0) { /* what passes for a block's start there */
          CHECK(((hak_block_t *)behind)->key == hak_freed_key(behind), "class %u: no key behind the last block", c);
          behind += sizeof(hak_block_t);
          rest -= sizeof(hak_block_t);
        }
        CHECK(first_nonzero(behind, rest) == rest, "class %u: touched behind block %u", c, slab->carved);
        size_t beyond = (size_t)(slab->base + (size_t)slab->carved * info->block_bytes - block - 16);
        CHECK(carved > 1 || first_nonzero(block + 16, beyond) == beyond, "class %u: touched in block %u", c, i);
      }
    }
    CHECK(heap->slabs[c] == NULL, "class %u: a full slab is listed", c);
    CHECK(slice_of(hak_malloc(info->block_bytes)) != first, "class %u: a full slab serves", c);
  }
}

static size_t resident_pages(const char *base, size_t bytes) {
  unsigned char pages[HAK_SLICE_BYTES / 4096];
  size_t count = 0;
  CHECK(mincore((void *)(uintptr_t)base, bytes, pages) == 0, "mincore: errno %d", errno);
  for (size_t i = 0; i < bytes / 4096; i++) count += pages[i] & 1;
  return count;
}

static bool can_populate(void) {
  char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED, "mmap: errno %d", errno);
  hak_os_populate(page, 4096);
  return resident_pages(page, 4096) == 1; /* not before Linux 5.14 */
}

/* Fresh memory becomes resident page by page in a slab's first 16 KiB, then 16 KiB at a time; larger blocks stay as they are.
 * A purge of what was not cut takes it back. */
static void populate(size_t bytes) {
  hak_theap_t *heap = hak_theap_get();
  unsigned c = hak_slab_class_of(bytes);
  const char *base = slice_of(hak_malloc(bytes));
  const hak_slab_t *slab = &hak_cell_of(base)->slab;
  if (hak_os_page_bytes() != 4096 || !slab->rest_untouched) return;
  bool in_steps = bytes <= 4096 && can_populate();
  while (slab->carved < hak_slab_classes[c].capacity) {
    size_t cut = (size_t)(hak_load_relaxed(&slab->frontier) - base), pages = (cut + 4095) / 4096;
    size_t resident = in_steps && cut >= 16 * KIB ? (cut / (16 * KIB) + 1) * 4 : pages;
    size_t seen = resident_pages(base, HAK_SLICE_BYTES);
    CHECK(bytes > 4096 ? seen <= resident : seen == resident, "%zu pages, not %zu, when %zu bytes are cut", seen,
          resident, cut);
    if (cut >= 40 * KIB) break;
    CHECK(hak_malloc(bytes) != NULL, "no memory");
  }
  hak_guard_enter(heap);
  (void)hak_slab_purge_uncarved(heap);
  hak_slab_leave(heap);
  size_t cut = (size_t)(hak_load_relaxed(&slab->frontier) - base), pages = (cut + 4095) / 4096;
  CHECK(resident_pages(base, HAK_SLICE_BYTES) <= pages, "%zu pages when %zu are cut", pages, cut);
}

/* Blocks that come back: slabs with free blocks go in front, in the order in which they got their first. */
static void order(size_t unused) {
  (void)unused;
  hak_theap_t *heap = hak_theap_get();
  enum { BYTES = 1024, PER_SLAB = 64, SLABS = 5 };
  unsigned c = hak_slab_class_of(BYTES);
  static char *blocks[SLABS][PER_SLAB];
  for (size_t s = 0; s < SLABS; s++) {
    for (size_t i = 0; i < PER_SLAB; i++) {
      blocks[s][i] = hak_malloc(BYTES);
    }
    CHECK(slice_of(blocks[s][0]) == slice_of(blocks[s][PER_SLAB - 1]), "slab %zu", s);
  }
  char *last = hak_malloc(BYTES); /* a slab that can be carved */
  while (heap->tls->bin[c].head != NULL) {
    last = hak_malloc(BYTES);
  }
  hak_slab_t *carved = &hak_cell_of(last)->slab;
  static const size_t sequence[] = {3, 1, 4};
  for (size_t i = 0; i < COUNT_OF(sequence); i++) {
    hak_free(blocks[sequence[i]][7]);
    CHECK(hak_slab_flush_bin(heap, c, NULL) == NULL, "a block of another heap");
    hak_slab_t *slab = heap->slabs[c];
    CHECK(slab->base == slice_of(blocks[sequence[i]][0]) && slab->free_blocks == 1, "slab %zu is not in front",
          sequence[i]);
    CHECK(hak_slab_is_valid(heap, c), "after slab %zu", sequence[i]);
  }
  for (size_t i = COUNT_OF(sequence); i-- != 0;) { /* the whole list of one slab at a time, the youngest first */
    size_t s = sequence[i];
    CHECK(hak_malloc(BYTES) == blocks[s][7], "slab %zu is not next", s);
    CHECK(hak_slab_is_valid(heap, c), "after slab %zu", s);
  }
  CHECK(slice_of(hak_malloc(BYTES)) == carved->base, "carving comes last");
}

/* A bin takes over the slab's whole list, also one longer than its room. */
static void long_list(size_t unused) {
  (void)unused;
  hak_theap_t *heap = hak_theap_get();
  const size_t capacity = hak_slab_classes[1].capacity;
  CHECK(capacity > HAK_BIN_BLOCKS_MAX, "%zu blocks", capacity);
  static void *blocks[4096];
  for (size_t i = 0; i < capacity; i++) {
    blocks[i] = hak_malloc(16);
  }
  for (size_t i = 1; i < capacity; i++) {
    hak_free(blocks[i]);
  }
  hak_bin_t *bin = &heap->tls->bin[1];
  hak_slab_t *slab = &hak_cell_of(blocks[0])->slab;
  const size_t kept = list_length(bin->head); /* between a bin that spilled and a full one */
  CHECK(kept > HAK_BIN_BLOCKS_MAX - HAK_SPILL_BLOCKS && kept <= HAK_BIN_BLOCKS_MAX, "%zu kept", kept);
  CHECK(bin->room == (int32_t)(HAK_BIN_BLOCKS_MAX - kept) && slab->free_blocks == capacity - 1 - kept, "%u free",
        slab->free_blocks);
  CHECK(hak_slab_flush_bin(heap, 1, NULL) == NULL, "a block of another heap");
  CHECK(slab->free_blocks == capacity - 1 && bin->room == 0, "%u free", slab->free_blocks);
  void *one = hak_malloc(16);
  CHECK(slab->free_blocks == 0 && !slab->listed, "%u free", slab->free_blocks);
  CHECK(list_length(bin->head) == capacity - 2, "%zu in the bin", list_length(bin->head));
  CHECK(bin->room == (int32_t)HAK_BIN_BLOCKS_MAX - (int32_t)(capacity - 2), "room %d", bin->room);
  hak_free(one); /* no room: to the slab */
  CHECK(slab->free_blocks == 1 && slab->listed, "%u free", slab->free_blocks);
}

static void test_cases(void **state) {
  (void)state;
  child_passes(reuse, 0);
  child_passes(carve, 0);
  child_passes(populate, 64);
  child_passes(populate, 1024);
  child_passes(populate, 8000);
  child_passes(order, 0);
  child_passes(long_list, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_random),
      cmocka_unit_test(test_check),
      cmocka_unit_test(test_cases),
  };
  return cmocka_run_group_tests_name("slab", tests, NULL, NULL);
}
