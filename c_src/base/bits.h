/* Bit tricks, alignment and overflow. Pure functions. */
#ifndef HAK_BASE_BITS_H
#define HAK_BASE_BITS_H

#include "base/attr.h"

HAK_FAST unsigned hak_lowest_bit(uint64_t nonzero) { return (unsigned)__builtin_ctzll(nonzero); }
HAK_FAST unsigned hak_highest_bit(uint64_t nonzero) { return 63u - (unsigned)__builtin_clzll(nonzero); }

/* Sums of neighbours, of 2, 4 and 8 bits each, then of all bytes. Not __builtin_popcountll: on a processor that may lack the
 * instruction it is a call into libgcc, which Rust's std for musl, built from source, does not link; and slower. */
HAK_FAST unsigned hak_count_bits(uint64_t x) {
  x -= x >> 1 & UINT64_C(0x5555555555555555);
  x = (x & UINT64_C(0x3333333333333333)) + (x >> 2 & UINT64_C(0x3333333333333333));
  x = (x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
  return (unsigned)(x * UINT64_C(0x0101010101010101) >> 56);
}

HAK_FAST bool hak_is_pow2(size_t x) { return x != 0 && (x & (x - 1)) == 0; }

/* Rounds up to a multiple of a power of two. The caller has made sure that it does not overflow. */
HAK_FAST size_t hak_align_up(size_t x, size_t pow2) { return (x + pow2 - 1) & ~(pow2 - 1); }
HAK_FAST size_t hak_align_down(size_t x, size_t pow2) { return x & ~(pow2 - 1); }

HAK_FAST bool hak_mul_overflows(size_t a, size_t b, size_t *product) { return __builtin_mul_overflow(a, b, product); }

/* The mask with the lowest n bits set; n from 1 to 64. */
HAK_FAST uint64_t hak_low_mask(unsigned n) { return ~(uint64_t)0 >> (64 - n); }

/* The mask of all positions of `mask` where a run of n set bits begins (n from 1 to 64): AND with itself shifted, each
 * time as far as the runs known so far reach. */
HAK_FAST uint64_t hak_run_starts(uint64_t mask, unsigned n) {
  unsigned known = 1;
  while (known < n && mask != 0) {
    unsigned step = n - known < known ? n - known : known;
    mask &= mask >> step;
    known += step;
  }
  return mask;
}

#endif
