#include "core/hints.h"

typedef struct {
  _Atomic uint64_t xmask[HAK_HINT_KINDS];
} hint_row_t;

static hint_row_t hint_rows[HAK_SEGMENTS_MAX / 64];

void hak_hint_set(unsigned kind, uint32_t segment) {
  _Atomic uint64_t *word = &hint_rows[segment / 64].xmask[kind];
  uint64_t bit = (uint64_t)1 << segment % 64;
  /* The load is sequentially consistent as the change before it, so a clear that it misses comes after that change in
   * the one order of all, and its second look sees the change. It keeps the line shared while the hint stays set. */
  if ((hak_load_seq(word) & bit) == 0) (void)hak_or_seq(word, bit);
}

void hak_hint_clear(unsigned kind, uint32_t segment) {
  (void)hak_and_seq(&hint_rows[segment / 64].xmask[kind], ~((uint64_t)1 << segment % 64));
}

uint32_t hak_hint_next(unsigned kind, uint32_t from, uint32_t end) {
  while (from < end) {
    uint64_t mask = hak_load_seq(&hint_rows[from / 64].xmask[kind]) & ~(uint64_t)0 << from % 64;
    if (mask != 0) {
      uint32_t found = from / 64 * 64 + hak_lowest_bit(mask);
      return found < end ? found : end;
    }
    from = from / 64 * 64 + 64;
  }
  return end;
}
