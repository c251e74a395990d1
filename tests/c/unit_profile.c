/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * core/poisson, core/profile and the interface as the profile sees it: what is estimated, every way in and out, what there is
 * no room for, the file that it writes, forks and threads.
 */
#include "unit_profile.h"

static hak_profile_stack_t found;
static size_t found_depth;
static uintptr_t wanted;
static void find(const hak_profile_stack_t *stack, void *unused) {
  (void)unused;
  if ((uintptr_t)stack->addresses[0] == wanted) {
    found = *stack;
    found_depth = stack->depth;
  }
}

static hak_profile_stack_t stack_of(uintptr_t address) {
  found = (hak_profile_stack_t){0};
  wanted = address;
  (void)hak_profile_visit(find, NULL);
  return found;
}

/* ---- Arithmetic ---- */

static void near_(const char *what, double is, double shall, double part) {
  CHECK(is > shall * (1 - part) && is < shall * (1 + part), "%s: %.9g, not %.9g", what, is, shall);
}

static void arithmetic_is_right(void **unused) {
  (void)unused;
  near_("1/(1-1/e)", hak_poisson_weight(4096, 4096), 1.5819767068693265, 1e-13);
  near_("a small one", hak_poisson_weight(1, 1 << 19), 524288.5000001589, 1e-12);
  near_("a large one", hak_poisson_weight(1 << 20, 1 << 19), 1.1565176427496657, 1e-13);
  near_("a huge one", hak_poisson_weight(1 << 30, 1), 1, 1e-15);
  CHECK(hak_poisson_interval(UINT64_MAX, 1 << 19) == 0, "the shortest");
  near_("the longest", (double)hak_poisson_interval(0, 1 << 19), 36.7368005696771 * (1 << 19), 1e-6);
  uint64_t state = 1, above = 0;
  double sum = 0;
  const size_t draws = 200000;
  for (size_t i = 0; i < draws; i++) {
    uint64_t n = hak_poisson_interval(hak_poisson_random(&state), 1000);
    sum += (double)n + 0.5;
    above += n >= 1000;
  }
  near_("mean", sum / (double)draws, 1000, 0.01);
  near_("above the mean", (double)above / (double)draws, 0.36787944117144233, 0.01);
}

/* ---- Estimates ---- */

typedef struct mix {
  uintptr_t stack;
  size_t count, size;
} mix_t;

static void estimates_are_near(size_t unused) {
  (void)unused;
  static const mix_t mixes[] = {
      {0x1000, 60000, 16}, {0x2000, 6000, 1000}, {0x3000, 300, 100000}, {0x4000, 40, 3000000}, {0x5000, 60000, 0}};
  static void *blocks[COUNT_OF(mixes)][60000];
  begin(512);
  for (size_t round = 0; round < 60000; round++) {
    for (size_t m = 0; m < COUNT_OF(mixes); m++) {
      stack_now = mixes[m].stack;
      if (round < mixes[m].count) CHECK((blocks[m][round] = hak_malloc(mixes[m].size)) != NULL, "memory");
    }
    if (round == 300) (void)hak_profile_start(4096); /* another mean, on the way */
  }
  hak_profile_stats_t sum = stats();
  CHECK(sum.dropped == 0 && sum.stacks == COUNT_OF(mixes) && sum.mean_bytes == 4096, "%lu dropped", sum.dropped);
  uint64_t live = 0;
  for (size_t m = 0; m < COUNT_OF(mixes); m++) {
    hak_profile_stack_t s = stack_of(mixes[m].stack);
    double part = mixes[m].size == 0 ? 0.25 : mixes[m].size < 100 ? 0.12 : 0.05; /* 3 deviations: 1 / sqrt(samples) */
    near_("live blocks", (double)s.live_blocks, (double)mixes[m].count, part);
    if (mixes[m].size != 0) near_("bytes", (double)s.live_bytes, (double)(mixes[m].count * mixes[m].size), part);
    CHECK(s.total_bytes == s.live_bytes && s.total_blocks == s.live_blocks && s.total_samples == s.live_samples,
          "total");
    live += s.live_bytes;
  }
  CHECK(live == sum.live_bytes, "the sum");
  for (size_t m = 0; m < COUNT_OF(mixes); m++) {
    for (size_t i = 0; i < mixes[m].count; i++) hak_free(blocks[m][i]);
  }
  hak_profile_stats_t after = stats();
  CHECK(after.live_samples == 0 && after.live_blocks == 0 && after.live_bytes == 0, "%lu", after.live_samples);
  CHECK(after.total_bytes == sum.total_bytes && after.total_samples == sum.total_samples, "total");
  for (size_t i = 0; i < HAK_PROFILE_SAMPLES; i++) CHECK(hak_profile_xfilter[i] == 0, "filter at %zu", i);
  hak_profile_reset();
  CHECK(stats().total_samples == 0 && stats().stacks == 0, "reset");
}

/* ---- Every way in and out, each block sampled ---- */

static void *free_it(void *p) {
  hak_free(p);
  return NULL;
}

static void frees_are_noticed(size_t unused) {
  (void)unused;
  begin(1);
  for (size_t size = 16; size < 8 * MIB; size *= 3) {
    void *p = hak_malloc(size);
    LIVE(1);
    thread_join(thread_start(free_it, p));
    LIVE(0);
    p = hak_calloc(3, size);
    CHECK(stats().live_bytes == 3 * size && stats().live_blocks == 1, "%lu", stats().live_bytes);
    hak_free_sized(p, 3 * size);
    LIVE(0);
    p = hak_aligned_alloc(256, size);
    LIVE(1);
    hak_free_aligned_sized(p, 256, size);
    LIVE(0);
    CHECK(hak_posix_memalign(&p, 64, size) == 0, "memory");
    LIVE(1);
    hak_free(p);
    p = hak_realloc(hak_aligned_zalloc(64, size), size + 1); /* in place, most likely */
    CHECK(stats().live_bytes == size + 1, "%lu", stats().live_bytes);
    p = hak_realloc(p, 20 * size);
    CHECK(stats().live_bytes == 20 * size, "%lu", stats().live_bytes);
    p = hak_realloc_aligned_sized(p, 16, 20 * size, size);
    CHECK(stats().live_bytes == size, "%lu", stats().live_bytes);
    CHECK(hak_realloc(p, (size_t)PTRDIFF_MAX) == NULL, "too large"); /* and so the block stays */
    CHECK(stats().live_bytes == size, "%lu", stats().live_bytes);
    hak_free(p);
    LIVE(0);
    hak_heap_t *heap = hak_heap_new(NULL), *other = hak_heap_new(NULL);
    p = hak_heap_malloc(heap, size);
    LIVE(1);
    hak_heap_free(heap, p);
    LIVE(0);
    p = hak_heap_zalloc(heap, size);
    hak_heap_free_sized(heap, p, 16, size);
    LIVE(0);
    p = hak_heap_realloc(heap, hak_heap_aligned_alloc(heap, 32, size), 2 * size);
    CHECK(stats().live_bytes == 2 * size, "%lu", stats().live_bytes);
    p = hak_realloc(p, 3 * size);
    CHECK(stats().live_bytes == 3 * size, "%lu", stats().live_bytes);
    void *theirs = hak_heap_aligned_zalloc(other, 32, size);
    LIVE(2);
    hak_heap_reset(heap);
    LIVE(1);
    hak_free(theirs);
    for (size_t i = 0; i < 100; i++) CHECK(hak_heap_malloc(i % 2 == 0 ? heap : other, size) != NULL, "memory");
    LIVE(100);
    hak_heap_destroy(heap);
    LIVE(50);
    hak_heap_destroy(other);
    LIVE(0);
  }
  volatile size_t too_large = SIZE_MAX;
  CHECK(hak_malloc(too_large) == NULL && hak_malloc(too_large / 2 + 1) == NULL && hak_calloc(too_large, 2) == NULL,
        "too large");
  LIVE(0);
  unwind_allocates = true;  /* which is not sampled, or it would not end */
  void *p = hak_malloc(10); /* which the failures did not put out of step */
  LIVE(1);
  hak_free(p);
}

/* ---- Off ---- */

static void off_records_nothing(size_t unused) {
  (void)unused;
  hak_profile_unwind_with(unwind);
  for (size_t i = 0; i < 100000; i++) hak_free(hak_malloc(i));
  CHECK(stats().total_samples == 0 && stats().mean_bytes == 0, "before the start");
  begin(1);
  void *p = hak_malloc(100);
  hak_profile_stop();
  uint64_t total = stats().total_samples;
  CHECK(total == 1, "%lu", total);
  for (size_t i = 0; i < 100000; i++) hak_free(hak_malloc(i));
  CHECK(stats().total_samples == total, "stopped");
  LIVE(1);
  hak_free(p);
  LIVE(0);
  errno = 0;
  hak_options.profile_rate = 0;
  CHECK(hak_profile_start(0) == 0 && errno == EINVAL, "errno %d", errno);
}

static void options_start_it(size_t mode) {
  char folder[] = "/tmp/unit_profile_XXXXXX", value[2] = {(char)('0' + mode), 0};
  CHECK(mkdtemp(folder) != NULL && chdir(folder) == 0, "errno %d", errno);
  setenv("HAKMEM_PROFILE", value, 1);
  setenv("HAKMEM_PROFILE_RATE", "1", 1);
  void *p = hak_malloc(77);
  CHECK(stats().mean_bytes == (mode != 0), "%lu", stats().mean_bytes);
  hak_free(p);
  p = hak_malloc(77);
  profile_at_exit();
  char path[64];
  (void)snprintf(path, sizeof path, "hakmem.%u.heap", (unsigned)getpid());
  CHECK((access(path, R_OK) == 0) == (mode == 2), "%s", path);
  (void)unlink(path);
  CHECK(rmdir(folder) == 0, "errno %d", errno);
  hak_free(p);
}

/* ---- No room, no memory, no file ---- */

static void too_many_are_dropped(size_t unused) {
  (void)unused;
  enum { BLOCKS = 90000 };
  static void *blocks[BLOCKS];
  begin(1);
  for (size_t i = 0; i < BLOCKS; i++) blocks[i] = hak_malloc(32);
  hak_profile_stats_t s = stats();
  CHECK(s.dropped >= BLOCKS - HAK_PROFILE_SAMPLES && s.live_samples + s.dropped == BLOCKS, "%lu", s.dropped);
  CHECK(s.live_samples > HAK_PROFILE_SAMPLES / 2 && s.total_samples == s.live_samples, "%lu", s.live_samples);
  for (size_t i = 0; i < BLOCKS; i++) hak_free(blocks[i]);
  LIVE(0);
  hak_profile_reset();
  CHECK(stats().dropped == 0, "reset");
  stack_depth = 64;
  for (size_t i = 0; i < 20000; i++) {
    stack_now = i << 16;
    hak_free(hak_malloc(32));
  }
  s = stats();
  CHECK(s.dropped != 0 && s.stacks + s.dropped == 20000 && s.stacks > 10000, "%lu of %lu", s.dropped, s.stacks);
  stack_now = 5 << 16;
  void *p = hak_malloc(32); /* a known one has its room */
  CHECK(stats().dropped == s.dropped && stack_of(5 << 16).live_blocks == 1 && found_depth == 64, "a known stack");
  hak_free(p);
}

static int dump_file(char *text, size_t capacity) {
  FILE *file = tmpfile();
  CHECK(file != NULL, "errno %d", errno);
  int done = hak_profile_dump(fileno(file));
  rewind(file);
  text[fread(text, 1, capacity - 1, file)] = 0;
  fclose(file);
  return done;
}

static void failures_are_survived(size_t unused) {
  (void)unused;
  void *p = hak_malloc(10);
  hak_os_fail_calls(0, FAIL_ALWAYS);
  CHECK(hak_profile_start(1) == 0 && errno == ENOMEM, "errno %d", errno);
  hak_os_fail_calls(0, 0);
  CHECK(stats().mean_bytes == 0, "started");
  hak_free(p);
  begin(1);
  hak_profile_unwind_with(NULL);
  hak_os_fail_calls(0, FAIL_ALWAYS); /* of the mappings, in which the stack is looked for */
  p = hak_malloc(10);
  uint64_t live = stats().live_samples;
  hak_os_fail_calls(0, 0);
  CHECK(live == 1, "no sample without the stack's limits");
  static char text[65536];
  for (unsigned good = 0; good < 4; good++) { /* its head, a stack, the next head, the mappings */
    hak_os_fail_calls(good, FAIL_ALWAYS);
    int done = dump_file(text, sizeof text);
    hak_os_fail_calls(0, 0);
    CHECK(done == 0, "after %u", good);
  }
  CHECK(dump_file(text, sizeof text) == 1, "errno %d", errno);
  CHECK(hak_profile_dump(-1) == 0 && errno == EBADF, "errno %d", errno);
  hak_free(p);
}

static void dump_is_as_gperftools_has_it(size_t unused) {
  (void)unused;
  static char text[65536];
  begin(1);
  stack_depth = 3;
  stack_now = 0xabc0;
  void *p = hak_malloc(100), *q = hak_malloc(50);
  hak_free(q);
  CHECK(dump_file(text, sizeof text) == 1, "errno %d", errno);
  const char *head =
      "heap profile: 1: 100 [2: 150] @ heapprofile\n1: 100 [2: 150] @ 0xabc0 0xabc1 0xabc2\n\nMAPPED_LIBRARIES:\n";
  CHECK(strncmp(text, head, strlen(head)) == 0, "%s", text);
  CHECK(strstr(text, program_invocation_short_name) != NULL, "%s", text);
  hak_free(p);
}

/* ---- Fork, threads ---- */

static void child_frees(size_t address) {
  LIVE(2);
  hak_free((void *)address);
  LIVE(1);
  void *more = hak_malloc(10);
  LIVE(2);
  hak_free(more);
}

static void children_have_the_samples(size_t unused) {
  (void)unused;
  begin(1);
  void *p = hak_malloc(10), *q = hak_malloc(1000000);
  child_passes(child_frees, (size_t)(uintptr_t)q);
  LIVE(2);
  hak_free(q);
  hak_free(p);
  LIVE(0);
}

#define STRESS_THREADS 4
#define STRESS_BOX 64
static void *_Atomic stress_box[STRESS_BOX];
static _Atomic bool stress_ends;

static void *stress(void *number) {
  uint64_t state = (uintptr_t)number;
  hak_heap_t *heap = hak_heap_new(NULL);
  stack_now = 0x1000 * (uintptr_t)number;
  for (size_t i = 0; i < test_work(60000); i++) {
    uint64_t r = hak_poisson_random(&state);
    void *p = hak_malloc(r % 3000);
    if (r >> 60 == 0) p = hak_realloc(p, r % 7000);
    if (r >> 60 == 1) CHECK(hak_heap_malloc(heap, r % 5000) != NULL, "memory");
    if (r >> 52 == 7) hak_heap_reset(heap);
    hak_free(atomic_exchange(&stress_box[r >> 32 & (STRESS_BOX - 1)], p));
  }
  hak_heap_destroy(heap);
  return NULL;
}

static void *stress_control(void *unused) {
  (void)unused;
  while (!atomic_load(&stress_ends)) {
    hak_profile_stop();
    (void)hak_profile_start(2000);
    (void)stack_of(0x1000);
    hak_profile_reset();
    (void)stats();
  }
  return NULL;
}

static void threads_agree(size_t with_control) {
  pthread_t threads[STRESS_THREADS], control = 0;
  begin(1000);
  if (with_control != 0) control = thread_start(stress_control, NULL);
  for (uintptr_t i = 0; i < STRESS_THREADS; i++) threads[i] = thread_start(stress, (void *)(i + 1));
  for (size_t i = 0; i < STRESS_THREADS; i++) thread_join(threads[i]);
  atomic_store(&stress_ends, true);
  if (with_control != 0) thread_join(control);
  for (size_t i = 0; i < STRESS_BOX; i++) hak_free(stress_box[i]);
  hak_profile_stats_t s = stats();
  CHECK(s.live_samples == 0 && s.live_bytes == 0 && s.live_blocks == 0, "%lu", s.live_samples);
  if (with_control == 0)
    CHECK(s.total_samples > test_work(60000) && s.stacks == STRESS_THREADS, "%lu", s.total_samples);
}

IN_CHILD(estimates_are_near, 0)
IN_CHILD(frees_are_noticed, 0)
IN_CHILD(off_records_nothing, 0)
IN_CHILD(options_start_it, 0)
IN_CHILD(options_start_it, 1)
IN_CHILD(options_start_it, 2)
IN_CHILD(too_many_are_dropped, 0)
IN_CHILD(failures_are_survived, 0)
IN_CHILD(dump_is_as_gperftools_has_it, 0)
IN_CHILD(children_have_the_samples, 0)
IN_CHILD(threads_agree, 0)
IN_CHILD(threads_agree, 1)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(arithmetic_is_right),
      cmocka_unit_test(estimates_are_near_0),
      cmocka_unit_test(frees_are_noticed_0),
      cmocka_unit_test(off_records_nothing_0),
      cmocka_unit_test(options_start_it_0),
      cmocka_unit_test(options_start_it_1),
      cmocka_unit_test(options_start_it_2),
      cmocka_unit_test(too_many_are_dropped_0),
      cmocka_unit_test(failures_are_survived_0),
      cmocka_unit_test(dump_is_as_gperftools_has_it_0),
      cmocka_unit_test(children_have_the_samples_0),
      cmocka_unit_test(threads_agree_0),
      cmocka_unit_test(threads_agree_1),
  };
  forget_options();
  return cmocka_run_group_tests_name("profile", tests, NULL, NULL);
}
