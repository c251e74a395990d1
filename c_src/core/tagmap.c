#include "core/tagmap.h"

#include "base/check.h"
#include "os/os.h"

#define TAGMAP_MASK (((size_t)1 << HAK_TAGMAP_BITS) - 1)
#define TAGMAP2_MASK (((size_t)1 << HAK_TAGMAP2_BITS) - 1)

_Atomic uint64_t hak_tagmap[(size_t)1 << HAK_TAGMAP_BITS];
_Atomic uint32_t hak_tagmap_owners[(size_t)1 << HAK_TAGMAP_BITS];

/* The second level, or NULL: its entries, and behind them its owners. Published with release: its readers find it mapped
 * and zero (acquire below). */
static _Atomic(_Atomic uint64_t *) tagmap_xsecond;

static uint64_t tagmap_slice(const void *p) { return (uintptr_t)p >> HAK_SLICE_SHIFT; }

#define TAGMAP_FREED (HAK_VIEW_SLAB & ~((uint64_t)3 << HAK_VIEW_KIND_SHIFT))
#define TAGMAP_NOTHING (TAGMAP_FREED | HAK_BIN_SCALE)

/* Whether an entry is about the slice. */
static bool tagmap_knows(uint64_t entry, uint64_t slice) {
  return entry != 0 && ((entry ^ slice) >> 20 & 0xfff) == 0xfff;
}

typedef struct tagmap_place {
  _Atomic uint64_t *entry; /* NULL when there is no second level */
  _Atomic uint32_t *owner;
} tagmap_place_t;

/* The place of a slice, or the place where it would be: the first level's if the slice is there. */
static tagmap_place_t tagmap_place(uint64_t slice) {
  size_t index = slice & TAGMAP_MASK;
  if (tagmap_knows(hak_load_relaxed(&hak_tagmap[index]), slice)) {
    return (tagmap_place_t){&hak_tagmap[index], &hak_tagmap_owners[index]};
  }
  _Atomic uint64_t *second = hak_load_acquire(&tagmap_xsecond);
  if (second == NULL) return (tagmap_place_t){NULL, NULL};
  index = slice & TAGMAP2_MASK;
  return (tagmap_place_t){&second[index], (_Atomic uint32_t *)(void *)(second + TAGMAP2_MASK + 1) + index};
}

hak_tag_t hak_tagmap_get_mt(const void *p) {
  uint64_t slice = tagmap_slice(p);
  if (slice >> 32 != 0) return 0; /* beyond 48 bits of address */
  tagmap_place_t place = tagmap_place(slice);
  uint64_t entry = place.entry == NULL ? 0 : hak_load_relaxed(place.entry), view = entry ^ slice;
  if (!tagmap_knows(entry, slice)) return 0;
  uint64_t owner = (uint64_t)hak_load_relaxed(place.owner) << HAK_TAG_OWNER_SHIFT;
  switch (view >> HAK_VIEW_KIND_SHIFT) {
  case 3:
    return owner | (view & HAK_TAG_CLASS_MASK);
  case HAK_VIEW_POOL >> HAK_VIEW_KIND_SHIFT:
    return HAK_TAG_POOL | (view & (HAK_TAG_CLASS_MASK | HAK_TAG_BACK_MASK));
  case HAK_VIEW_ACE >> HAK_VIEW_KIND_SHIFT:
    return HAK_TAG_ACE | (view & (HAK_TAG_CLASS_MASK | HAK_TAG_BACK_MASK));
  default:
    if (hak_view_is_area(view)) return hak_tag_of_area_view(view);
    return view == TAGMAP_FREED ? HAK_TAG_FREED : 0;
  }
}

static uint64_t tagmap_view_of(hak_tag_t tag) {
  uint64_t low = tag & (HAK_TAG_CLASS_MASK | HAK_TAG_BACK_MASK);
  if (hak_tag_is_area(tag)) return hak_view_of_area(tag);
  if (hak_tag_is_slab(tag)) {
    bool stays = hak_slab_classes[hak_tag_class(tag)].block_bytes >= HAK_TRAVEL_MIN;
    return (HAK_VIEW_SLAB | low) & ~(stays ? 0 : hak_tag_code(hak_tag_heap_id(tag)));
  }
  if (hak_tag_is_span(tag)) {
    return low | (hak_tag_owner(tag) == hak_tag_owner(HAK_TAG_POOL) ? HAK_VIEW_POOL : HAK_VIEW_ACE);
  }
  return tag == HAK_TAG_FREED ? TAGMAP_FREED : TAGMAP_NOTHING;
}

/* Whether all the slices' places in a table are free; if so, claims them with the tag 0. */
static bool tagmap_claim(_Atomic uint64_t *table, uint64_t mask, uint64_t first_slice, unsigned slices) {
  for (unsigned i = 0; i < slices; i++) {
    if (hak_load_relaxed(&table[(first_slice + i) & mask]) != 0) return false;
  }
  for (unsigned i = 0; i < slices; i++) {
    hak_store_relaxed(&table[(first_slice + i) & mask], (first_slice + i) ^ TAGMAP_NOTHING);
  }
  return true;
}

bool hak_tagmap_reserve_locked(const void *base, unsigned slices) {
  uint64_t slice = tagmap_slice(base);
  if (slice >> 32 != 0) return false;
  if (tagmap_claim(hak_tagmap, TAGMAP_MASK, slice, slices)) return true;
  _Atomic uint64_t *second = hak_load_relaxed(&tagmap_xsecond);
  if (second == NULL) {
    second = hak_os_map((sizeof(uint64_t) + sizeof(uint32_t)) << HAK_TAGMAP2_BITS);
    if (second == NULL) return false;
    hak_store_release(&tagmap_xsecond, second); /* pairs with the acquire in tagmap_place */
  }
  return tagmap_claim(second, TAGMAP2_MASK, slice, slices);
}

void hak_tagmap_set(const void *slice_base, hak_tag_t tag) {
  uint64_t slice = tagmap_slice(slice_base);
  tagmap_place_t place = tagmap_place(slice);
  hak_check(place.entry != NULL);
  if (hak_tag_is_slab(tag)) hak_store_relaxed(place.owner, hak_tag_owner(tag));
  hak_store_relaxed(place.entry, slice ^ tagmap_view_of(tag));
}

void hak_tagmap_set_run(const void *base, unsigned slices, hak_tag_t tag) {
  uint64_t slice = tagmap_slice(base), view = tagmap_view_of(tag);
  uint64_t step = tag == HAK_TAG_FREED ? 0 : (uint64_t)1 << HAK_TAG_BACK_SHIFT;
  _Atomic uint64_t *entry =
      tagmap_place(slice).entry; /* a segment's are side by side: all were reserved in one table */
  hak_check(entry != NULL);
  for (unsigned i = 0; i < slices; i++, view += step) hak_store_relaxed(&entry[i], (slice + i) ^ view);
}

void hak_tagmap_forget_mt(const void *base, unsigned slices) {
  for (uint64_t slice = tagmap_slice(base); slices != 0; slices--, slice++) {
    tagmap_place_t place = tagmap_place(slice);
    hak_check(place.entry != NULL);
    hak_store_relaxed(place.entry, 0);
  }
}
