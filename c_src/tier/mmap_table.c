#include "tier/mmap_table.h"

#include "base/bits.h"

#define MMAP_TABLE_MIN ((size_t)256)

static hak_mmap_block_t *mmap_table;
static size_t mmap_table_capacity, mmap_table_blocks; /* capacity is a power of two */

static size_t mmap_table_home(const void *base) {
  return (size_t)(((uintptr_t)base >> 12) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (mmap_table_capacity - 1);
}

hak_mmap_block_t *hak_mmap_table_find_locked(const void *base) {
  if (mmap_table_capacity == 0) return NULL;
  for (size_t i = mmap_table_home(base);; i = (i + 1) & (mmap_table_capacity - 1)) {
    if (mmap_table[i].base == base) return base == NULL ? NULL : &mmap_table[i];
    if (mmap_table[i].base == NULL) return NULL;
  }
}

static void mmap_table_place(hak_mmap_block_t block) {
  size_t i = mmap_table_home(block.base);
  while (mmap_table[i].base != NULL) i = (i + 1) & (mmap_table_capacity - 1);
  mmap_table[i] = block;
}

bool hak_mmap_table_reserve_locked(void) {
  if (mmap_table_blocks * 2 < mmap_table_capacity) return true;
  size_t capacity = mmap_table_capacity == 0 ? MMAP_TABLE_MIN : mmap_table_capacity * 2;
  hak_mmap_block_t *larger = hak_os_map(hak_align_up(capacity * sizeof(hak_mmap_block_t), hak_os_page_bytes()));
  if (larger == NULL)
    return mmap_table_capacity != 0 && mmap_table_blocks + mmap_table_blocks / 8 < mmap_table_capacity;
  hak_mmap_block_t *old = mmap_table;
  size_t old_capacity = mmap_table_capacity;
  mmap_table = larger;
  mmap_table_capacity = capacity;
  for (size_t i = 0; i < old_capacity; i++) {
    if (old[i].base != NULL) mmap_table_place(old[i]);
  }
  if (old != NULL) hak_os_unmap(old, hak_align_up(old_capacity * sizeof(hak_mmap_block_t), hak_os_page_bytes()));
  return true;
}

void hak_mmap_table_insert_locked(char *base, size_t bytes, hak_mmap_list_t *list) {
  hak_mmap_block_t block = {.base = base, .bytes = bytes, .list = list};
  if (list != NULL) {
    block.next = list->first;
    if (block.next != NULL) hak_mmap_table_find_locked(block.next)->previous = base;
    list->first = base;
  }
  mmap_table_place(block);
  mmap_table_blocks++;
}

void hak_mmap_table_remove_locked(hak_mmap_block_t *block) {
  if (block->list != NULL) {
    if (block->next != NULL) hak_mmap_table_find_locked(block->next)->previous = block->previous;
    *(block->previous != NULL ? &hak_mmap_table_find_locked(block->previous)->next : &block->list->first) = block->next;
  }
  mmap_table_blocks--;
  size_t hole = (size_t)(block - mmap_table);
  for (size_t i = hole;;) {
    i = (i + 1) & (mmap_table_capacity - 1);
    if (mmap_table[i].base == NULL) break;
    size_t home = mmap_table_home(mmap_table[i].base);
    /* Move it into the hole unless its home lies cyclically in (hole, i]. */
    if (((i - home) & (mmap_table_capacity - 1)) >= ((i - hole) & (mmap_table_capacity - 1))) {
      mmap_table[hole] = mmap_table[i];
      hole = i;
    }
  }
  mmap_table[hole].base = NULL;
}

bool hak_mmap_table_has_place_locked(void) { return mmap_table_blocks < mmap_table_capacity - 1; }

bool hak_mmap_table_covers_locked(const void *p) {
  for (size_t i = 0; i < mmap_table_capacity; i++) {
    if (mmap_table[i].base != NULL && (size_t)((const char *)p - mmap_table[i].base) < mmap_table[i].bytes) return true;
  }
  return false;
}
