#include "core/tagmap.h"

#include "base/check.h"
#include "os/os.h"

#define TAGMAP_MASK (((size_t)1 << HAK_TAGMAP_BITS) - 1)
#define TAGMAP2_MASK (((size_t)1 << HAK_TAGMAP2_BITS) - 1)

_Atomic uint64_t hak_tagmap[(size_t)1 << HAK_TAGMAP_BITS];

/* The second level, or NULL. Published with release: its readers find it mapped and zero (acquire below). */
static _Atomic(_Atomic uint64_t *) tagmap_xsecond;

static uint64_t tagmap_slice(const void *p) { return (uintptr_t)p >> HAK_SLICE_SHIFT; }

/* The tag in a place if it is about the slice, else TAGMAP_OTHER. */
#define TAGMAP_OTHER UINT64_MAX
static hak_tag_t tagmap_look(_Atomic uint64_t *place, uint64_t slice) {
  uint64_t entry = hak_load_relaxed(place);
  hak_tag_t tag = entry ^ slice;
  bool is_tag = entry != 0 && ((uint32_t)tag & ~(HAK_TAG_CLASS_MASK | HAK_TAG_BACK_MASK)) == 0;
  return is_tag ? tag : TAGMAP_OTHER;
}

/* The place of a slice, or the place where it would be: the first level's if the slice is there. */
static _Atomic uint64_t *tagmap_place(uint64_t slice) {
  _Atomic uint64_t *first = &hak_tagmap[slice & TAGMAP_MASK];
  if (tagmap_look(first, slice) != TAGMAP_OTHER) return first;
  _Atomic uint64_t *second = hak_load_acquire(&tagmap_xsecond);
  return second == NULL ? NULL : &second[slice & TAGMAP2_MASK];
}

hak_tag_t hak_tagmap_get_mt(const void *p) {
  uint64_t slice = tagmap_slice(p);
  if (slice >> 32 != 0) return 0; /* beyond 48 bits of address */
  _Atomic uint64_t *place = tagmap_place(slice);
  hak_tag_t tag = place == NULL ? TAGMAP_OTHER : tagmap_look(place, slice);
  return tag == TAGMAP_OTHER ? 0 : tag;
}

/* Whether all the slices' places in a table are free; if so, claims them with the tag 0. */
static bool tagmap_claim(_Atomic uint64_t *table, uint64_t mask, uint64_t first_slice, unsigned slices) {
  for (unsigned i = 0; i < slices; i++) {
    if (hak_load_relaxed(&table[(first_slice + i) & mask]) != 0) return false;
  }
  for (unsigned i = 0; i < slices; i++) {
    hak_store_relaxed(&table[(first_slice + i) & mask], first_slice + i);
  }
  return true;
}

bool hak_tagmap_reserve_locked(const void *base, unsigned slices) {
  uint64_t slice = tagmap_slice(base);
  if (slice >> 32 != 0) return false;
  if (tagmap_claim(hak_tagmap, TAGMAP_MASK, slice, slices)) return true;
  _Atomic uint64_t *second = hak_load_relaxed(&tagmap_xsecond);
  if (second == NULL) {
    second = hak_os_map(sizeof(uint64_t) << HAK_TAGMAP2_BITS);
    if (second == NULL) return false;
    hak_store_release(&tagmap_xsecond, second); /* pairs with the acquire in tagmap_place */
  }
  return tagmap_claim(second, TAGMAP2_MASK, slice, slices);
}

void hak_tagmap_set(const void *slice_base, hak_tag_t tag) {
  uint64_t slice = tagmap_slice(slice_base);
  _Atomic uint64_t *place = tagmap_place(slice);
  hak_check(place != NULL);
  hak_store_relaxed(place, slice ^ tag);
}

void hak_tagmap_forget_mt(const void *base, unsigned slices) {
  for (uint64_t slice = tagmap_slice(base); slices != 0; slices--, slice++) {
    _Atomic uint64_t *place = tagmap_place(slice);
    hak_check(place != NULL);
    hak_store_relaxed(place, 0);
  }
}
