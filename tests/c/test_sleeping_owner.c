/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A thread that sleeps must not strand without bound what others free to it: docs/concurrency.md, "What a sleeping owner
 * strands". An owner allocates and then waits on a condition while other threads free all of it. What stays is measured
 * with those threads still alive, and must come back when one of them collects, when the owner wakes and allocates, or
 * when it ends.
 *
 * The bound is on blocks, but a block that stays keeps its slab. So each thread frees a part of the blocks in the order of
 * their allocation, where those that stay are neighbours; or all of them are shuffled, where each may keep a slab.
 */
#include <pthread.h>

#include "testing.h"

#define SLAB (64 * KIB)

/* The bound, written a second time on purpose: each post has at most 32 blocks and 14 more that the last one carries, and at
 * most 64 KiB here, where all blocks have one size that divides it. A freeing thread's ring is as large; in its bin it keeps
 * as much as of its own blocks. */
#define POST_BYTES (64 * KIB)
#define POST_BLOCKS (32 + 14)
#define BIN_BYTES (128 * KIB)
#define BIN_BLOCKS 256
/* One less than twice HAK_HELP_POSTS in the inbox, and as many that the owner took and did not get to. */
#define OWNER_POSTS (2 * 31)

/* Besides: the owner's spare slab, the one it was carving, and those held in part. */
#define SLACK (6 * SLAB)

enum { COLLECTS, WAKES, EXITS };
static const char *const ending_names[] = {"a freeing thread collects", "the owner wakes", "the owner ends"};

typedef struct scene {
  size_t block_bytes, bytes; /* of a block, of all */
  size_t freers;
  int ending;
  bool shuffled;

  void **blocks;
  size_t count;
  size_t again; /* bytes that the owner allocates when it wakes */

  pthread_mutex_t mutex;
  pthread_cond_t changed;
  int step;    /* of the main thread's script: what the others wait for */
  size_t done; /* threads that have done their part of the step */
} scene_t;

static void step_done(scene_t *scene) {
  pthread_mutex_lock(&scene->mutex);
  scene->done++;
  pthread_cond_broadcast(&scene->changed);
  pthread_mutex_unlock(&scene->mutex);
}

static void step_await(scene_t *scene, int step) {
  pthread_mutex_lock(&scene->mutex);
  while (scene->step < step) pthread_cond_wait(&scene->changed, &scene->mutex);
  pthread_mutex_unlock(&scene->mutex);
}

/* Begins a step and waits until so many threads have done their part. */
static void step_run(scene_t *scene, int step, size_t threads) {
  pthread_mutex_lock(&scene->mutex);
  scene->step = step;
  scene->done = 0;
  pthread_cond_broadcast(&scene->changed);
  while (scene->done < threads) pthread_cond_wait(&scene->changed, &scene->mutex);
  pthread_mutex_unlock(&scene->mutex);
}

enum { ALLOCATE = 1, FREE, END, LEAVE };

static void *owner_run(void *argument) {
  scene_t *scene = argument;
  step_await(scene, ALLOCATE);
  for (size_t i = 0; i < scene->count; i++) {
    scene->blocks[i] = hak_malloc(scene->block_bytes);
    CHECK(scene->blocks[i] != NULL, "block %zu", i);
    touch_pages(scene->blocks[i], scene->block_bytes);
  }
  step_done(scene);
  step_await(scene, END); /* asleep */
  if (scene->ending == WAKES) {
    for (size_t i = 0; i < scene->again / scene->block_bytes; i++) {
      scene->blocks[i] = hak_malloc(scene->block_bytes);
      CHECK(scene->blocks[i] != NULL, "block %zu after waking", i);
    }
    step_done(scene);
    step_await(scene, LEAVE);
    for (size_t i = 0; i < scene->again / scene->block_bytes; i++) hak_free(scene->blocks[i]);
  } else if (scene->ending == COLLECTS) {
    step_await(scene, LEAVE);
  }
  return NULL;
}

typedef struct freer {
  scene_t *scene;
  size_t index;
} freer_t;

static void *freer_run(void *argument) {
  freer_t *self = argument;
  scene_t *scene = self->scene;
  step_await(scene, FREE);
  size_t share = scene->count / scene->freers;
  for (size_t i = self->index * share; i < (self->index + 1) * share; i++) hak_free(scene->blocks[i]);
  step_done(scene);
  step_await(scene, END);
  if (scene->ending == COLLECTS && self->index == 0) {
    hak_collect(1);
    step_done(scene);
  }
  step_await(scene, LEAVE);
  return NULL;
}

static void scene_shuffle(scene_t *scene) {
  rng_t rng = {test_seed()};
  for (size_t i = scene->count; i > 1; i--) {
    size_t other = rng_below(&rng, i);
    void *block = scene->blocks[other];
    scene->blocks[other] = scene->blocks[i - 1];
    scene->blocks[i - 1] = block;
  }
}

typedef struct figures {
  size_t resident, active;
  uint64_t posts, taken;
} figures_t;

static figures_t figures_now(void) {
  hak_stats_t stats = stats_now();
  return (figures_t){resident_bytes(), stats.active_bytes, stats.remote_posts, stats.remote_blocks};
}

static size_t fewer(size_t one, size_t other) { return one < other ? one : other; }

/* The most blocks that so many posts have, and the rings and bins of so many threads. */
static size_t blocks_of(const scene_t *scene, size_t posts, size_t threads) {
  return (posts + threads) * fewer(POST_BYTES / scene->block_bytes, POST_BLOCKS) +
         threads * fewer(BIN_BYTES / scene->block_bytes, BIN_BLOCKS);
}

/* And the memory that they keep. */
static size_t bound_of(const scene_t *scene, size_t posts, size_t threads) {
  size_t blocks = blocks_of(scene, posts, threads);
  if (scene->shuffled) return SLACK + blocks * SLAB;
  /* What a thread frees first stays in its bin, what it frees last in its ring: two rows of neighbours. */
  return SLACK + blocks * scene->block_bytes + scene->freers * 2 * SLAB;
}

static void scene_check(const scene_t *scene, const char *when, size_t grown, size_t bound) {
  CHECK(grown <= bound, "%zu MiB in blocks of %zu bytes, %zu threads%s; %s: %zu KiB stay, more than %zu",
        scene->bytes / MIB, scene->block_bytes, scene->freers, scene->shuffled ? ", shuffled" : "", when, grown / KIB,
        bound / KIB);
}

static void scene_play(scene_t *scene) {
  scene->count = scene->bytes / scene->block_bytes;
  scene->blocks = calloc(scene->count, sizeof(void *));
  memset(scene->blocks, 0xff, scene->count * sizeof(void *)); /* resident before anything is measured */
  pthread_mutex_init(&scene->mutex, NULL);
  pthread_cond_init(&scene->changed, NULL);
  pthread_t owner, freer[8];
  freer_t self[8];
  CHECK(pthread_create(&owner, NULL, owner_run, scene) == 0, "thread");
  for (size_t i = 0; i < scene->freers; i++) {
    self[i] = (freer_t){scene, i};
    CHECK(pthread_create(&freer[i], NULL, freer_run, &self[i]) == 0, "thread %zu", i);
  }

  hak_collect(1);
  figures_t start = figures_now();
  step_run(scene, ALLOCATE, 1);
  figures_t full = figures_now();
  if (scene->shuffled) scene_shuffle(scene);
  step_run(scene, FREE, scene->freers);
  figures_t asleep = figures_now();
  size_t stranded = growth(start.active, asleep.active), theirs = bound_of(scene, 0, scene->freers);
  scene->again = growth(theirs, stranded) / 2;
  step_run(scene, END, scene->ending == EXITS ? 0 : 1);
  if (scene->ending == EXITS) pthread_join(owner, NULL);
  figures_t after = figures_now();
  step_run(scene, LEAVE, 0);
  if (scene->ending != EXITS) pthread_join(owner, NULL);
  for (size_t i = 0; i < scene->freers; i++) pthread_join(freer[i], NULL);
  hak_collect(1);
  figures_t end = figures_now();
  free(scene->blocks);
  pthread_cond_destroy(&scene->changed);
  pthread_mutex_destroy(&scene->mutex);

  /* Checked only now: a failure leaves this function, and no thread may be left that uses the scene. */
  size_t posts = (size_t)(asleep.posts - start.posts), taken = (size_t)(asleep.taken - start.taken);
  size_t back = growth(start.active, after.active), back_resident = growth(start.resident, after.resident);
  print_message("%4zu MiB, %4zu B, %zu threads%s: %zu KiB stay (%zu resident), when %s %zu (%zu); %zu posts\n",
                scene->bytes / MIB, scene->block_bytes, scene->freers, scene->shuffled ? ", shuffled" : "",
                stranded / KIB, growth(start.resident, asleep.resident) / KIB, ending_names[scene->ending], back / KIB,
                back_resident / KIB, posts);
  CHECK(growth(start.active, full.active) >= scene->bytes, "%zu bytes were allocated", scene->bytes);
  CHECK(taken + blocks_of(scene, OWNER_POSTS, scene->freers) >= scene->count, "%zu of %zu blocks taken in", taken,
        scene->count);
  scene_check(scene, "the owner sleeps", stranded, bound_of(scene, OWNER_POSTS, scene->freers));
  switch (scene->ending) {
  case COLLECTS: /* what the others hold stays */
    scene_check(scene, "one collected", back, theirs);
    if (!TEST_ASAN && !TEST_TSAN) {
      /* Segments keep their metadata: 16 KiB of 4 MiB at most. */
      scene_check(scene, "one collected: resident", back_resident, theirs + MIB + scene->bytes / 256);
    }
    break;
  case WAKES: /* it was given what was stranded, not new memory */
    scene_check(scene, "the owner allocates again", growth(asleep.active, after.active), SLACK);
    break;
  default:
    scene_check(scene, "the owner ended", back, theirs);
    break;
  }
  scene_check(scene, "all ended", growth(start.active, end.active), SLACK);
}

/* Without it, nobody can act for an owner that has not ended: docs/concurrency.md, "The guard". */
static bool have_membarrier(void) {
  /* Of linux/membarrier.h, which musl does not come with. */
  enum { QUERY = 0, PRIVATE_EXPEDITED = 1 << 3 };
  long commands = syscall(SYS_membarrier, QUERY, 0, 0);
  return commands > 0 && (commands & PRIVATE_EXPEDITED) != 0;
}

static void play_all(int ending, size_t most, bool shuffled) {
  if (!have_membarrier()) skip();
  static const size_t block_bytes[] = {64, 8 * KIB}, freers[] = {2, 8};
  for (size_t b = 0; b < 2; b++) {
    for (size_t f = 0; f < 2; f++) {
      scene_t scene = {.block_bytes = block_bytes[b], .freers = freers[f], .ending = ending, .shuffled = shuffled};
      scene.bytes = test_is_short() && most > 64 * MIB ? 64 * MIB : most;
      scene_play(&scene);
    }
  }
}

static void a_freeing_thread_collects(void **state) {
  (void)state;
  play_all(COLLECTS, GIB, false);
}
static void the_owner_wakes(void **state) {
  (void)state;
  play_all(WAKES, GIB, false);
}
static void the_owner_ends(void **state) {
  (void)state;
  play_all(EXITS, GIB, false);
}
static void blocks_are_shuffled(void **state) {
  (void)state;
  play_all(COLLECTS, 256 * MIB, true);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_freeing_thread_collects),
      cmocka_unit_test(the_owner_wakes),
      cmocka_unit_test(the_owner_ends),
      cmocka_unit_test(blocks_are_shuffled),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
