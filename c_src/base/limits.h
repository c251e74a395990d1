/* Every size limit of the allocator, and a wall of assertions about how they fit together. */
#ifndef HAK_BASE_LIMITS_H
#define HAK_BASE_LIMITS_H

#include "base/attr.h"

/* Whether this is the secure build (docs/security.md): asked as a constant, everywhere. */
#ifndef HAK_SECURE
#define HAK_SECURE 0
#endif

#define HAK_KIB ((size_t)1024)
#define HAK_MIB (1024 * HAK_KIB)

/* The smallest alignment of a block, and the smallest block: a free one holds a link and a key. */
#define HAK_GRAIN ((size_t)16)

/* The largest request of each tier; what is above the last goes to the mmap tier. */
#define HAK_TINY_MAX ((size_t)1024)
#define HAK_MID_MAX (8 * HAK_KIB)
#define HAK_POOL_MAX (52 * HAK_KIB)
#define HAK_ACE_MAX (2 * HAK_MIB)

/* Address space is taken in segments and handed out in slices. Slice 0 of a segment holds the segment's metadata. */
#define HAK_SEGMENT_SHIFT 22
#define HAK_SEGMENT_BYTES ((size_t)1 << HAK_SEGMENT_SHIFT)
#define HAK_SLICE_SHIFT 16
#define HAK_SLICE_BYTES ((size_t)1 << HAK_SLICE_SHIFT)
#define HAK_SLICES (1u << (HAK_SEGMENT_SHIFT - HAK_SLICE_SHIFT))
#define HAK_SEGMENTS_MAX ((size_t)1 << 18) /* 1 TiB */

/* The metadata of consecutive segments starts at different offsets, so that they do not meet in the same cache sets. */
#define HAK_SEGMENT_COLOURS 8u
#define HAK_SEGMENT_COLOUR_BYTES (HAK_SLICE_BYTES / HAK_SEGMENT_COLOURS)

/* The tag map: one 8-byte entry a slice, indexed by the low bits of the slice number. Its first level covers 64 GiB of
 * address space without a collision, the second (made when a collision first happens) 4 TiB. */
#define HAK_TAGMAP_BITS 20
#define HAK_TAGMAP2_BITS 26

/* Heaps have ids from 1, of 17 bits (core/tagmap.h). */
#define HAK_THEAP_ID_MAX ((1u << 17) - 1)
#define HAK_THEAPS_PER_CHUNK 16u

/* Heaps of a program's own have ids from 1, too. */
#define HAK_ARENA_ID_MAX ((1u << 20) - 1)
#define HAK_ARENAS_PER_CHUNK 64u

/* What such a heap keeps when it is reset, and an empty area of the most slices that it keeps as the last of its class. */
#define HAK_ARENA_KEPT_SLICES 32u
#define HAK_ARENA_IDLE_SLICES 4u

/* Carving a slab touches at most this much fresh memory at a time. */
#define HAK_CARVE_BYTES ((size_t)4096)

/* Behind its first so many bytes, a slab's fresh memory becomes resident so much at a time (docs/decisions/first-touch.md). */
#define HAK_POPULATE_BYTES (16 * HAK_KIB)

/* A thread's list of free blocks of one slab class is bounded by both. Every block in it keeps a slab from being empty,
 * so an idle list is given back (docs/decisions/bins.md). */
#define HAK_BIN_BYTES_MAX (128 * HAK_KIB)
#define HAK_BIN_BLOCKS_MAX 256u
#define HAK_BIN_BLOCKS_MIN 8u

/* So many blocks of a full bin go home at once (0.2 to 0.3 us), in a loop that is half as long as a way home for each. */
#define HAK_SPILL_BLOCKS 32u

/* Blocks from this size on travel: freed by a thread that is not their owner, they stay in its bin if there is room. A
 * smaller one shares its cache line with others of its slab, so it goes home. */
#define HAK_TRAVEL_MIN ((size_t)64)

/* A thread's magazine of one span class has room for one block at least. How many it may hold is learned (core/adapt.h), up
 * to the maximum; where options pin it, it is bounded by bytes and blocks, and those by the options. */
#define HAK_POOL_MAGAZINE_BYTES (256 * HAK_KIB)
#define HAK_POOL_MAGAZINE_BLOCKS 32u
#define HAK_POOL_MAGAZINE_BLOCKS_MAX 128u
#define HAK_ACE_MAGAZINE_BYTES (1 * HAK_MIB)
#define HAK_ACE_MAGAZINE_BLOCKS 16u
#define HAK_ACE_MAGAZINE_BLOCKS_MAX 64u

/* A ring of remote frees is posted when one more block is freed and it holds this many blocks or bytes (or a few more,
 * as blocks come by the carrier: core/remote.h); the owner takes back this many at a time. */
#define HAK_RINGS 8u
#define HAK_RING_BLOCKS 32u
#define HAK_RING_BYTES (64 * 1024)
#define HAK_CARRIED_MAX 14u
#define HAK_CARRY_MAX (HAK_RING_BYTES / HAK_RING_BLOCKS) /* the largest blocks that carry and are carried */
#define HAK_DRAIN_BLOCKS 256u

/* Each time so many posts wait, whoever posts looks whether the owner took any in since the last look, and if not does so for
 * it: at most twice as many wait for a sleeping owner, less one (below 3 MiB). */
#define HAK_HELP_POSTS 16u

/* The largest alignment that can be asked for. Up to a slice the tiers below mmap can serve it. */
#define HAK_ALIGN_MAX ((size_t)1 << 30)

/* What one slow path gives back at most: so many madvise calls, for so many slices (beyond those that it has just given
 * free; of old memory 4 MiB: 0.2 to 0.4 ms), found among so many segments. */
#define HAK_PURGE_CALLS 4u
#define HAK_PURGE_SLICES 16u
#define HAK_PURGE_OLD_SLICES 64u
#define HAK_PURGE_SEGMENTS 1024u

/* Fresh slices are traded for resident ones (core/purge.h) when so many are together. */
#define HAK_TRADE_SLICES 8
/* No more at a time, and no more than so many later: what was taken long ago is in the figures of the bounds. */
#define HAK_TRADE_SLICES_MAX 64
#define HAK_TRADE_BACKLOG 256

/* What was given back for a bound's sake and is faulted in again soon raises the bound by so many times as much: it costs so
 * much more than to keep it that a few such events must be enough. */
#define HAK_REGRET_FACTOR 4

/* While more than so many free slices are dirty, threads are lean: their bins stay closed for so many allocations in a
 * quarter of the purge delay, so that a little activity is enough to bring them by (heap/theap.c). */
#define HAK_LEAN_SLICES 16
#define HAK_LEAN_CALLS 4096u

/* A trim (heap/relief.h) rests for so long, and so many times as long as it took; before that it comes only for so many
 * bytes, twice as many each time. */
#define HAK_TRIM_REST_MS 16u
#define HAK_TRIM_REST_FACTOR 8u
#define HAK_TRIM_EARLY_BYTES (1 * HAK_MIB)

/* The first segments, up to so many bytes, never have huge pages: with 64 KiB of each of many classes, all of a small
 * program's heap would be resident. */
#define HAK_HUGE_PAGES_AFTER (16 * HAK_MIB)

/* From this size on calloc has the system clear what was used before, which costs nothing but a fault for each page that is
 * touched afterwards: 2 to 5 times as much as clearing them here if that is all of them (docs/design.md). */
#define HAK_CALLOC_PURGE_MIN (32 * HAK_MIB)

/* The secure build. A block is asked for with room for a word at its end; so many bytes between what the program asked for and
 * that word are filled and looked at. A thread keeps so many freed blocks from use, and no block that counts for more than a
 * part of all their bytes. From a size on, freed memory is given back instead of cleared; it counts for a part of its size,
 * and only its beginning is looked at. */
#define HAK_TRAILER_BYTES sizeof(uint64_t)
#define HAK_SLACK_FILL_MAX ((size_t)1024)
#define HAK_QUARANTINE_BLOCKS 512u
#define HAK_QUARANTINE_SHARE 4u
#define HAK_WIPE_PURGE_MIN (256 * HAK_KIB)
#define HAK_WIPE_PURGED_SHARE 16u
#define HAK_WIPE_LOOK_MAX (64 * HAK_KIB)

_Static_assert(HAK_SLICES == 64, "a segment's slices are one 64-bit mask");
_Static_assert(HAK_TINY_MAX < HAK_MID_MAX && HAK_MID_MAX < HAK_POOL_MAX && HAK_POOL_MAX < HAK_ACE_MAX, "tiers ascend");
_Static_assert(HAK_MID_MAX <= HAK_SLICE_BYTES / 8, "a slab of one slice holds eight blocks at least");
_Static_assert(HAK_ACE_MAX <= (HAK_SLICES - 1) * HAK_SLICE_BYTES, "the largest ACE block fits a segment");
_Static_assert((HAK_CARRIED_MAX + 1) * HAK_RING_BYTES / HAK_RING_BLOCKS <= UINT16_MAX, "a carrier's bytes fit 16 bits");
_Static_assert(HAK_CALLOC_PURGE_MIN > HAK_ACE_MAX, "such a block is a mapping of whole pages");
_Static_assert(HAK_SLICE_BYTES % HAK_POPULATE_BYTES == 0, "a slab's end is a step's");
_Static_assert(HAK_GRAIN >= 2 * sizeof(void *), "a free block holds a link and a key");

#endif
