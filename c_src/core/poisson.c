#include "core/poisson.h"

#include <string.h>

uint64_t hak_poisson_random(uint64_t *state) {
  uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
  return z ^ z >> 31;
}

/* The natural logarithm of a normal number: of its power of two, and by 2 artanh((m - 1) / (m + 1)) of the rest, m, between
 * the half and the whole of a square root of two; the series' next term is below 1e-17. */
static double poisson_log(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof(bits));
  int exponent = (int)(bits >> 52 & 2047) - 1023;
  bits = (bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1023) << 52;
  double m;
  memcpy(&m, &bits, sizeof(m));
  if (m > 1.4142135623730951) {
    m /= 2;
    exponent++;
  }
  double t = (m - 1) / (m + 1), square = t * t, sum = 0;
  for (int n = 19; n >= 1; n -= 2) sum = sum * square + 1.0 / n;
  return 2 * t * sum + exponent * 0.69314718055994531;
}

/* 1 - exp(-x) for x > 0, exact for small ones, too: by its series for x / 64, then six times that of twice as much. */
static double poisson_chance(double x) {
  if (x > 40) return 1;
  double y = x / 64, chance = 0;
  for (int n = 16; n >= 1; n--) chance = y / n * (1 - chance);
  for (int n = 0; n < 6; n++) chance = chance * (2 - chance);
  return chance;
}

uint64_t hak_poisson_interval(uint64_t random, uint64_t mean) {
  double uniform = ((double)(random >> 11) + 1) * (1.0 / 9007199254740992.0); /* above 0, to 1 */
  return (uint64_t)(-poisson_log(uniform) * (double)mean);
}

double hak_poisson_weight(uint64_t bytes, uint64_t mean) { return 1 / poisson_chance((double)bytes / (double)mean); }
