/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * core/registry and core/guard: ids, parking and adopting; who may act for a heap when; waiting and waking; and threads
 * that fight over all of it.
 */
#include "unit.h"

/* ---- Registry ---------------------------------------------------------------------------------------------------- */

static void ids(size_t unused) {
  (void)unused;
  enum { HEAPS = 3 * HAK_THEAPS_PER_CHUNK };
  static hak_theap_t *heaps[HEAPS + 1];
  CHECK(hak_registry_count_mt() == 0 && hak_registry_adopt_mt() == NULL, "before");
  for (uint32_t id = 1; id <= HEAPS; id++) {
    if (id == HAK_THEAPS_PER_CHUNK) { /* the next chunk: only the first needs no memory of the system */
      hak_os_fail_calls(0, 1);
      CHECK(hak_registry_create_mt() == NULL && hak_registry_count_mt() == id - 1, "without memory");
    }
    hak_theap_t *heap = heaps[id] = hak_registry_create_mt();
    CHECK(heap != NULL && heap->id == id && hak_registry_count_mt() == id, "heap %u", id);
    CHECK(heap->xstate == HAK_THEAP_ACTIVE && heap->tls == NULL && heap->xinbox == 0 && heap->xclaim == 0, "heap %u",
          id);
    CHECK((uintptr_t)heap % HAK_CACHE_LINE == 0, "heap %u is not aligned", id);
  }
  for (uint32_t id = 1; id <= HEAPS; id++) {
    CHECK(hak_registry_heap(id) == heaps[id] && heaps[id]->id == id, "heap %u", id);
  }
  /* Parked and adopted: the last first, in any pattern. */
  uint32_t stack[HEAPS], height = 0;
  bool is_parked[HEAPS + 1] = {false};
  rng_t rng = {test_seed()};
  uint32_t generation = 0; /* counted up by every push and pop: a top that came back is not the same */
  for (size_t step = 0; step < 5000; step++) {
    uint32_t id = (uint32_t)rng_between(&rng, 1, HEAPS);
    CHECK(hak_load_relaxed(&registry_xparked) >> 32 == generation, "generation %u", generation);
    generation += (!is_parked[id] || height != 0);
    if (!is_parked[id] && (height == 0 || rng_below(&rng, 2) == 0)) {
      hak_registry_park_mt(heaps[id]);
      stack[height++] = id;
      is_parked[id] = true;
      CHECK(heaps[id]->xstate == HAK_THEAP_PARKED, "heap %u", id);
    } else {
      hak_theap_t *heap = hak_registry_adopt_mt();
      CHECK(heap != NULL && heap->id == stack[--height] && heap->xstate == HAK_THEAP_ACTIVE, "not heap %u",
            stack[height]);
      is_parked[heap->id] = false;
    }
  }
  while (height != 0) {
    CHECK(hak_registry_adopt_mt() == heaps[stack[--height]], "not heap %u", stack[height]);
  }
  CHECK(hak_registry_adopt_mt() == NULL && hak_registry_adopt_mt() == NULL, "the end");
}

static _Atomic uint32_t holder[64];

static pthread_barrier_t together;

static void *parker(void *argument) {
  uint32_t who = 1 + (uint32_t)(uintptr_t)argument;
  rng_t rng = {test_seed() + who};
  hak_theap_t *mine[4];
  size_t count = 0, steps = test_work(1500000);
  pthread_barrier_wait(&together);
  for (size_t step = 0; step < steps || count != 0; step++) {
    if (step < steps && count < COUNT_OF(mine) && rng_below(&rng, 2) == 0) {
      hak_theap_t *heap = hak_registry_adopt_mt();
      heap = heap == NULL ? hak_registry_create_mt() : heap;
      CHECK(heap != NULL && heap->id < COUNT_OF(holder) && heap->xstate == HAK_THEAP_ACTIVE, "a heap");
      uint32_t other = atomic_exchange(&holder[heap->id], who);
      CHECK(other == 0, "heap %u belongs to %u and %u", heap->id, other, who);
      heap->slow_calls++; /* not atomic: owned */
      mine[count++] = heap;
    } else if (count != 0) {
      hak_theap_t *heap = mine[--count];
      atomic_store(&holder[heap->id], 0);
      hak_registry_park_mt(heap);
    }
  }
  return NULL;
}

static void parkers(size_t unused) {
  (void)unused;
  pthread_barrier_init(&together, NULL, 4);
  pthread_t threads[4];
  for (uintptr_t i = 0; i < COUNT_OF(threads); i++) {
    threads[i] = thread_start(parker, (void *)i);
  }
  for (size_t i = 0; i < COUNT_OF(threads); i++) {
    thread_join(threads[i]);
  }
  uint32_t count = hak_registry_count_mt(), seen = 0;
  CHECK(count <= 16, "%u heaps for 16 at a time", count);
  while (hak_registry_adopt_mt() != NULL) {
    seen++;
  }
  CHECK(seen == count, "%u of %u heaps are left", seen, count);
}

static void test_registry(void **state) {
  (void)state;
  child_passes(ids, 0);
  child_passes(parkers, 0);
}

/* ---- Guard ------------------------------------------------------------------------------------------------------- */

static void claims(size_t unused) {
  (void)unused;
  hak_theap_t *heap = hak_registry_create_mt(), *other = hak_registry_create_mt();
  bool barrier_works = hak_os_barrier_all_threads();
  CHECK(hak_guard_claim_mt(heap) == barrier_works, "an idle heap");
  if (barrier_works) {
    CHECK(!hak_guard_claim_mt(heap), "a second claim");
    CHECK(hak_guard_claim_mt(other), "another heap");
    hak_guard_release_mt(other);
    hak_guard_release_mt(heap);
    CHECK(hak_guard_claim_mt(heap), "after the release");
    hak_guard_release_mt(heap);
  }
  hak_guard_enter(heap);
  CHECK(!hak_guard_claim_mt(heap) && hak_load_relaxed(&heap->xclaim) == 0, "a busy heap");
  CHECK(!hak_guard_claim_mt(heap) && hak_load_relaxed(&heap->xclaim) == 0, "a busy heap, again");
  hak_guard_leave(heap);
  CHECK(hak_guard_claim_mt(heap) == barrier_works, "an idle heap again");
  hak_guard_release_mt(heap);
  hak_registry_park_mt(heap);
  CHECK(hak_guard_claim_mt(heap), "a parked heap needs no barrier");
  CHECK(!hak_guard_claim_mt(heap), "a second claim of a parked heap");
  CHECK(hak_registry_adopt_mt() == heap && !hak_guard_claim_mt(heap), "adopted while it is claimed");
  hak_guard_release_mt(heap);
  hak_guard_enter(heap); /* does not wait any more */
  hak_guard_leave(heap);
  CHECK(hak_load_relaxed(&heap->xclaim) == 0 && !hak_load_relaxed(&heap->xbusy), "at rest");
}

static hak_theap_t *shared;
static _Atomic int stage;
static int plain; /* written by whoever has the heap */

static void *enters(void *unused) {
  (void)unused;
  atomic_store(&stage, 1);
  hak_guard_enter(shared); /* it is claimed: waits */
  CHECK(atomic_load(&stage) == 2 && plain == 77, "entered in stage %d", atomic_load(&stage));
  plain++;
  hak_guard_leave(shared);
  return NULL;
}

static void waits(size_t unused) {
  (void)unused;
  shared = hak_registry_create_mt();
  for (int round = 0; round < 20; round++) {
    atomic_store(&stage, 0);
    uint32_t unclaimed = 0;
    CHECK(hak_cas_seq(&shared->xclaim, &unclaimed, 1), "claim"); /* its owner does not run yet */
    pthread_t thread = thread_start(enters, NULL);
    while (atomic_load(&stage) == 0 || (round % 2 == 0 && hak_load_relaxed(&shared->xclaim) == 1)) {
      sched_yield(); /* in every second round until it sleeps */
    }
    for (int i = 0; i < round; i++) {
      sched_yield();
    }
    plain = 77;
    atomic_store(&stage, 2);
    hak_guard_release_mt(shared);
    thread_join(thread);
    CHECK(plain == 78 && hak_load_relaxed(&shared->xclaim) == 0, "round %d", round);
  }
}

static _Atomic int inside;
static _Atomic uint64_t claimed;
static uint64_t counted; /* not atomic: this is what the guard protects */
static _Atomic bool over;

static void critical(void) {
  int others = atomic_fetch_add_explicit(&inside, 1, memory_order_relaxed);
  CHECK(others == 0, "%d others are inside", others);
  counted++;
  (void)atomic_fetch_sub_explicit(&inside, 1, memory_order_relaxed);
}

static void *claimer(void *unused) {
  (void)unused;
  while (!atomic_load(&over)) {
    if (hak_guard_claim_mt(shared)) {
      critical();
      hak_guard_release_mt(shared);
      atomic_fetch_add(&claimed, 1);
    } else {
      sched_yield();
    }
  }
  return NULL;
}

static void fights(size_t rounds) {
  shared = hak_registry_create_mt();
  pthread_t threads[3];
  for (size_t i = 0; i < COUNT_OF(threads); i++) {
    threads[i] = thread_start(claimer, NULL);
  }
  uint64_t entered = 0;
  for (size_t i = 0; i < rounds; i++) {
    hak_guard_enter(shared);
    critical();
    hak_guard_leave(shared);
    entered++;
    if (i % 1000 == 999) { /* ends, and another thread goes on with the heap */
      hak_registry_park_mt(shared);
      sched_yield();
      CHECK(hak_registry_adopt_mt() == shared, "adopted another heap");
    }
    if (i % 50 == 0) {
      sched_yield();
    }
  }
  atomic_store(&over, true);
  for (size_t i = 0; i < COUNT_OF(threads); i++) {
    thread_join(threads[i]);
  }
  CHECK(counted == entered + atomic_load(&claimed), "%llu counted, %llu entered, %llu claimed",
        (unsigned long long)counted, (unsigned long long)entered, (unsigned long long)atomic_load(&claimed));
}

/* For fork: nobody else claims, nobody is inside, and all of it ends. */
static void claims_others(size_t unused) {
  (void)unused;
  hak_theap_t *mine = hak_registry_create_mt(), *other = hak_registry_create_mt(), *parked = hak_registry_create_mt();
  hak_registry_park_mt(parked);
  if (!hak_guard_claim_others_mt(mine)) {
    hak_guard_release_others_mt(mine);
    return; /* no barrier */
  }
  CHECK(!hak_guard_claim_mt(other) && !hak_guard_claim_mt(parked) && !hak_guard_claim_mt(mine),
        "claimed while forking");
  CHECK(hak_load_relaxed(&mine->xclaim) == 0 && hak_load_relaxed(&other->xclaim) != 0, "claims");
  hak_guard_enter(mine); /* the forking thread's own slow paths go on */
  hak_guard_leave(mine);
  hak_guard_release_others_mt(mine);
  CHECK(hak_guard_claim_mt(other) && hak_guard_claim_mt(parked) && hak_guard_claim_mt(mine), "after the fork");
}

static void test_guard(void **state) {
  (void)state;
  child_passes(claims, 0);
  child_passes(waits, 0);
  child_passes(fights, test_work(20000));
  child_passes(claims_others, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_registry),
      cmocka_unit_test(test_guard),
  };
  return cmocka_run_group_tests_name("registry_guard", tests, NULL, NULL);
}
