/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A state machine over the whole interface, driven by bytes: each step is an operation that one of four threads carries
 * out, on blocks and heaps that any of them made. A model beside it knows what must be so: what is in each block and that
 * no two overlap, what each heap's account is, which requests may fail. The core is compiled in with its assertions on, and
 * the structures of its threads and heaps are checked while it runs.
 *
 * libFuzzer calls LLVMFuzzerTestOneInput (run.sh); replay.c is a main function for everybody else. The threads take
 * turns, so that an input means the same each time, but for what the core learned from the inputs before and for the
 * operation `crowd`, in which all run at once. */
#include "model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* ---- Operations --------------------------------------------------------------------------------------------------- */

enum { FREE, FREE_SIZED, FREE_HEAP, FREE_HEAP_SIZED, FREE_WAYS };

static void release(slot_t *slot, unsigned how) {
  if (slot->block == NULL) return;
  check_slot(slot);
  bool pool_size = slot->size > HAK_MID_MAX && slot->size <= HAK_POOL_MAX;
  hak_heap_t *heap = slot->heap < 0 ? NULL : heaps[slot->heap].heap;
  void *block = slot->block;
  slot->block = NULL;
  errno = 55;
  if (how == FREE_HEAP && heap != NULL) {
    hak_heap_free(heap, block);
  } else if (how == FREE_HEAP_SIZED && heap != NULL && slot->alignment != 0) {
    hak_heap_free_sized(heap, block, slot->alignment, slot->size);
  } else if (how == FREE_SIZED && slot->alignment != 0 && (heap == NULL || !(pool_size || slot->alignment > 4096))) {
    if (slot->alignment <= 16) {
      hak_free_sized(block, slot->size);
    } else {
      hak_free_aligned_sized(block, slot->alignment, slot->size);
    }
  } else {
    hak_free(block);
  }
  CHECK(errno == 55, "errno %d after a free", errno);
}

static slot_t *take_slot(void) { return &slots[take_two() % SLOTS]; }

/* The next one that has a block; NULL when none has. */
static slot_t *take_live(void) {
  size_t first = take_two() % SLOTS;
  for (size_t i = 0; i < SLOTS; i++) {
    slot_t *slot = &slots[(first + i) % SLOTS];
    if (slot->block != NULL) return slot;
  }
  return NULL;
}

static void op_malloc(void) {
  slot_t *slot = take_slot();
  size_t size = take_size();
  release(slot, FREE);
  void *block = size % 5 == 0 ? hak_alloc_at(size, slot) : hak_malloc(size);
  CHECK(block == NULL || failed || hak_usable_size(block) == hak_good_size(size), "%zu bytes: %zu, not %zu", size,
        hak_usable_size(block), hak_good_size(size));
  allocated(slot, block, size, 16, -1);
}

static void op_calloc(void) {
  slot_t *slot = take_slot();
  size_t size = take_size(), count = 1 + take_byte() % 3;
  release(slot, FREE);
  void *block = hak_calloc(count, size / count);
  CHECK(block == NULL || is_zero(block, size / count * count), "%zu bytes: not zero", size);
  allocated(slot, block, size / count * count, 16, -1);
}

static void op_aligned(void) {
  slot_t *slot = take_slot();
  size_t size = take_size(), alignment = take_alignment();
  unsigned how = take_byte() % 3;
  release(slot, FREE);
  void *block = NULL;
  if (how == 2 && alignment >= sizeof(void *)) {
    errno = hak_posix_memalign(&block, alignment, size);
  } else if (how == 1) {
    block = hak_aligned_zalloc(alignment, size);
    CHECK(block == NULL || is_zero(block, size), "%zu bytes: not zero", size);
  } else {
    block = hak_aligned_alloc(alignment, size);
  }
  allocated(slot, block, size, alignment, -1);
}

static void op_realloc(void) {
  slot_t *slot = take_live();
  size_t size = take_size();
  unsigned how = take_byte() % 3;
  if (slot == NULL) return;
  check_slot(slot);
  slot_t old = *slot;
  size_t alignment = old.alignment <= 16 ? old.alignment : 0;
  void *block;
  if (how == 1 && old.alignment != 0) {
    alignment = old.alignment;
    block = hak_realloc_aligned_sized(old.block, alignment, old.size, size);
  } else if (how == 2 && old.heap >= 0) {
    block = hak_heap_realloc(heaps[old.heap].heap, old.block, size);
  } else {
    block = hak_realloc(old.block, size);
  }
  if (block == NULL) {
    got_none(size, old.heap, old.usable);
    check_slot(slot);
    return;
  }
  CHECK(is_intact(&old, block, size < old.size ? size : old.size), "%zu bytes to %zu: content", old.size, size);
  got(slot, block, size, alignment, old.heap);
  check_apart(slot);
}

static void op_free(void) {
  slot_t *slot = take_live();
  unsigned how = take_byte() % FREE_WAYS;
  if (slot != NULL) release(slot, how);
}

/* Many blocks of one size, and many at once back: what fills and empties slabs, spans and magazines. */
static void op_bulk(void) {
  unsigned first = take_two(), count = take_byte(), stride = 1 + 2 * (take_byte() % 16), heap = take_byte();
  size_t size = take_size();
  int of = heap < 64 && heaps[heap % HEAPS].heap != NULL ? (int)(heap % HEAPS) : -1;
  if (size > HAK_POOL_MAX) count /= 16;
  for (unsigned i = 0; i < count; i++) {
    slot_t *slot = &slots[(first + i * stride) % SLOTS];
    release(slot, i % FREE_WAYS);
    allocated(slot, of < 0 ? hak_malloc(size) : hak_heap_malloc(heaps[of].heap, size), size, 16, of);
  }
}

static void op_bulk_free(void) {
  unsigned first = take_two(), count = 2 * take_byte(), stride = 1 + 2 * (take_byte() % 16),
           how = take_byte() % FREE_WAYS;
  for (unsigned i = 0; i < count; i++) release(&slots[(first + i * stride) % SLOTS], how);
}

static void op_collect(void) {
  errno = 55;
  hak_collect(take_byte() % 2);
  CHECK(errno == 55, "errno %d", errno);
}

static void op_heap_new(void) {
  unsigned number = take_byte() % HEAPS, limit = take_byte();
  if (heaps[number].heap != NULL) return;
  heaps[number].limit = limit < 128 ? 0 : (size_t)1 << (limit % 24);
  hak_heap_options_t options = {.size = sizeof options, .limit_bytes = heaps[number].limit};
  heaps[number].heap = hak_heap_new(&options);
  CHECK(heaps[number].heap != NULL || may_fail(), "no heap: errno %d", errno);
}

static void op_heap_malloc(void) {
  unsigned number = take_byte() % HEAPS, how = take_byte() % 4;
  slot_t *slot = take_slot();
  size_t size = take_size(), alignment = how >= 2 ? take_alignment() : 16;
  hak_heap_t *heap = heaps[number].heap;
  if (heap == NULL) return;
  release(slot, FREE);
  void *block = how == 0   ? hak_heap_malloc(heap, size)
                : how == 1 ? hak_heap_zalloc(heap, size)
                : how == 2 ? hak_heap_aligned_alloc(heap, alignment, size)
                           : hak_heap_aligned_zalloc(heap, alignment, size);
  CHECK(block == NULL || how % 2 == 0 || is_zero(block, size), "%zu bytes: not zero", size);
  allocated(slot, block, size, alignment, (int)number);
}

static void heap_end(unsigned number, bool destroy) {
  if (heaps[number].heap == NULL) return;
  for (size_t i = 0; i < SLOTS; i++) {
    if (slots[i].block == NULL || slots[i].heap != (int)number) continue;
    check_slot(&slots[i]);
    slots[i].block = NULL;
  }
  errno = 55;
  if (destroy) {
    hak_heap_destroy(heaps[number].heap);
    heaps[number].heap = NULL;
  } else {
    hak_heap_reset(heaps[number].heap);
  }
  CHECK(errno == 55, "errno %d", errno);
}

static void op_heap_end(void) {
  unsigned byte = take_byte();
  heap_end(byte % HEAPS, byte >= 128);
}

static void op_limit(void) {
  unsigned byte = take_byte();
  hak_stats_t stats = {.size = sizeof stats};
  CHECK(hak_stats_get(&stats) == 1, "stats");
  limited = byte >= 128;
  failed = failed || limited;
  size_t bytes = byte % 2 == 0 ? stats.held_bytes / 2 + 1 : stats.held_bytes + (size_t)byte % 16 * HAK_MIB + 1;
  limit_bytes = bytes < stats.held_bytes ? stats.held_bytes : bytes;
  hak_limit_set(limited ? bytes : 0, NULL, NULL);
}

static void op_fail(void) {
  static const unsigned counts[] = {1, 2, 5, 1000000};
  unsigned byte = take_byte();
  fails_left = 2 + byte / 4 % 16;
  failed = true;
  hak_os_fail_calls(take_byte() % 8, counts[byte % 4]);
}

/* What is asked about a pointer must be answered, whatever it is. */
static void op_questions(void) {
  const slot_t *slot = take_live();
  size_t offset = take_two();
  if (slot != NULL && offset % slot->usable != 0) {
    const unsigned char *inside = slot->block + offset % slot->usable;
    CHECK(hak_tier_of(inside) == HAK_TIER_NONE && hak_heap_of(inside) == NULL, "%p is inside of a block",
          (void *)inside);
  }
  const void *anything = (const void *)((uintptr_t)take_two() << 32 | (uintptr_t)take_two() << 16 | take_two());
  bool ours = false;
  for (size_t i = 0; i < SLOTS; i++) ours = ours || (slots[i].block != NULL && slots[i].block == anything);
  CHECK(ours || hak_tier_of(anything) == HAK_TIER_NONE, "%p is no block", anything);
}

static void op_age(void) {
  static const int64_t delays[] = {0, 1, 1000, 1000000};
  hak_options.purge_delay_ms = delays[take_byte() % 4];
}

/* ---- Threads ------------------------------------------------------------------------------------------------------ */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct {
  pthread_t thread;
  void (*job)(void); /* what it is to do; NULL: it rests */
  bool runs;
} threads[THREADS]; /* the first is the caller's */

static void thread_quits(void) {}

static void *thread_run(void *argument) {
  size_t self = (size_t)argument;
  for (bool quits = false; !quits;) {
    pthread_mutex_lock(&mutex);
    while (threads[self].job == NULL) pthread_cond_wait(&changed, &mutex);
    void (*job)(void) = threads[self].job;
    pthread_mutex_unlock(&mutex);
    job();
    quits = job == thread_quits;
    pthread_mutex_lock(&mutex);
    threads[self].job = NULL;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
  }
  return NULL;
}

static void thread_begin(size_t number, void (*job)(void)) {
  if (!threads[number].runs) {
    CHECK(pthread_create(&threads[number].thread, NULL, thread_run, (void *)number) == 0, "no thread");
    threads[number].runs = true;
  }
  pthread_mutex_lock(&mutex);
  threads[number].job = job;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
}

static void thread_await(size_t number) {
  pthread_mutex_lock(&mutex);
  while (threads[number].job != NULL) pthread_cond_wait(&changed, &mutex);
  pthread_mutex_unlock(&mutex);
}

/* Has a thread do something and waits for it. */
static void thread_do(size_t number, void (*job)(void)) {
  if (number == 0) {
    job();
    return;
  }
  thread_begin(number, job);
  thread_await(number);
}

/* Parks its heap, which the next one adopts. */
static void thread_end(size_t number) {
  if (!threads[number].runs) return;
  thread_do(number, thread_quits);
  pthread_join(threads[number].thread, NULL);
  threads[number].runs = false;
}

/* All threads at once, each with slots of its own, in which there are blocks of all. */
static _Atomic unsigned crowd_next;
static unsigned crowd_seed;

static void crowd_work(void) {
  unsigned self = hak_add_relaxed(&crowd_next, 1);
  uint64_t random = crowd_seed + self;
  for (unsigned i = 0; i < 64; i++) {
    random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    slot_t *slot = &slots[(size_t)(random >> 40) % (SLOTS / THREADS) * THREADS + self];
    size_t size = (size_t)(random >> 20) % ((random >> 33) % 8 == 0 ? 60 * HAK_KIB : 600);
    release(slot, (unsigned)(random >> 60) % FREE_WAYS);
    if ((random >> 37) % 3 == 0) continue;
    void *block = hak_malloc(size);
    CHECK(block != NULL || may_fail(), "%zu bytes: errno %d", size, errno);
    if (block != NULL) got(slot, block, size, 16, -1);
  }
}

static void crowd(void) {
  crowd_seed = take_two();
  hak_store_relaxed(&crowd_next, 0);
  for (size_t i = 1; i < THREADS; i++) thread_begin(i, crowd_work);
  crowd_work();
  for (size_t i = 1; i < THREADS; i++) thread_await(i);
  for (size_t i = 0; i < SLOTS; i++) {
    if (slots[i].block != NULL) check_apart(&slots[i]);
  }
}

/* ---- The machine -------------------------------------------------------------------------------------------------- */

static void (*const operations[])(void) = {
    op_malloc,   op_malloc, op_calloc, op_aligned,   op_realloc, op_realloc,     op_free,
    op_free,     op_bulk,   op_bulk,   op_bulk_free, op_collect, op_heap_new,    op_heap_malloc,
    op_heap_end, op_limit,  op_fail,   op_questions, op_age,     op_heap_malloc,
};
enum { OPERATIONS = sizeof operations / sizeof operations[0], CROWD = OPERATIONS, END_THREAD, CHECK_ALL, ALL };

static void step(void) {
  unsigned byte = take_byte(), operation = byte % 64 % ALL;
  size_t thread = byte / 64;
  if (operation < OPERATIONS) {
    thread_do(thread, operations[operation]);
  } else if (operation == CROWD) {
    crowd();
  } else if (operation == END_THREAD) {
    thread_end(1 + thread % (THREADS - 1));
  } else {
    check_all();
  }
  if (fails_left != 0 && --fails_left == 0) hak_os_fail_calls(0, 0);
}

/* Everything is given back, and nothing is left. */
static void finish(void) {
  hak_os_fail_calls(0, 0);
  fails_left = 0;
  check_all();
  hak_limit_set(0, NULL, NULL);
  limited = false;
  for (size_t i = 0; i < SLOTS; i++) release(&slots[i], FREE);
  for (unsigned i = 0; i < HEAPS; i++) heap_end(i, true);
  for (size_t i = 1; i < THREADS; i++) thread_end(i);
  hak_collect(1);
  hak_stats_t stats = {.size = sizeof stats};
  CHECK(hak_stats_get(&stats) == 1, "stats");
  CHECK(stats.active_bytes == 0 && stats.mmap_bytes == 0 && stats.mmap_cached_bytes == 0 && stats.dirty_bytes == 0 &&
            stats.held_bytes == 0 && stats.program_heaps == 0,
        "left: %llu in slices, %llu in mappings, %llu cached, %llu dirty, %llu held, %llu heaps",
        (unsigned long long)stats.active_bytes, (unsigned long long)stats.mmap_bytes,
        (unsigned long long)stats.mmap_cached_bytes, (unsigned long long)stats.dirty_bytes,
        (unsigned long long)stats.held_bytes, (unsigned long long)stats.program_heaps);
  check_all();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  hak_free(hak_malloc(1)); /* so that the options are read */
  int64_t delay = hak_options.purge_delay_ms;
  input = data;
  input_end = data + bytes;
  failed = false;
  for (steps = 0; input < input_end; steps++) {
    step();
    if (steps % 64 == 63) check_all();
  }
  finish();
  hak_options.purge_delay_ms = delay;
  return 0;
}
