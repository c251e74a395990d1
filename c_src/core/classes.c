#include "core/classes.h"

/* clang-format off: tables */

/* Eight classes that follow a size in equal steps. */
#define EIGHT(X, after, step)                                                                     \
  X((after) + (step)), X((after) + 2 * (step)), X((after) + 3 * (step)), X((after) + 4 * (step)), \
      X((after) + 5 * (step)), X((after) + 6 * (step)), X((after) + 7 * (step)), X((after) + 8 * (step))

/* ---- Slab classes ---- */

#define ROOM_BY_BYTES(bytes) (HAK_BIN_BYTES_MAX / (bytes))
#define ROOM(bytes)                                                          \
  (int32_t)(ROOM_BY_BYTES(bytes) > HAK_BIN_BLOCKS_MAX   ? HAK_BIN_BLOCKS_MAX \
            : ROOM_BY_BYTES(bytes) < HAK_BIN_BLOCKS_MIN ? HAK_BIN_BLOCKS_MIN \
                                                        : ROOM_BY_BYTES(bytes))

/* A block of at most HAK_CARRY_MAX carries others of those behind its link and its key. Each counts as one of that size. In the
 * secure build none does: no address is in a free block but as its link. */
#define RING_FITTING(bytes) (((bytes)-2 * sizeof(void *)) / sizeof(void *))
#define RING_CARRIED(bytes)                                      \
  (HAK_SECURE || (bytes) > HAK_CARRY_MAX   ? 0                   \
   : RING_FITTING(bytes) < HAK_CARRIED_MAX ? RING_FITTING(bytes) \
                                           : HAK_CARRIED_MAX)
#define RING(bytes) ((bytes) <= HAK_CARRY_MAX ? HAK_CARRY_MAX * (1 + RING_CARRIED(bytes)) : (bytes))

/* After Lemire, Kaser, Kurz, "Faster Remainder by Direct Computation" (2019). With magic = ceil(2^32 / d) it is
 * magic * d = 2^32 + e for an e from 0 to d - 1, so the k-th block, at offset k * d, gives k * e < k * d < 2^16, and an
 * offset r behind it gives k * e + r * magic, which is at least 2^32 / d >= 2^19 and, for r < d, does not wrap round. */
#define MAGIC(bytes) ((UINT64_C(0x100000000) + (bytes)-1) / (bytes))
#define CAPACITY(bytes) (HAK_SLICE_BYTES / (bytes))
#define SLAB(bytes)                                                                                           \
  {                                                                                                           \
    .block_bytes = (bytes), .capacity = (uint16_t)CAPACITY(bytes), .magic = (uint32_t)MAGIC(bytes),           \
    .ring_slots = (uint16_t)RING_CARRIED(bytes), .ring_bytes = (uint16_t)RING(bytes), .bin_room = ROOM(bytes) \
  }

const hak_slab_class_t hak_slab_classes[HAK_SLAB_CLASSES] = {
    {0},                    /* no class */
    EIGHT(SLAB, 0, 16),     /* 16 .. 128 */
    EIGHT(SLAB, 128, 16),   /* 144 .. 256 */
    EIGHT(SLAB, 256, 32),   /* 288 .. 512 */
    EIGHT(SLAB, 512, 64),   /* 576 .. 1024: the last tiny class */
    EIGHT(SLAB, 1024, 128), /* 1152 .. 2 KiB */
    EIGHT(SLAB, 2048, 256), /* 2304 .. 4 KiB */
    EIGHT(SLAB, 4096, 512), /* 4608 .. 8 KiB: the last mid class */
};

/* ---- Span classes ---- */

/* A span has 512 KiB for blocks to 16 KiB, then 1 MiB; above 256 KiB it is one block, and freeing it makes its slices
 * anybody's (docs/decisions/spans.md). */
#define SPAN_SLICES(kib) ((kib) <= 16 ? 8 : (kib) <= 256 ? 16 : ((kib) + 63) / 64)
#define SPAN_FITTING(kib) (SPAN_SLICES(kib) * 64 / (kib))
#define SPAN_BLOCKS(kib) (SPAN_FITTING(kib) > 64 ? 64 : SPAN_FITTING(kib))
/* As for slabs, with 2^64; and the last block's value plus 1 is a limit that also keeps out what is behind that block. */
#define SPAN_BYTES(kib) ((kib)*UINT64_C(1024))
#define SPAN_MAGIC(kib) (UINT64_MAX / SPAN_BYTES(kib) + 1)
#define SPAN(kib)                                                                                       \
  {                                                                                                     \
    .block_bytes = (uint32_t)SPAN_BYTES(kib), .slices = SPAN_SLICES(kib), .blocks = SPAN_BLOCKS(kib),   \
    .magic = SPAN_MAGIC(kib), .limit = (SPAN_BLOCKS(kib) - 1) * (SPAN_MAGIC(kib) * SPAN_BYTES(kib)) + 1 \
  }

const hak_span_class_t hak_span_classes[HAK_SPAN_CLASSES] = {
    EIGHT(SPAN, 8, 1),      /* 9 .. 16 KiB */
    EIGHT(SPAN, 16, 2),     /* 18 .. 32 KiB */
    EIGHT(SPAN, 32, 4),     /* 36 .. 64 KiB; 52 is the last of pool */
    EIGHT(SPAN, 64, 8),     /* 72 .. 128 KiB */
    EIGHT(SPAN, 128, 16),   /* 144 .. 256 KiB */
    EIGHT(SPAN, 256, 32),   /* 288 .. 512 KiB */
    EIGHT(SPAN, 512, 64),   /* 576 KiB .. 1 MiB */
    EIGHT(SPAN, 1024, 128), /* 1152 KiB .. 2 MiB: the last of ACE */
};

/* ---- Size to class ---- */

/* Rn(c): class c for n steps of the map. RUN: eight classes from c on, n steps each. */
#define R1(c) ((c)*HAK_BIN_SCALE)
#define R2(c) R1(c), R1(c)
#define R4(c) R2(c), R2(c)
#define R8(c) R4(c), R4(c)
#define R16(c) R8(c), R8(c)
#define R32(c) R16(c), R16(c)
#define R64(c) R32(c), R32(c)
#define RUN(Rn, c) Rn(c), Rn(c + 1), Rn(c + 2), Rn(c + 3), Rn(c + 4), Rn(c + 5), Rn(c + 6), Rn(c + 7)
#define S(c) (HAK_SLAB_CLASSES + (c)) /* a span class */

const uint16_t hak_bin_by_size[] = {
    R1(1),        /* size 0 */
    RUN(R16, 1),  /* 1 .. 128, steps of 16 bytes */
    RUN(R16, 9),  /* to 256 */
    RUN(R32, 17), /* to 512, steps of 32 */
    RUN(R64, 25), /* to 1024, steps of 64 */
};

const uint16_t hak_bin_by_128[] = {
    R1(1),          R1(8),      R1(16),     R1(20), /* 0 .. 1024 in steps of 128; the map above is for these */
    R1(24),         R1(26),     R1(28),     R1(30),     R1(32),     RUN(R1, 33), /* 1152 .. 2 KiB */
    RUN(R2, 41),                                                                 /* 2304 .. 4 KiB, steps of 256 */
    RUN(R4, 49),                                                                 /* 4608 .. 8 KiB, steps of 512 */
    RUN(R8, S(0)),                                                               /* 9 .. 16 KiB, steps of 1 KiB */
    RUN(R16, S(8)),                                                              /* 18 .. 32 KiB, steps of 2 KiB */
    R32(S(16)),     R32(S(17)), R32(S(18)), R32(S(19)), R32(S(20)),              /* 36 .. 52 KiB, steps of 4 KiB */
};

#undef R1
#undef R2
#undef R4
#undef R8
#undef R16
#undef R32
#undef R64
#undef RUN
#undef S

_Static_assert(sizeof(hak_bin_by_size) / sizeof(uint16_t) == HAK_TINY_MAX + 1, "the map ends at the tiny limit");
_Static_assert(sizeof(hak_bin_by_128) / sizeof(uint16_t) == HAK_POOL_MAX / 128 + 1, "the map ends at the pool limit");
