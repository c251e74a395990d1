/* What the secure build keeps at the end of every block that the program has, or had and nobody else got yet:
 *
 *   p                     p + asked               p + bytes - 8
 *   | what was asked for  | c c c c c c c c c c c | word          |    bytes: of the block, as the tiers know it
 *   |                     |<------------- slack ----------------->|
 *
 *   word of a live block, low byte first:  c | slack, encrypted (4 bytes) | hash (3 bytes)
 *   word of one that was freed:            8 bytes that depend on the place
 *
 * All of it depends on the secret and the place, so that no other block's word fits. The byte c is never 0, so that a string's end
 * one byte too far is always noticed. A word is complete at any moment: it is written in one store, for the owner of the
 * block behind looks at it, too. */
#ifndef HAK_CORE_TRAILER_H
#define HAK_CORE_TRAILER_H

#include <string.h>

#include "base/atomic.h"
#include "base/check.h"
#include "core/secret.h"

typedef _Atomic uint64_t hak_trailer_t;

HAK_FAST hak_trailer_t *hak_trailer_of(const void *block, size_t bytes) {
  return (hak_trailer_t *)((uintptr_t)block + bytes - HAK_TRAILER_BYTES);
}

HAK_FAST uint8_t hak_trailer_fill(const hak_trailer_t *place) {
  return (uint8_t)(hak_secret_key((const void *)place, HAK_KEY_LIVE) | 1);
}

HAK_FAST uint64_t hak_trailer_live(const hak_trailer_t *place, uint32_t slack) {
  uint64_t key = hak_secret_key((const void *)place, HAK_KEY_LIVE);
  uint64_t hash = (key + slack) * UINT64_C(0xff51afd7ed558ccd);
  hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53) >> 40;
  return hash << 40 | (uint64_t)(slack ^ (uint32_t)(key >> 8)) << 8 | (uint8_t)(key | 1);
}

HAK_FAST uint64_t hak_trailer_freed(const hak_trailer_t *place) {
  return hak_secret_key((const void *)place, HAK_KEY_WAITS);
}

/* The slack that a word tells of, between `least` and `most`; 0 when it is none of a live block's. */
HAK_FAST size_t hak_trailer_slack(const hak_trailer_t *place, uint64_t word, size_t most) {
  uint32_t slack = (uint32_t)(word >> 8) ^ (uint32_t)(hak_secret_key((const void *)place, HAK_KEY_LIVE) >> 8);
  bool is_live = slack >= HAK_TRAILER_BYTES && slack <= most && word == hak_trailer_live(place, slack);
  return is_live ? slack : 0;
}

HAK_FAST size_t hak_trailer_filled(size_t slack) {
  return slack - HAK_TRAILER_BYTES < HAK_SLACK_FILL_MAX ? slack - HAK_TRAILER_BYTES : HAK_SLACK_FILL_MAX;
}

/* Whether the bytes between what was asked for and the word are as they were filled. */
HAK_FAST bool hak_trailer_is_filled(const char *block, size_t bytes, size_t slack) {
  const uint8_t *at = (const uint8_t *)block + (bytes - slack), *end = at + hak_trailer_filled(slack);
  uint8_t fill = hak_trailer_fill(hak_trailer_of(block, bytes));
  unsigned differs = 0;
  for (; at != end; at++) differs |= *at ^ fill;
  return differs == 0;
}

/* What a block of a slab has from the beginning, so that the one behind it can always look: as if it had been freed. The
 * smallest have their key there. */
HAK_FAST void hak_trailer_begin(void *block, size_t bytes) {
  hak_trailer_t *place = hak_trailer_of(block, bytes);
  hak_store_relaxed(place, hak_trailer_freed(place));
}

/* Makes a block of `bytes` bytes one of which the program has asked for `asked`. */
HAK_FAST void hak_trailer_seal(char *block, size_t bytes, size_t asked) {
  size_t slack = bytes - asked;
  hak_trailer_t *place = hak_trailer_of(block, bytes);
  hak_check(asked < bytes && slack >= HAK_TRAILER_BYTES && slack <= UINT32_MAX);
  memset(block + asked, hak_trailer_fill(place), hak_trailer_filled(slack));
  hak_store_relaxed(place, hak_trailer_live(place, (uint32_t)slack));
}

#endif
