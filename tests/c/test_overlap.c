/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * No two live blocks overlap, and none loses its content: a random sequence of every call that allocates or frees,
 * against a model that keeps the live blocks sorted by address. A failure prints the seed that repeats it.
 */
#include "testing.h"

#define CAPACITY 3000

typedef struct entry {
  char *start;
  size_t usable;    /* what the allocator says may be written, and what the pattern covers */
  size_t size;      /* as requested */
  size_t alignment; /* 0: not by an aligned function */
  uint64_t seed;    /* of the pattern */
} entry_t;

typedef struct model {
  entry_t entries[CAPACITY]; /* ascending by start, ranges disjoint */
  size_t count;
  rng_t rng;
  uint64_t seed;
  size_t step;
} model_t;

static model_t model;

static const char *where(void) {
  static char text[96];
  snprintf(text, sizeof text, "HAK_TEST_SEED=%llu step %zu", (unsigned long long)model.seed, model.step);
  return text;
}

/* The first index whose start is not below `start`. */
static size_t model_position(const char *start) {
  size_t low = 0;
  size_t high = model.count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (model.entries[middle].start < start) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static void model_insert(char *start, size_t size, size_t alignment) {
  CHECK(start != NULL, "%s: no block of %zu bytes", where(), size);
  size_t usable = hak_usable_size(start);
  CHECK(usable >= size, "%s: %zu bytes have %zu usable", where(), size, usable);
  CHECK((uintptr_t)start % (alignment > 16 ? alignment : 16) == 0, "%s: %p for alignment %zu", where(), (void *)start,
        alignment);
  size_t at = model_position(start);
  if (at > 0) {
    const entry_t *left = &model.entries[at - 1];
    CHECK(left->start + left->usable <= start, "%s: %p+%zu overlaps %p+%zu", where(), (void *)left->start, left->usable,
          (void *)start, usable);
  }
  if (at < model.count) {
    const entry_t *right = &model.entries[at];
    CHECK(start + usable <= right->start, "%s: %p+%zu overlaps %p+%zu", where(), (void *)start, usable,
          (void *)right->start, right->usable);
  }
  memmove(&model.entries[at + 1], &model.entries[at], (model.count - at) * sizeof(entry_t));
  model.count++;
  entry_t entry = {start, usable, size, alignment, rng_next(&model.rng)};
  pattern_fill(start, usable, entry.seed);
  model.entries[at] = entry;
}

static entry_t model_take(size_t at) {
  entry_t entry = model.entries[at];
  size_t good = pattern_check(entry.start, entry.usable, entry.seed);
  CHECK(good == entry.usable, "%s: block %p of %zu bytes was overwritten at offset %zu", where(), (void *)entry.start,
        entry.size, good);
  model.count--;
  memmove(&model.entries[at], &model.entries[at + 1], (model.count - at) * sizeof(entry_t));
  return entry;
}

static void release(entry_t entry) {
  size_t way = rng_below(&model.rng, 2);
  if (way == 0) {
    hak_free(entry.start);
  } else if (entry.alignment == 0) {
    hak_free_sized(entry.start, entry.size);
  } else {
    hak_free_aligned_sized(entry.start, entry.alignment, entry.size);
  }
}

static void resize(entry_t entry) {
  size_t size = random_size(&model.rng);
  char *moved;
  if (entry.alignment != 0 && rng_below(&model.rng, 2) == 0) {
    moved = hak_realloc_aligned_sized(entry.start, entry.alignment, entry.size, size);
  } else {
    moved = hak_realloc(entry.start, size);
    entry.alignment = 0;
  }
  CHECK(moved != NULL, "%s: realloc from %zu to %zu", where(), entry.size, size);
  size_t kept = entry.size < size ? entry.size : size;
  kept -= kept % sizeof(uint64_t); /* the pattern's last partial word belongs to the old length */
  size_t good = pattern_check(moved, kept, entry.seed);
  CHECK(good == kept, "%s: realloc from %zu to %zu lost byte %zu", where(), entry.size, size, good);
  model_insert(moved, size, entry.alignment);
}

static void allocate(void) {
  size_t size = random_size(&model.rng);
  size_t way = rng_below(&model.rng, 8);
  char *block;
  size_t alignment = 0;
  if (way == 0) {
    size_t width = rng_between(&model.rng, 1, 32);
    block = hak_calloc(size / width + 1, width);
    size = (size / width + 1) * width;
    CHECK(block != NULL && first_nonzero(block, size) == size, "%s: calloc of %zu bytes is not zero", where(), size);
  } else if (way == 1) {
    alignment = (size_t)1 << rng_below(&model.rng, 17);
    block = hak_aligned_alloc(alignment, size);
  } else if (way == 2) {
    alignment = (size_t)1 << rng_below(&model.rng, 13);
    block = hak_aligned_zalloc(alignment, size);
    CHECK(block != NULL && first_nonzero(block, size) == size, "%s: aligned_zalloc of %zu is not zero", where(), size);
  } else if (way == 3) {
    block = hak_realloc(NULL, size);
  } else {
    block = hak_malloc(size);
  }
  model_insert(block, size, alignment);
}

static void run(uint64_t seed, size_t steps, size_t target) {
  memset(&model, 0, sizeof model);
  model.seed = seed;
  model.rng.state = seed;
  for (model.step = 0; model.step < steps; model.step++) {
    size_t dice = rng_below(&model.rng, 100);
    /* The live count swings between near 0 and the target, so that spans empty and fill. */
    size_t wanted = (model.step / 4000) % 2 == 0 ? target : target / 20;
    if (model.count == 0 || (model.count < wanted && dice < 60)) {
      allocate();
    } else if (dice < 75 || model.count > wanted) {
      release(model_take(rng_below(&model.rng, model.count)));
    } else if (dice < 95) {
      resize(model_take(rng_below(&model.rng, model.count)));
    } else if (model.count < CAPACITY - 1) {
      allocate();
    }
    if (model.step % 10007 == 0) {
      hak_collect((int)(model.step % 2));
    }
  }
  while (model.count > 0) {
    release(model_take(model.count - 1));
  }
}

static void few_live_blocks(void **state) {
  (void)state;
  run(test_seed(), test_work(60000), 60);
}

static void many_live_blocks(void **state) {
  (void)state;
  run(test_seed() + 1, test_work(80000), CAPACITY - 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(few_live_blocks),
      cmocka_unit_test(many_live_blocks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
