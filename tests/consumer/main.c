/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What a C program does with an installed hakmem: includes the header, links the library, and calls it.
 */
#include <hakmem.h>

#include <stdio.h>
#include <string.h>

int main(void) {
  if (hak_version() != HAK_VERSION) {
    fprintf(stderr, "library version %d, header version %d\n", hak_version(), HAK_VERSION);
    return 1;
  }
  char *block = hak_calloc(10, 1000);
  if (block == NULL || block[0] != 0 || block[9999] != 0) {
    fprintf(stderr, "hak_calloc gave no zeroed block\n");
    return 1;
  }
  memset(block, 1, 10000);
  hak_free(block);

  hak_stats_t stats = {.size = sizeof stats};
  if (hak_stats_get(&stats) != 1) {
    fprintf(stderr, "hak_stats_get does not know the header's structure\n");
    return 1;
  }
  return 0;
}
