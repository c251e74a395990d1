/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * base/bits.h against the obvious way to compute the same.
 */
#include "unit.h"

static uint64_t brute_run_starts(uint64_t mask, unsigned n) {
  uint64_t starts = 0;
  for (unsigned first = 0; first + n <= 64; first++) {
    unsigned length = 0;
    while (length < n && (mask >> (first + length) & 1) != 0) {
      length++;
    }
    starts |= (uint64_t)(length == n) << first;
  }
  return starts;
}

static void check_run_starts(uint64_t mask) {
  for (unsigned n = 1; n <= 64; n++) {
    uint64_t expected = brute_run_starts(mask, n), got = hak_run_starts(mask, n);
    CHECK(got == expected, "runs of %u in 0x%llx: 0x%llx, not 0x%llx", n, (unsigned long long)mask,
          (unsigned long long)got, (unsigned long long)expected);
  }
}

static void test_run_starts(void **state) {
  (void)state;
  check_run_starts(0);
  check_run_starts(~UINT64_C(0));
  for (unsigned first = 0; first < 64; first++) { /* every single run */
    for (unsigned length = 1; first + length <= 64; length++) {
      check_run_starts((~UINT64_C(0) >> (64 - length)) << first);
    }
  }
  rng_t rng = {test_seed()};
  for (size_t i = 0; i < test_work(2000); i++) { /* sparse, even and dense masks */
    uint64_t mask = rng_next(&rng);
    switch (rng_below(&rng, 4)) {
    case 0:
      mask &= rng_next(&rng);
      break;
    case 1:
      mask |= rng_next(&rng);
      break;
    case 2:
      mask |= rng_next(&rng) | rng_next(&rng) | rng_next(&rng);
      break;
    default:
      break;
    }
    check_run_starts(mask);
  }
}

static void test_masks(void **state) {
  (void)state;
  for (unsigned n = 1; n <= 64; n++) {
    uint64_t expected = 0;
    for (unsigned i = 0; i < n; i++) {
      expected |= UINT64_C(1) << i;
    }
    CHECK(hak_low_mask(n) == expected, "n %u: 0x%llx", n, (unsigned long long)hak_low_mask(n));
  }
  for (unsigned first = 0; first < HAK_SLICES; first++) {
    for (unsigned slices = 1; slices < HAK_SLICES && first + slices <= HAK_SLICES; slices++) {
      uint64_t mask = hak_slices_mask(first, slices);
      CHECK(hak_count_bits(mask) == slices && hak_lowest_bit(mask) == first &&
                hak_highest_bit(mask) == first + slices - 1,
            "%u slices from %u: 0x%llx", slices, first, (unsigned long long)mask);
    }
  }
}

static void test_positions(void **state) {
  (void)state;
  rng_t rng = {test_seed()};
  for (size_t i = 0; i < test_work(20000); i++) {
    uint64_t x = rng_next(&rng) >> rng_below(&rng, 64) << rng_below(&rng, 64);
    unsigned count = 0, lowest = 64, highest = 64;
    for (unsigned bit = 0; bit < 64; bit++) {
      if ((x >> bit & 1) != 0) {
        count++;
        highest = bit;
        lowest = lowest == 64 ? bit : lowest;
      }
    }
    CHECK(hak_count_bits(x) == count, "0x%llx: %u", (unsigned long long)x, hak_count_bits(x));
    if (x != 0) {
      CHECK(hak_lowest_bit(x) == lowest && hak_highest_bit(x) == highest, "0x%llx: %u %u", (unsigned long long)x,
            hak_lowest_bit(x), hak_highest_bit(x));
    }
    CHECK(hak_is_pow2((size_t)x) == (count == 1), "0x%llx", (unsigned long long)x);
  }
}

static void test_alignment(void **state) {
  (void)state;
  rng_t rng = {test_seed()};
  for (size_t i = 0; i < test_work(20000); i++) {
    size_t pow2 = (size_t)1 << rng_below(&rng, 40);
    size_t x = (size_t)rng_next(&rng) >> rng_between(&rng, 1, 63);
    if (i % 4 == 0) {
      x = x / pow2 * pow2;
    }
    size_t up = hak_align_up(x, pow2), down = hak_align_down(x, pow2);
    CHECK(up % pow2 == 0 && up >= x && up - x < pow2, "%zu up to %zu: %zu", x, pow2, up);
    CHECK(down % pow2 == 0 && down <= x && x - down < pow2, "%zu down to %zu: %zu", x, pow2, down);
  }
}

static void test_products(void **state) {
  (void)state;
  size_t product = 7;
  CHECK(!hak_mul_overflows(0, SIZE_MAX, &product) && product == 0, "%zu", product);
  CHECK(!hak_mul_overflows(1, SIZE_MAX, &product) && product == SIZE_MAX, "%zu", product);
  CHECK(!hak_mul_overflows((size_t)1 << 32, ((size_t)1 << 32) - 1, &product) && product == SIZE_MAX - UINT32_MAX, "%zu",
        product);
  CHECK(hak_mul_overflows((size_t)1 << 32, (size_t)1 << 32, &product), "2^64");
  CHECK(hak_mul_overflows(SIZE_MAX / 2 + 1, 2, &product), "2^64");
  CHECK(hak_mul_overflows(3, SIZE_MAX / 2, &product), "1.5 * 2^64");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_run_starts), cmocka_unit_test(test_masks),    cmocka_unit_test(test_positions),
      cmocka_unit_test(test_alignment),  cmocka_unit_test(test_products),
  };
  return cmocka_run_group_tests_name("bits", tests, NULL, NULL);
}
