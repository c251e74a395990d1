#include "core/secret.h"

#include "os/os.h"

uint64_t hak_secret[2];

void hak_secret_init(void) { hak_os_secret(hak_secret, sizeof(hak_secret)); }

uint32_t hak_random(uint64_t *state, uint32_t end) {
  uint64_t x = *state;
  if (x == 0) x = hak_secret_key(state, 0) | 1;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  *state = x;
  return (uint32_t)((x * UINT64_C(0x2545f4914f6cdd1d) >> 32) * end >> 32);
}
