/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * core/hints: set, clear and next against a model; and the protocol under threads: what is available is always found.
 */
#include "unit.h"

#define SEGMENTS 400u

static bool model[HAK_HINT_KINDS][SEGMENTS];

static uint32_t model_next(unsigned kind, uint32_t from, uint32_t end) {
  while (from < end && !model[kind][from]) {
    from++;
  }
  return from < end ? from : end;
}

static void test_model(void **state) {
  (void)state;
  rng_t rng = {test_seed()};
  for (size_t step = 0; step < test_work(60000); step++) {
    unsigned kind = (unsigned)rng_below(&rng, HAK_HINT_KINDS);
    uint32_t segment = (uint32_t)rng_below(&rng, SEGMENTS);
    size_t density = 1 + kind % 4;
    if (rng_below(&rng, 5) < density) {
      hak_hint_set(kind, segment);
      model[kind][segment] = true;
    } else {
      hak_hint_clear(kind, segment);
      model[kind][segment] = false;
    }
    uint32_t from = (uint32_t)rng_below(&rng, SEGMENTS), end = (uint32_t)rng_below(&rng, SEGMENTS);
    CHECK(from > end || hak_hint_next(kind, from, end) == model_next(kind, from, end),
          "kind %u from %u below %u: %u, not %u", kind, from, end, hak_hint_next(kind, from, end),
          model_next(kind, from, end));
  }
  for (unsigned kind = 0; kind < HAK_HINT_KINDS; kind++) {
    uint32_t found = 0;
    for (uint32_t i = 0; (i = hak_hint_next(kind, i, SEGMENTS)) < SEGMENTS; i++) {
      CHECK(model[kind][i], "kind %u, segment %u", kind, i);
      found++;
    }
    for (uint32_t i = 0; i < SEGMENTS; i++) {
      found -= model[kind][i];
      hak_hint_clear(kind, i);
    }
    CHECK(found == 0, "kind %u: %u missing", kind, found);
  }
}

static void test_edges(void **state) {
  (void)state;
  static const uint32_t last = HAK_SEGMENTS_MAX - 1;
  unsigned kinds[] = {hak_hint_of_span_class(0), hak_hint_of_span_class(HAK_SPAN_CLASSES - 1), hak_hint_of_run(0),
                      hak_hint_of_run(HAK_HINT_RUNS - 1)};
  for (size_t k = 0; k < COUNT_OF(kinds); k++) {
    for (size_t other = 0; other < k; other++) {
      CHECK(kinds[k] != kinds[other], "two kinds are one");
    }
    CHECK(hak_hint_next(kinds[k], 0, HAK_SEGMENTS_MAX) == HAK_SEGMENTS_MAX, "kind %u: not clear", kinds[k]);
    hak_hint_set(kinds[k], last);
    CHECK(hak_hint_next(kinds[k], 0, HAK_SEGMENTS_MAX) == last, "kind %u: the last", kinds[k]);
    CHECK(hak_hint_next(kinds[k], last, HAK_SEGMENTS_MAX) == last, "kind %u: from the last", kinds[k]);
    CHECK(hak_hint_next(kinds[k], 0, last) == last, "kind %u: below the last", kinds[k]);
    hak_hint_clear(kinds[k], last);
    CHECK(hak_hint_next(kinds[k], 5, 5) == 5 && hak_hint_next(kinds[k], 0, 0) == 0, "nothing to look at");
  }
}

/* Whatever a slab or a span wants is hinted itself, and what is not, by the longest that is shorter. */
static void test_runs(void **state) {
  (void)state;
  for (unsigned slices = 1; slices < HAK_SLICES; slices++) {
    unsigned r = hak_hint_run_within(slices);
    CHECK(r < HAK_HINT_RUNS && hak_hint_run_slices(r) <= slices, "%u slices", slices);
    CHECK(r == HAK_HINT_RUNS - 1 || hak_hint_run_slices(r + 1) > slices, "%u slices", slices);
  }
  for (unsigned r = 1; r < HAK_HINT_RUNS; r++) {
    unsigned before = hak_hint_run_slices(r - 1), more = hak_hint_run_slices(r) - before;
    CHECK(more >= 1 && more <= before, "a mask of runs of %u becomes one of %u by one shift", before, before + more);
  }
  CHECK(hak_hint_run_slices(0) == 1, "a slab's");
  for (unsigned c = 0; c < HAK_SPAN_CLASSES; c++) {
    unsigned slices = hak_span_classes[c].slices;
    CHECK(hak_hint_run_slices(hak_hint_run_within(slices)) == slices, "class %u: %u slices", c, slices);
  }
}

/* ---- The protocol ------------------------------------------------------------------------------------------------ */

enum { PLACES = 3, THREADS = 4, KIND = 7 };

static _Atomic int available[PLACES];
static _Atomic int produced, consumed;
static pthread_barrier_t barrier;
static size_t rounds;

static void produce(uint32_t place) {
  atomic_fetch_add(&available[place], 1);
  hak_hint_set(KIND, place);
}

static bool take(uint32_t place) {
  int have = atomic_load(&available[place]);
  while (have != 0) {
    if (atomic_compare_exchange_weak(&available[place], &have, have - 1)) {
      return true;
    }
  }
  return false;
}

/* As core/span.c and core/segment.c do it. */
static bool consume(void) {
  for (uint32_t i = 0; (i = hak_hint_next(KIND, i, PLACES)) < PLACES; i++) {
    if (take(i)) {
      return true;
    }
    hak_hint_clear(KIND, i);
    if (take(i)) {
      hak_hint_set(KIND, i);
      return true;
    }
  }
  return false;
}

static void *protocol_thread(void *argument) {
  rng_t rng = {test_seed() + (uintptr_t)argument};
  for (size_t round = 0; round < rounds; round++) {
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < 20; i++) {
      if (rng_below(&rng, 2) == 0) {
        produce((uint32_t)rng_below(&rng, PLACES));
        atomic_fetch_add(&produced, 1);
      } else if (consume()) {
        atomic_fetch_add(&consumed, 1);
      }
    }
    pthread_barrier_wait(&barrier);
    if (argument == NULL) { /* all are still: whatever is there has its hint */
      for (uint32_t i = 0; i < PLACES; i++) {
        CHECK(atomic_load(&available[i]) == 0 || hak_hint_next(KIND, i, i + 1) == i, "round %zu: %d lost in place %u",
              round, atomic_load(&available[i]), i);
      }
      while (round % 2 == 0 && consume()) {
        atomic_fetch_add(&consumed, 1);
      }
      CHECK(round % 2 != 0 || atomic_load(&produced) == atomic_load(&consumed), "round %zu: %d produced, %d found",
            round, atomic_load(&produced), atomic_load(&consumed));
    }
  }
  return NULL;
}

static void test_protocol(void **state) {
  (void)state;
  rounds = test_work(6000);
  pthread_barrier_init(&barrier, NULL, THREADS);
  pthread_t threads[THREADS];
  for (uintptr_t i = 0; i < THREADS; i++) {
    threads[i] = thread_start(protocol_thread, (void *)i);
  }
  for (size_t i = 0; i < THREADS; i++) {
    thread_join(threads[i]);
  }
}

/* Setting and clearing beside others in the same word loses nobody's bit. */
static void *neighbour(void *argument) {
  uint32_t mine = (uint32_t)(uintptr_t)argument;
  pthread_barrier_wait(&barrier); /* so that they run beside each other */
  for (size_t i = 0; i < rounds; i++) {
    hak_hint_set(KIND + 1, mine);
    CHECK(hak_hint_next(KIND + 1, mine, mine + 1) == mine, "segment %u lost its hint", mine);
    hak_hint_clear(KIND + 1, mine);
    CHECK(hak_hint_next(KIND + 1, mine, mine + 1) == mine + 1 && hak_hint_next(KIND + 1, mine, mine) == mine,
          "segment %u kept its hint", mine);
  }
  return NULL;
}

static void test_neighbours(void **state) {
  (void)state;
  rounds = test_work(300000);
  pthread_barrier_init(&barrier, NULL, THREADS);
  pthread_t threads[THREADS];
  for (uintptr_t i = 0; i < THREADS; i++) {
    threads[i] = thread_start(neighbour, (void *)(i * 13));
  }
  for (size_t i = 0; i < THREADS; i++) {
    thread_join(threads[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_model),    cmocka_unit_test(test_edges),      cmocka_unit_test(test_runs),
      cmocka_unit_test(test_protocol), cmocka_unit_test(test_neighbours),
  };
  return cmocka_run_group_tests_name("hints", tests, NULL, NULL);
}
