/* SPDX-License-Identifier: MIT OR Apache-2.0
 * For plugin.c: a library that has hakmem inside, under its own names.
 * links: libhakmem.a */
#include <hakmem.h>
#include <string.h>

void *plugin_allocate(size_t size) {
  void *block = hak_malloc(size);
  return block == NULL ? NULL : memset(block, 0x11, size);
}

void plugin_free(void *block) { hak_free(block); }
