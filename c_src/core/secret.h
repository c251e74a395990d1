/* The secret of the process, in the secure build: what keys, links and the words at the ends of blocks are made with, so that
 * nobody who does not know it can make one. It is drawn once, before the first block; a child of a fork has its parent's.
 *
 * The mixing is that of a hash table, not of a cipher: who can read many words at places of his choice can compute the
 * secret. Who can only write cannot. */
#ifndef HAK_CORE_SECRET_H
#define HAK_CORE_SECRET_H

#include "base/limits.h"

/* What a key is for: the same place has different ones. */
enum { HAK_KEY_FREED = 1, HAK_KEY_LINK, HAK_KEY_LIVE, HAK_KEY_WAITS };

HAK_HIDDEN extern uint64_t hak_secret[2];

/* Draws it. Once a process, before its first heap, under the registry lock. */
HAK_HIDDEN void hak_secret_init(void);

HAK_FAST uint64_t hak_secret_key(const void *place, unsigned use) {
  uint64_t x = ((uintptr_t)place ^ hak_secret[0]) * UINT64_C(0x9e3779b97f4a7c15);
  x = (x ^ x >> 32 ^ (uint64_t)use << 56) * UINT64_C(0xd6e8feb86659fd93);
  return x ^ x >> 32 ^ hak_secret[1];
}

/* The next random number below `end` (1 to 2^32); `state` begins as 0. xorshift*, sown from the secret. */
HAK_HIDDEN uint32_t hak_random(uint64_t *state, uint32_t end);

#endif
