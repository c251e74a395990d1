/* All structures that more than one file knows. Glossary:
 *
 *   segment   4 MiB of address space, aligned to its size; 64 slices, the first of which holds hak_segment_t
 *   slice     64 KiB, the unit in which segments are handed out
 *   slab      a slice cut into blocks of one slab class, owned by one heap (tiny and mid)
 *   span      a run of slices cut into at most 64 blocks of one span class, owned by nobody (pool and ACE)
 *   bin       a thread's list of free blocks of one slab class, linked through the blocks; from 64 bytes on, blocks of
 *             other heaps among them, which travel
 *   magazine  a thread's array of free blocks of one span class, out of band
 *   theap     a thread's heap, what it owns: slabs, magazines' arrays, rings, inbox; outlives the thread parked and is
 *             adopted. Where no heap of a program's own (hak_heap_t of hakmem.h) is meant, texts say heap
 *   ring      blocks of one other heap that this thread freed and has not posted yet
 *   inbox     a heap's queue of blocks that other threads freed
 *   tag       what the tag map says about a slice
 *   arena     what the core calls a heap of a program's own
 *   area      a run of slices cut into blocks of one class, owned by an arena
 *
 * A field whose name begins with x is written by more than one thread and atomic. All others belong to the owner named
 * at the structure. */
#ifndef HAK_CORE_TYPES_H
#define HAK_CORE_TYPES_H

#include <stdatomic.h>

#include "base/limits.h"
#include "core/classes.h"
#include "core/secret.h"

typedef struct hak_theap hak_theap_t;

/* What the tag map says about a slice (core/tagmap.h). */
typedef uint64_t hak_tag_t;

/* A free block of a slab. Owner: whoever's list it is in. */
typedef struct hak_block {
  struct hak_block *next;
  uintptr_t key;               /* hak_freed_key(block) exactly while the block is free */
  struct hak_block *carried[]; /* of a carrier (core/remote.h), while it is one */
} hak_block_t;

/* The second word of a free block. It depends on the address, so that no program gets it there by copying bytes of
 * another block; it is odd and 1.4 GiB off, so that it is no address a program keeps in a block; and it is one addition.
 * A block that has it when it is freed is free already. */
HAK_FAST uintptr_t hak_freed_key(const void *block) {
  if (HAK_SECURE) return hak_secret_key(block, HAK_KEY_FREED);
  return (uintptr_t)block + 0x5bd1e995u;
}

/* The link of a free block, of the secure build: encoded, since whoever writes to a free block would have a list lead where he
 * wants. A block that was written to since it was freed, or a link to what cannot be a block, ends the process. Only
 * blocks whose key is set have links that are followed. (In core/slab.c.) */
HAK_HIDDEN hak_block_t *hak_block_next_checked(const hak_block_t *block);

HAK_FAST void hak_block_link(hak_block_t *block, hak_block_t *next) {
  if (HAK_SECURE) next = (hak_block_t *)((uintptr_t)next ^ hak_secret_key(block, HAK_KEY_LINK));
  block->next = next;
}

HAK_FAST hak_block_t *hak_block_next(const hak_block_t *block) {
  return HAK_SECURE ? hak_block_next_checked(block) : block->next;
}

/* Owner: the thread. Invariant: the length of the list is bin_room of the class - room; or the bin is closed, that is, empty
 * and without room. It is closed as the thread starts (all zero: malloc and free take their slow paths), until it is first
 * filled, and again after it lay idle: a thread shall not keep what it only frees. */
typedef struct hak_bin {
  hak_block_t *head;
  uint32_t magic; /* of hak_slab_class_t; here so that a free needs no second table */
  int32_t room;   /* how many more blocks may be pushed; negative after taking a long list from a slab */
} hak_bin_t;

/* Owner: the thread. Invariant: slots[0 .. count) are free blocks, nothing else refers to them; count <= capacity.
 * Closed (capacity 0, its bit in the heap's `open` clear) as the thread starts and after it lay idle.
 * Bit 0 of a slot: the block is known to be zero. */
typedef struct hak_magazine {
  uintptr_t *slots;
  uint32_t count, capacity;
} hak_magazine_t;

#define HAK_SLOT_ZERO ((uintptr_t)1)

/* What is known of a thread's magazine of one class (core/adapt.h). Owner: the thread; anybody reads what is atomic. */
typedef struct hak_adapt {
  _Atomic uint32_t xcapacity, xmisses, xoverflows; /* the capacity, once more; events so far */
  uint32_t window_ms, misses, overflows;           /* when a window began, and the events in it */
  uint32_t run;                                    /* blocks moved by events of one kind in a row */
  uint32_t least, seen_count, seen_events;         /* of the magazine's count since the last look; as it was then */
  uint8_t last;                                    /* the last event */
  bool one_way;
} hak_adapt_t;

/* Owner: the thread. Carriers first .. last are linked, all blocks are of the owner (of tags: core/tagmap.h); an empty
 * ring is all zero. */
typedef struct hak_ring {
  _Alignas(32) hak_block_t *first; /* so that an index is a shift */
  hak_block_t *last;
  uint32_t owner;
  int32_t room;   /* in bytes, by the classes' ring_bytes; no more carriers when below zero */
  uint64_t slots; /* how many more blocks the first can carry */
} hak_ring_t;

/* The thread's part of its heap, in static TLS; at most 1.5 KiB. */
typedef struct hak_tls {
  hak_bin_t bin[HAK_SLAB_CLASSES];
  hak_magazine_t pool[HAK_POOL_CLASSES]; /* right behind the bins: hak_bin_by_128 */
  uint64_t self;                         /* hak_tag_code of its heap; 0 without one */
  uint64_t foreign;     /* that of the owner of what it last freed that was another heap's and went home; 0 before */
  uint64_t foreign_tag; /* that owner's tag without the class */
  hak_ring_t *foreign_ring; /* the ring of its heap for that owner */
  hak_theap_t *heap;
  bool exited; /* its heap was parked at the thread's end: what still comes borrows one for each call */
} hak_tls_t;

_Static_assert(sizeof(hak_bin_t) == HAK_BIN_SCALE && sizeof(hak_magazine_t) == HAK_BIN_SCALE, "bins by offset");
_Static_assert(offsetof(hak_tls_t, bin) == 0 && offsetof(hak_tls_t, pool) == HAK_SLAB_CLASSES * HAK_BIN_SCALE,
               "magazines follow the bins");

_Static_assert(sizeof(hak_tls_t) <= 1536, "dlopen must find room for it in the static TLS block");

/* Owner: the heap, in its slow paths. In a bin, with the program, in a ring or in an inbox: a block is "out".
 * Invariants: carved == free_blocks + out <= capacity of the class; `listed` if and only if the slab is in its heap's
 * list of the class; not listed implies free_blocks == 0 and carved == capacity. */
typedef struct hak_slab {
  hak_block_t *free; /* free_blocks of them */
  struct hak_slab *next, *previous;
  char *base;
  _Atomic(char *) frontier; /* base + carved * block size: what is behind was never handed out; others may read it */
  uint16_t free_blocks;
  uint16_t carved; /* blocks handed out at least once; memory behind them was never touched by this slab */
  uint8_t class_number;
  bool listed;
  bool rest_untouched; /* memory behind the frontier has no pages, but for a step (HAK_POPULATE_BYTES) */
} hak_slab_t;

/* Owner: nobody. xzero: blocks never handed out since their pages were zero; subset of the full mask. */
typedef struct hak_span {
  char *base;
  _Atomic uint64_t xzero;
} hak_span_t;

/* Owner: the arena, under its lock. Offsets are from `base`. A block below `frontier` is in the list `free`, or `used`.
 * Invariants: (length of free + used) * block size == frontier <= end. */
typedef struct hak_area {
  hak_block_t *free;
  struct hak_area *next, *previous; /* the ring of its arena's areas of the class */
  char *base;
  uint32_t frontier;  /* what is behind was not handed out since the area was made or its arena reset */
  uint32_t zero_from; /* what is behind is known to be zero */
  uint32_t end;       /* of the last block */
  uint16_t used;      /* blocks that the program has */
  uint8_t bin;        /* the class: core/tagmap.h */
  uint8_t slices;
} hak_area_t;

/* The state of the slab, span or area that begins at a slice. xmask is outside of the union on purpose: it is the bitmap of
 * free blocks of a span and 0 whenever the slice does not begin one, so that a thread that comes late to a span which
 * was released takes nothing. xshape: the span's class and number of blocks, valid for whoever holds one of them. */
typedef struct hak_cell {
  HAK_LINE_ALIGNED _Atomic uint64_t xmask;
  _Atomic uint32_t xshape;
  union {
    hak_slab_t slab;
    hak_span_t span;
    hak_area_t area;
  };
} hak_cell_t;

_Static_assert(sizeof(hak_cell_t) == HAK_CACHE_LINE, "a cell is one cache line");

/* At a coloured offset in slice 0 of the segment; never unmapped. Slices are taken from xfree by compare-and-swap and
 * given back by fetch-or; whoever took one owns its bits in the other masks. */
typedef struct hak_segment {
  HAK_LINE_ALIGNED _Atomic uint64_t xfree; /* slices nobody uses */
  _Atomic uint64_t xdirty;                 /* slices whose pages may be resident and not zero; a set bit of a free slice
                                              is what a purge can give back */
  _Atomic uint64_t xpurged;                /* slices purged before their time, because of the bound on dirty memory */
  _Atomic uint64_t xspans;                 /* slices where a span begins */
  _Atomic uint64_t xfreed_ms;              /* when a slice was last given back */
  char *base;
  uint32_t index;
  hak_cell_t cell[HAK_SLICES];
} hak_segment_t;

_Static_assert(sizeof(hak_segment_t) <= HAK_SEGMENT_COLOUR_BYTES, "a segment's metadata fits its place in slice 0");

/* Written by the owner with hak_count, read by anybody. The order is that of the table in core/stats.h. */
typedef struct hak_tier_counters {
  _Atomic uint64_t refills, served, returned, fell_through, failed, allocated, freed;
} hak_tier_counters_t;

#if HAK_SECURE
/* What a thread freed and nobody gets yet (heap/quarantine.h). Owner: the thread. Invariant: bytes is what slots[0 .. count)
 * count for. */
typedef struct hak_quarantine {
  size_t bytes;
  uint32_t count;
  struct {
    char *block;
    size_t bytes;
  } slots[HAK_QUARANTINE_BLOCKS];
} hak_quarantine_t;
#endif

#define HAK_TIERS 5

enum { HAK_THEAP_ACTIVE, HAK_THEAP_PARKED };

/* Owner: the thread it is attached to. `pending`, `spare`, `slabs` and the slabs themselves: that thread or a claimer,
 * between the steps of the guard (core/guard.h). */
struct hak_theap {
  hak_ring_t ring[HAK_RINGS];

  /* A line of its own: written by every thread that posts, read by the owner when it runs out of blocks. */
  HAK_LINE_ALIGNED _Atomic uint64_t xinbox; /* posts since it was last taken << 48 | address of the first block */

  HAK_LINE_ALIGNED _Atomic uint32_t xstate; /* HAK_THEAP_* */
  _Atomic uint32_t xnext_parked;            /* id of the heap below in the stack of parked heaps; 0 ends it */
  _Atomic uint64_t xtaken_then;             /* remote_blocks when a poster last looked: core/remote.c */
  _Atomic uint32_t xclaim;                  /* the guard: whether another thread is at work on the slabs; */

  HAK_LINE_ALIGNED _Atomic bool xbusy; /* and whether the owner is */
  uint32_t id;                         /* constant */
  uint64_t looked_ms;                  /* when what is idle was last looked for */
  uint64_t lean_ms;                    /* when the thread last became lean: */
  int32_t room_then[HAK_SLAB_CLASSES]; /* of the thread's bins, at that moment */
  uint32_t released;                   /* in the guard: how many slices were given back since it was entered */
  uint32_t slow_calls;                 /* for what is to happen every so many slow paths */
  uint32_t lean_calls;                 /* so many more allocations that find a bin empty leave it closed */
  hak_tls_t *tls;                      /* of the thread it is attached to; NULL while parked */
  hak_block_t *pending;                /* taken from the inbox and not yet given to the slabs */
  hak_slab_t *spare;                   /* an empty slab kept for the next class that wants one */
  hak_slab_t *slabs[HAK_SLAB_CLASSES]; /* slabs with free or uncarved blocks; the first is carved */
  hak_tier_counters_t tier[HAK_TIERS];
  uint64_t allocated_before[HAK_TIERS]; /* what those of threads that had the heap before this one were */
  uint64_t freed_before[HAK_TIERS];
  _Atomic uint64_t remote_posts, remote_blocks;
  uint64_t sampled_ms; /* when magazines were last sampled for that */
  uint64_t open;       /* classes whose magazines are open; the others are empty */
  hak_adapt_t adapt[HAK_SPAN_CLASSES];
  uint32_t span_hint[HAK_SPAN_CLASSES]; /* segment where this heap last found blocks of the class */
  uint64_t seen;                        /* the background thread's: what slow paths and inbox looked like last, */
  bool seen_idle;                       /* and whether it has done what there was to do since then */
  hak_magazine_t ace[HAK_ACE_CLASSES];
  uintptr_t pool_slots[HAK_POOL_CLASSES][HAK_POOL_MAGAZINE_BLOCKS_MAX];
  uintptr_t ace_slots[HAK_ACE_CLASSES][HAK_ACE_MAGAZINE_BLOCKS_MAX];
  uint64_t random; /* the state of hak_random; the secure build's, as what follows */
#if HAK_SECURE
  hak_quarantine_t quarantine;
#endif
};

#endif
