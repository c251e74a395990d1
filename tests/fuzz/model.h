/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The fuzzer's input, and what its model knows: which blocks there are, what is in them, which heap has which account, and
 * whether a request may fail. Only fuzz.c includes this. */
#ifndef HAK_TESTS_FUZZ_MODEL_H
#define HAK_TESTS_FUZZ_MODEL_H

#define HAK_TESTING 1
#include "hakmem.c"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition, ...)                                                                 \
  do {                                                                                        \
    if (HAK_UNLIKELY(!(condition))) fuzz_failed(__FILE__, __LINE__, #condition, __VA_ARGS__); \
  } while (0)

__attribute__((noreturn, format(printf, 4, 5))) static void
fuzz_failed(const char *file, int line, const char *condition, const char *format, ...) {
  va_list arguments;
  fprintf(stderr, "%s:%d: check failed: %s: ", file, line, condition);
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  abort();
}

/* ---- The input ---------------------------------------------------------------------------------------------------- */

static const uint8_t *input, *input_end;

static unsigned take_byte(void) { return input < input_end ? *input++ : 0; }

static unsigned take_two(void) {
  unsigned high = take_byte();
  return high << 8 | take_byte();
}

static size_t live_bytes(void);

/* Sizes of each tier, and those around the limits of tiers. */
static size_t take_size(void) {
  static const size_t edges[] = {1,           16,          128,          HAK_TINY_MAX,
                                 2048,        HAK_MID_MAX, HAK_POOL_MAX, 64 * HAK_KIB,
                                 HAK_ACE_MAX, HAK_MIB,     4 * HAK_MIB,  128 * HAK_KIB};
  unsigned two = take_two();
  size_t low = two & 0xfff;
  size_t size;
  switch (two >> 12) {
  case 0:
    size = low % 130;
    break;
  case 6:
  case 7:
  case 8:
    size = HAK_TINY_MAX + 1 + low * 2 % (HAK_MID_MAX - HAK_TINY_MAX);
    break;
  case 9:
  case 10:
  case 11:
    size = HAK_MID_MAX + 1 + low * 11 % (HAK_POOL_MAX - HAK_MID_MAX);
    break;
  case 12:
  case 13:
    size = HAK_POOL_MAX + 1 + low * 500 % (HAK_ACE_MAX - HAK_POOL_MAX);
    break;
  case 14:
    size = edges[low / 3 % (sizeof edges / sizeof edges[0])] + low % 3 - 1;
    break;
  case 15:
    size = HAK_ACE_MAX + 1 + low * 1024;
    break;
  default:
    size = low % (HAK_TINY_MAX + 1);
    break;
  }
  return size > 64 * HAK_KIB && live_bytes() > 128 * HAK_MIB ? size % HAK_KIB : size;
}

static size_t take_alignment(void) {
  unsigned byte = take_byte();
  return (size_t)1 << (byte < 128 ? byte % 8 : byte % 23); /* to 4 MiB */
}

/* ---- The model ---------------------------------------------------------------------------------------------------- */

enum { SLOTS = 512, HEAPS = 4, THREADS = 4 };

typedef struct {
  unsigned char *block; /* NULL: none */
  size_t size, usable;
  size_t alignment; /* what was asked for; 16 when nothing was; 0: a realloc that took no alignment came after that */
  uint64_t seed;
  int heap; /* number, or -1 */
} slot_t;

static slot_t slots[SLOTS];
static struct {
  hak_heap_t *heap;
  size_t limit; /* or 0 */
} heaps[HEAPS];

static _Atomic uint64_t seeds;
static bool limited;        /* the process has a limit, */
static size_t limit_bytes;  /* which is this, or what was held then if that was more */
static unsigned fails_left; /* so many more steps in which calls of the system may fail */
static bool failed;         /* requests may have failed, so that blocks came from later tiers than usual */
static unsigned steps;

static bool may_fail(void) { return limited || fails_left != 0; }

static size_t live_bytes(void) {
  size_t bytes = 0;
  for (size_t i = 0; i < SLOTS; i++) bytes += slots[i].block != NULL ? slots[i].usable : 0;
  return bytes;
}

/* What is in a block: all words of the first page, one of each page that follows, and the last bytes. */
static uint64_t word_at(uint64_t seed, size_t offset) { return (seed + offset) * UINT64_C(0x9e3779b97f4a7c15); }

static size_t next_offset(size_t offset) { return offset < 4096 ? offset + 8 : offset + 4096; }

static void fill(const slot_t *slot) {
  for (size_t at = 0; at + 8 <= slot->size; at = next_offset(at)) {
    uint64_t word = word_at(slot->seed, at);
    memcpy(slot->block + at, &word, 8);
  }
  for (size_t at = slot->size < 7 ? 0 : slot->size - 7; at < slot->size; at++)
    slot->block[at] = (unsigned char)(at ^ slot->seed);
}

/* Whether the first `bytes` of it, or all, are as slot says, though it may have moved to `block`. */
static bool is_intact(const slot_t *slot, const unsigned char *block, size_t bytes) {
  size_t tail = slot->size < 7 ? 0 : slot->size - 7, end = bytes < tail ? bytes : tail;
  for (size_t at = 0; at + 8 <= end; at = next_offset(at)) {
    uint64_t word = word_at(slot->seed, at);
    if (memcmp(block + at, &word, 8) != 0) return false;
  }
  for (size_t at = tail; at < slot->size && at < bytes; at++) {
    if (block[at] != (unsigned char)(at ^ slot->seed)) return false;
  }
  return true;
}

static bool is_zero(const unsigned char *block, size_t bytes) {
  for (size_t at = 0; at < bytes; at = at < 4096 || at + 64 >= bytes ? at + 1 : at + 64) {
    if (block[at] != 0) return false;
  }
  return true;
}

static void check_slot(const slot_t *slot) {
  CHECK(slot->block == NULL || is_intact(slot, slot->block, slot->size), "%zu bytes at %p were changed", slot->size,
        (void *)slot->block);
}

static void check_apart(const slot_t *slot) {
  for (const slot_t *other = slots; other < slots + SLOTS; other++) {
    CHECK(other == slot || other->block == NULL || slot->block + slot->usable <= other->block ||
              other->block + other->usable <= slot->block,
          "%zu bytes at %p overlap %zu bytes at %p", slot->usable, (void *)slot->block, other->usable,
          (void *)other->block);
  }
}

/* Takes in a new block, or one that was resized. */
static void got(slot_t *slot, void *block, size_t size, size_t alignment, int heap) {
  *slot = (slot_t){block, size, hak_usable_size(block), alignment, 0, heap};
  slot->seed = hak_add_relaxed(&seeds, 1) * 977;
  CHECK((uintptr_t)block % (alignment < 16 ? 16 : alignment) == 0, "%p is not aligned to %zu", block, alignment);
  CHECK(slot->usable >= size && slot->usable != 0, "%zu bytes: %zu usable", size, slot->usable);
  CHECK(hak_tier_of(block) != HAK_TIER_NONE, "%zu bytes at %p: in no tier", size, block);
  CHECK(hak_heap_of(block) == (heap < 0 ? NULL : heaps[heap].heap), "%p: not of heap %d", block, heap);
  fill(slot);
}

/* A request failed: that must be for a reason, which may be the limit of its heap. `before`: of the block to be resized. */
static void got_none(size_t size, int heap, size_t before) {
  CHECK(errno == ENOMEM, "%zu bytes: errno %d", size, errno);
  if (may_fail()) return;
  CHECK(heap >= 0 && heaps[heap].limit != 0, "%zu bytes: no memory", size);
  hak_heap_stats_t stats = {.size = sizeof stats};
  CHECK(hak_heap_stats(heaps[heap].heap, &stats) == 1, "stats");
  CHECK(stats.live_bytes - before + size + HAK_ACE_MAX > heaps[heap].limit, "%zu bytes: heap %d has room", size, heap);
}

static void allocated(slot_t *slot, void *block, size_t size, size_t alignment, int heap) {
  if (block == NULL) {
    got_none(size, heap, 0);
    return;
  }
  got(slot, block, size, alignment, heap);
  check_apart(slot);
}

/* The account of every heap, and the structures of heaps and threads. All threads rest. */
static void check_all(void) {
  uint64_t bytes[HEAPS] = {0}, blocks[HEAPS] = {0};
  for (size_t i = 0; i < SLOTS; i++) {
    check_slot(&slots[i]);
    if (slots[i].block == NULL) continue;
    CHECK(hak_usable_size(slots[i].block) == slots[i].usable, "%zu bytes at %p: now %zu", slots[i].usable,
          (void *)slots[i].block, hak_usable_size(slots[i].block));
    if (slots[i].heap < 0) continue;
    bytes[slots[i].heap] += slots[i].usable;
    blocks[slots[i].heap]++;
  }
  for (int i = 0; i < HEAPS; i++) {
    hak_heap_t *heap = heaps[i].heap;
    if (heap == NULL) continue;
    hak_heap_stats_t stats = {.size = sizeof stats};
    CHECK(hak_heap_stats(heap, &stats) == 1, "stats");
    CHECK(stats.live_bytes == bytes[i] && stats.live_blocks == blocks[i],
          "heap %d: %llu bytes in %llu, not %llu in %llu", i, (unsigned long long)stats.live_bytes,
          (unsigned long long)stats.live_blocks, (unsigned long long)bytes[i], (unsigned long long)blocks[i]);
    CHECK(heaps[i].limit == 0 || stats.peak_bytes <= heaps[i].limit, "heap %d: above its limit", i);
    hak_lock(&heap->lock);
    CHECK(hak_arena_is_valid_locked(heap), "heap %d", i);
    hak_unlock(&heap->lock);
  }
  for (uint32_t id = 1; id <= hak_registry_count_mt(); id++) {
    const hak_theap_t *heap = hak_registry_heap(id);
    for (unsigned c = 1; c < HAK_SLAB_CLASSES; c++) CHECK(hak_slab_is_valid(heap, c), "thread %u, class %u", id, c);
    for (unsigned c = 0; c < HAK_ACE_CLASSES; c++) {
      CHECK(heap->ace[c].count <= heap->ace[c].capacity, "thread %u, magazine %u", id, c);
    }
  }
  hak_stats_t stats = {.size = sizeof stats};
  CHECK(hak_stats_get(&stats) == 1, "stats");
  /* Without the cache: when two mappings join there, clean pages between them are counted as held from then on. */
  uint64_t held = stats.held_bytes - stats.mmap_cached_bytes;
  CHECK(!limited || held <= limit_bytes, "%llu bytes held, the limit is %zu", (unsigned long long)held, limit_bytes);
}

#endif
