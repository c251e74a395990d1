/* Size classes: the one table of them, and the maps from a size to its class.
 *
 *   slab classes 1..56 (tiny 1..32, mid 33..56): 16-byte steps to 128, then eight per doubling to 8 KiB. Class 0 is no
 *     class: a thread's bin 0 is always empty and full, so that whatever resolves to it ends in a slow path.
 *   span classes 0..63 (pool 0..20, ACE 21..63): eight per doubling from 9 KiB to 2 MiB; 40 and 52 KiB among them.
 *
 * Eight per doubling bounds the waste of rounding up to 12.5%. Any thread may call these; all is constant. */
#ifndef HAK_CORE_CLASSES_H
#define HAK_CORE_CLASSES_H

#include "base/bits.h"
#include "base/limits.h"

#define HAK_TINY_CLASSES 32u
#define HAK_CARRY_CLASSES (HAK_TINY_CLASSES + 8u) /* to HAK_CARRY_MAX */
#define HAK_MID_CLASSES 24u
#define HAK_SLAB_CLASSES (1u + HAK_TINY_CLASSES + HAK_MID_CLASSES)
#define HAK_POOL_CLASSES 21u
#define HAK_ACE_CLASSES 43u
#define HAK_SPAN_CLASSES (HAK_POOL_CLASSES + HAK_ACE_CLASSES) /* 64: a set of them is a word */

typedef struct hak_slab_class {
  uint16_t block_bytes;
  uint16_t capacity;   /* blocks in a slab of one slice */
  uint16_t ring_slots; /* how many other blocks a block carries in a ring of remote frees (core/remote.h), */
  uint16_t ring_bytes; /* and what it counts there, with those */
  uint32_t magic;      /* an offset in the slab is a multiple of block_bytes if and only if
                          (uint32_t)(offset * magic) < HAK_SLAB_MAGIC_END */
  int32_t bin_room;    /* free blocks a thread keeps in its bin before it gives them to their slabs */
} hak_slab_class_t;

typedef struct hak_span_class {
  /* offset * magic: the upper 64 bits are the number of the block at that offset in the span, and it starts there if and
   * only if the lower 64 bits are below `limit`. Aligned so that an index is a shift. */
  _Alignas(32) uint64_t magic;
  uint64_t limit;
  uint32_t block_bytes;
  uint16_t slices; /* of the largest span */
  uint16_t blocks; /* in that, at most 64 */
} hak_span_class_t;

HAK_HIDDEN extern const hak_slab_class_t hak_slab_classes[HAK_SLAB_CLASSES];
HAK_HIDDEN extern const hak_span_class_t hak_span_classes[HAK_SPAN_CLASSES];

/* From the size itself to 1 KiB, which saves two dependent instructions on the most used path for 2 KiB of table, of
 * which a program uses what its sizes are; from (size + 127) / 128 for sizes to 52 KiB: where the thread's bin or
 * magazine of the size's class is, in bytes from the first bin (hak_tls_t; the magazines of pool follow the bins). */
#define HAK_BIN_SCALE ((size_t)16)
HAK_HIDDEN extern const uint16_t hak_bin_by_size[HAK_TINY_MAX + 1];
HAK_HIDDEN extern const uint16_t hak_bin_by_128[HAK_POOL_MAX / 128 + 1];

/* The bin and the slab class of a size from 0 to HAK_MID_MAX. */
HAK_FAST size_t hak_slab_bin_of(size_t size) {
  return size <= HAK_TINY_MAX ? hak_bin_by_size[size] : hak_bin_by_128[(size + 127) >> 7];
}
HAK_FAST unsigned hak_slab_class_of(size_t size) { return (unsigned)(hak_slab_bin_of(size) / HAK_BIN_SCALE); }

/* The span class of a size above HAK_MID_MAX up to HAK_ACE_MAX: eight per doubling by the position of the highest bit
 * and the three bits below it. */
HAK_FAST unsigned hak_span_class_of(size_t size) {
  unsigned doubling = hak_highest_bit(size - 1); /* 13 from 8 KiB + 1 on */
  return (doubling - 13) * 8 + (unsigned)((size - 1) >> (doubling - 3)) % 8;
}

#define HAK_SLAB_MAGIC_END 0x10000u

/* Whether a block of the class begins at an offset in its slab. */
HAK_FAST bool hak_slab_block_begins(const hak_slab_class_t *info, uint32_t offset) {
  return offset * info->magic < HAK_SLAB_MAGIC_END && offset < (uint32_t)info->capacity * info->block_bytes;
}

/* Whether a block of the class begins at an offset in its span. */
HAK_FAST bool hak_span_block_begins(const hak_span_class_t *info, uint64_t offset) {
  return offset * info->magic < info->limit;
}

/* The number of the block of the class that begins at an offset in its span; -1 when none does. */
HAK_FAST int hak_span_block_at(const hak_span_class_t *info, uint64_t offset) {
  __extension__ unsigned __int128 product = (unsigned __int128)offset * info->magic;
  return hak_span_block_begins(info, offset) ? (int)(uint64_t)(product >> 64) : -1;
}

_Static_assert(sizeof(hak_span_class_t) == 32, "an index is two shifts, or one scaled address");

#endif
