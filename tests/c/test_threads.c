/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Threads that hand blocks to each other: every block is filled by one thread, checked and freed or resized by another.
 * And one-way flows, where one thread only allocates and another only frees, in memory that must not grow.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "testing.h"

/* ---- Before there are threads ----------------------------------------------------------------------------------- */

/* Of linux/membarrier.h, which musl does not come with. */
enum { MEMBARRIER_QUERY = 0, MEMBARRIER_PRIVATE = 1 << 3 };

/* To register for the barrier takes 10 ms once there are threads, which then stand still; so the first allocation does. */
static void first_block_registers_for_barriers(void **state) {
  (void)state;
  long commands = syscall(SYS_membarrier, MEMBARRIER_QUERY, 0, 0);
  if (commands < 0 || (commands & MEMBARRIER_PRIVATE) == 0) skip();
  hak_free(hak_malloc(1));
  CHECK(syscall(SYS_membarrier, MEMBARRIER_PRIVATE, 0, 0) == 0, "not registered: errno %d", errno);
}

/* ---- Churn through shared mailboxes ----------------------------------------------------------------------------- */

#define MAILBOXES 1024

/* What each block begins with, so that whoever takes it out of a mailbox can check it. */
typedef struct parcel {
  uint64_t bytes; /* of the whole block */
  uint64_t seed;
} parcel_t;

typedef struct churn {
  _Atomic(parcel_t *) mailbox[MAILBOXES];
  size_t operations; /* a thread */
  uint64_t seed;
  int only_tier;    /* or -1 */
  size_t mailboxes; /* in use: fewer for large blocks */
} churn_t;

typedef struct churn_thread {
  churn_t *churn;
  uint64_t seed;
} churn_thread_t;

static size_t churn_size(const churn_t *churn, rng_t *rng) {
  static const size_t least[HAK_TIER_COUNT] = {16, TINY_LIMIT + 1, MID_LIMIT + 1, POOL_LIMIT + 1, ACE_LIMIT + 1};
  static const size_t most[HAK_TIER_COUNT] = {TINY_LIMIT, MID_LIMIT, POOL_LIMIT, 512 * KIB, ACE_LIMIT + MIB};
  if (churn->only_tier >= 0) {
    return rng_between(rng, least[churn->only_tier], most[churn->only_tier]);
  }
  size_t size = random_size(rng);
  return size < sizeof(parcel_t) ? sizeof(parcel_t) : size;
}

static void parcel_write(parcel_t *parcel, size_t bytes, uint64_t seed) {
  CHECK(parcel != NULL, "%zu bytes, errno %d", bytes, errno);
  parcel->bytes = bytes;
  parcel->seed = seed;
  pattern_fill_ends(parcel + 1, bytes - sizeof *parcel, seed);
}

static void parcel_check(const parcel_t *parcel) {
  CHECK(parcel->bytes >= sizeof *parcel && parcel->bytes <= 8 * MIB, "%p: header overwritten, %llu bytes",
        (const void *)parcel, (unsigned long long)parcel->bytes);
  CHECK(pattern_check_ends(parcel + 1, parcel->bytes - sizeof *parcel, parcel->seed),
        "%p of %llu bytes was overwritten", (const void *)parcel, (unsigned long long)parcel->bytes);
}

static parcel_t *parcel_allocate(size_t bytes, rng_t *rng) {
  switch (rng_below(rng, 16)) {
  case 0: {
    parcel_t *parcel = hak_calloc(1, bytes);
    CHECK(parcel != NULL, "calloc of %zu bytes", bytes);
    size_t read = bytes < 4096 ? bytes : 4096;
    CHECK(first_nonzero(parcel, read) == read, "calloc of %zu bytes is not zero", bytes);
    return parcel;
  }
  case 1:
    return hak_aligned_alloc((size_t)1 << rng_below(rng, 13), bytes);
  default:
    return hak_malloc(bytes);
  }
}

static void *churn_run(void *argument) {
  churn_thread_t *self = argument;
  churn_t *churn = self->churn;
  rng_t rng = {self->seed};
  for (size_t i = 0; i < churn->operations; i++) {
    size_t bytes = churn_size(churn, &rng);
    parcel_t *parcel = parcel_allocate(bytes, &rng);
    parcel_write(parcel, bytes, rng_next(&rng));
    parcel = atomic_exchange(&churn->mailbox[rng_below(&rng, churn->mailboxes)], parcel);
    if (parcel == NULL) {
      continue;
    }
    parcel_check(parcel);
    if (rng_below(&rng, 8) == 0) {
      bytes = churn_size(churn, &rng);
      size_t kept = parcel->bytes < bytes ? parcel->bytes : bytes;
      uint64_t seed = parcel->seed;
      parcel = hak_realloc(parcel, bytes);
      CHECK(parcel != NULL && parcel->seed == seed, "realloc to %zu", bytes);
      kept = kept - sizeof *parcel < 128 ? (kept - sizeof *parcel) / 8 * 8 : 128;
      CHECK(pattern_check(parcel + 1, kept, seed) == kept, "realloc to %zu lost content", bytes);
    }
    hak_free(parcel);
    if (i % 8191 == 0) {
      hak_collect((int)(rng_next(&rng) & 1));
    }
  }
  return NULL;
}

static void churn_with(size_t threads, size_t operations, int only_tier) {
  churn_t *churn = calloc(1, sizeof *churn);
  churn->operations = test_work(operations) / threads + 1;
  churn->seed = test_seed();
  churn->only_tier = only_tier;
  churn->mailboxes = only_tier >= HAK_TIER_ACE ? MAILBOXES / 16 : MAILBOXES;
  churn_thread_t self[16];
  pthread_t thread[16];
  for (size_t i = 0; i < threads; i++) {
    self[i] = (churn_thread_t){churn, test_seed() + 1000 * i};
    CHECK(pthread_create(&thread[i], NULL, churn_run, &self[i]) == 0, "thread %zu", i);
  }
  for (size_t i = 0; i < threads; i++) {
    pthread_join(thread[i], NULL);
  }
  for (size_t i = 0; i < MAILBOXES; i++) {
    parcel_t *parcel = atomic_load(&churn->mailbox[i]);
    if (parcel != NULL) {
      parcel_check(parcel);
      hak_free(parcel);
    }
  }
  free(churn);
}

static void churn_with_2_threads(void **state) {
  (void)state;
  churn_with(2, 400000, -1);
}
static void churn_with_4_threads(void **state) {
  (void)state;
  churn_with(4, 400000, -1);
}
static void churn_with_8_threads(void **state) {
  (void)state;
  churn_with(8, 400000, -1);
}
static void churn_with_16_threads(void **state) {
  (void)state;
  churn_with(16, 400000, -1);
}

static void churn_in_each_tier(void **state) {
  (void)state;
  static const size_t operations[HAK_TIER_COUNT] = {1000000, 500000, 200000, 40000, 8000};
  for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
    churn_with(4, operations[tier], tier);
  }
}

/* ---- One-way flow ------------------------------------------------------------------------------------------------- */

#define QUEUE_SLOTS 1024

/* Blocks from any producer to any consumer. A slot is NULL or a block on its way; nobody waits in order. */
typedef struct flow {
  _Atomic(unsigned char *) slot[QUEUE_SLOTS];
  size_t slots; /* in use: fewer for larger blocks, so that at most 16 MiB are on their way */
  size_t least, most;
  size_t blocks; /* a producer's share, and a consumer's */
  _Atomic size_t turn;
} flow_t;

static void *flow_produce(void *argument) {
  flow_t *flow = argument;
  rng_t rng = {test_seed() + atomic_fetch_add(&flow->turn, 1)};
  for (size_t i = 0; i < flow->blocks; i++) {
    size_t size = rng_between(&rng, flow->least, flow->most);
    unsigned char *block = hak_malloc(size);
    CHECK(block != NULL, "%zu bytes", size);
    touch_pages(block, size);
    for (size_t at = rng_next(&rng), tries = 0;; at++, tries++) {
      unsigned char *expected = NULL;
      if (atomic_compare_exchange_strong(&flow->slot[at % flow->slots], &expected, block)) {
        break;
      }
      if (tries % flow->slots == flow->slots - 1) {
        sched_yield();
      }
    }
  }
  return NULL;
}

static void *flow_consume(void *argument) {
  flow_t *flow = argument;
  size_t at = atomic_fetch_add(&flow->turn, 1) * 37;
  for (size_t i = 0; i < flow->blocks; i++) {
    unsigned char *block = NULL;
    for (size_t tries = 0; block == NULL; at++, tries++) {
      block = atomic_exchange(&flow->slot[at % flow->slots], NULL);
      if (tries % flow->slots == flow->slots - 1) {
        sched_yield();
      }
    }
    CHECK(block[0] == 1, "content lost");
    hak_free(block);
  }
  return NULL;
}

static void flow_run(flow_t *flow, size_t blocks, size_t pairs) {
  flow->blocks = blocks / pairs;
  pthread_t thread[16];
  for (size_t i = 0; i < 2 * pairs; i++) {
    CHECK(pthread_create(&thread[i], NULL, i % 2 == 0 ? flow_produce : flow_consume, flow) == 0, "thread %zu", i);
  }
  for (size_t i = 0; i < 2 * pairs; i++) {
    pthread_join(thread[i], NULL);
  }
}

/* 16 MiB are on their way at most. The allocator may keep as much, what it holds dirty or cached on purpose (32 MiB;
 * 64 MiB of mappings) and some slack; 1 GiB flows, so a leak of 6% shows. */
static void one_way_flow_is_bounded(size_t pairs) {
  static const size_t least[] = {16, 100, 500, 2000, 9000, 30000, 200 * KIB, 2200 * KIB};
  static const size_t most[] = {48, 400, 1024, 8000, 16000, POOL_LIMIT, 900 * KIB, 3 * MIB};
  for (size_t i = 0; i < sizeof least / sizeof least[0]; i++) {
    flow_t *flow = calloc(1, sizeof *flow);
    flow->least = least[i];
    flow->most = most[i];
    size_t mean = (least[i] + most[i]) / 2;
    flow->slots = 16 * MIB / mean < QUEUE_SLOTS ? 16 * MIB / mean : QUEUE_SLOTS;
    size_t blocks = test_work(1024 * MIB) / mean;
    size_t most_blocks = test_work(3000000);
    blocks = blocks < most_blocks ? blocks : most_blocks;
    flow_run(flow, blocks / 10, pairs);
    size_t before = resident_bytes();
    flow_run(flow, blocks, pairs);
    size_t grown = growth(before, resident_bytes());
    size_t bound = (least[i] > ACE_LIMIT ? 112 : 64) * MIB;
    CHECK(grown <= bound, "%zu to %zu bytes, %zu pairs: grew by %zu KiB", least[i], most[i], pairs, grown / KIB);
    free(flow);
    hak_collect(1);
  }
}

static void one_way_flow_of_one_pair(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  one_way_flow_is_bounded(1);
}

static void one_way_flow_of_four_pairs(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  one_way_flow_is_bounded(4);
}

/* An owner that sleeps must not strand without bound what others free for it: it allocates 64 MiB, sleeps while another
 * thread frees all and allocates as much; that must not need 64 MiB more than the first time plus the bound. */
typedef struct sleeper {
  void **blocks;
  size_t count, size;
  pthread_barrier_t barrier;
} sleeper_t;

static void *sleeper_run(void *argument) {
  sleeper_t *sleeper = argument;
  for (size_t i = 0; i < sleeper->count; i++) {
    sleeper->blocks[i] = hak_malloc(sleeper->size);
    CHECK(sleeper->blocks[i] != NULL, "block %zu", i);
    touch_pages(sleeper->blocks[i], sleeper->size);
  }
  pthread_barrier_wait(&sleeper->barrier);
  pthread_barrier_wait(&sleeper->barrier); /* sleeps until the end */
  return NULL;
}

static void sleeping_owner_strands_little(void **state) {
  (void)state;
  SKIP_UNDER_SANITIZERS();
  static const size_t sizes[] = {64, 1000, 4000, 20 * KIB, 300 * KIB};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    hak_collect(1);
    size_t start = resident_bytes();
    sleeper_t sleeper = {.count = 64 * MIB / sizes[i], .size = sizes[i]};
    sleeper.blocks = calloc(sleeper.count, sizeof(void *));
    pthread_barrier_init(&sleeper.barrier, NULL, 2);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, sleeper_run, &sleeper) == 0, "thread");
    pthread_barrier_wait(&sleeper.barrier);
    for (size_t k = 0; k < sleeper.count; k++) {
      hak_free(sleeper.blocks[k]);
    }
    for (size_t k = 0; k < sleeper.count; k++) {
      sleeper.blocks[k] = hak_malloc(sizes[i]);
      CHECK(sleeper.blocks[k] != NULL, "block %zu", k);
      touch_pages(sleeper.blocks[k], sizes[i]);
    }
    size_t grown = growth(start, resident_bytes());
    for (size_t k = 0; k < sleeper.count; k++) {
      hak_free(sleeper.blocks[k]);
    }
    pthread_barrier_wait(&sleeper.barrier);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&sleeper.barrier);
    free(sleeper.blocks);
    /* 64 MiB of blocks live, 8 MiB of pointers to them at most, 40 MiB for the rest. */
    CHECK(grown <= 112 * MIB, "blocks of %zu bytes: %zu KiB for 64 MiB", sizes[i], grown / KIB);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(first_block_registers_for_barriers),
      cmocka_unit_test(churn_with_2_threads),
      cmocka_unit_test(churn_with_4_threads),
      cmocka_unit_test(churn_with_8_threads),
      cmocka_unit_test(churn_with_16_threads),
      cmocka_unit_test(churn_in_each_tier),
      cmocka_unit_test(one_way_flow_of_one_pair),
      cmocka_unit_test(one_way_flow_of_four_pairs),
      cmocka_unit_test(sleeping_owner_strands_little),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
