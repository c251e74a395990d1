/* SPDX-License-Identifier: MIT OR Apache-2.0
 * The list of free blocks of the tiny tier is led elsewhere, by a write to a free block.
 * expect: hakmem: hak_malloc: a free block was written to: POINTER */
#include "support/crime.h"

int main(void) {
  char *block = block_of(TINY_SIZE), *others[8]; /* so that the slab stays */
  for (int i = 0; i < 8; i++) others[i] = block_of(TINY_SIZE);
  hak_free(block);
  hak_collect(1); /* out of the quarantine */
  memcpy(accuse(block), &others[0], sizeof others[0]);
  for (int i = 0; i < 100000; i++) others[0] = hak_malloc(TINY_SIZE);
  unpunished();
}
