#include "core/profile.h"

#include <string.h>

#include "base/check.h"
#include "core/poisson.h"
#include "os/process.h"

#define PROFILE_STACK_LISTS 4096u
#define PROFILE_HEAP_LISTS 256u
#define PROFILE_WORDS (HAK_PROFILE_STACK_BYTES / sizeof(uint64_t))

/* A call stack; numbers of others count words in the memory of all. */
typedef struct profile_stack {
  hak_profile_sums_t sums;
  uint32_t hash, next; /* of its list; 0 ends it */
  uint32_t depth, unused;
  const void *addresses[];
} profile_stack_t;

/* One mapping. Fields with x are read without the lock. */
typedef struct profile_tables {
  _Atomic(const void *) xkey[HAK_PROFILE_SAMPLES]; /* NULL: a free place */
  hak_profile_sample_t sample[HAK_PROFILE_SAMPLES];
  uint32_t list[PROFILE_STACK_LISTS];
  uint64_t words[PROFILE_WORDS]; /* stacks; the first word is not used */
} profile_tables_t;

_Thread_local hak_profile_tls_t hak_profile_tls HAK_TLS_MODEL_HERE;
_Atomic uint8_t hak_profile_xfilter[HAK_PROFILE_SAMPLES];
_Atomic uint64_t hak_profile_xmean;
hak_lock_t hak_profile_lock;

static profile_tables_t *profile;                   /* under the lock; never unmapped */
static _Atomic(profile_tables_t *) profile_xtables; /* the same, for who looks without it */
static _Atomic uint32_t profile_xheap[PROFILE_HEAP_LISTS];
static uint32_t profile_used, profile_stacks, profile_generation; /* words, stacks; clears so far */
static hak_profile_sums_t profile_sums;
static uint64_t profile_dropped;
static _Atomic uint64_t profile_xseed, profile_xthreads;

void hak_profile_seed(uint64_t seed) {
  hak_store_relaxed(&profile_xseed, seed);
  hak_store_relaxed(&profile_xthreads, 0);
}

/* ---- The countdown ---- */

static void profile_seed_thread(hak_profile_tls_t *tls) {
  uint64_t seed = hak_load_relaxed(&profile_xseed);
  if (seed == 0) {
    seed = hak_os_random() | 1;
    hak_store_relaxed(&profile_xseed, seed); /* of two threads that come first, either's will do */
  }
  tls->random = seed + (hak_add_relaxed(&profile_xthreads, 1) << 32);
  (void)hak_poisson_random(&tls->random);
  tls->seeded = true;
}

static uint64_t profile_draw(hak_profile_tls_t *tls) {
  if (!tls->seeded) profile_seed_thread(tls);
  return hak_poisson_interval(hak_poisson_random(&tls->random), tls->mean);
}

bool hak_profile_fires(size_t size, uint64_t *mean) {
  hak_profile_tls_t *tls = &hak_profile_tls;
  uint64_t bytes = (uint64_t)size + 1, until = tls->left + bytes + tls->rest; /* as if it had not been counted */
  uint64_t now = *mean = hak_load_relaxed(&hak_profile_xmean);
  if (now == 0) {
    tls->mean = 0;
    tls->left = HAK_PROFILE_LEG_BYTES;
    tls->rest = 0;
    return false;
  }
  if (tls->mean != now) { /* the process has no memory: one that begins here is as good as another */
    tls->mean = now;
    until = profile_draw(tls);
  }
  bool due = bytes > until;
  until = due ? profile_draw(tls) : until - bytes; /* from the end of this block on */
  tls->left = until < HAK_PROFILE_LEG_BYTES ? until : HAK_PROFILE_LEG_BYTES;
  tls->rest = until - tls->left;
  return due && !tls->busy;
}

/* ---- Stacks; under the lock ---- */

static profile_stack_t *profile_stack(uint32_t at) { return (profile_stack_t *)(void *)&profile->words[at]; }

static uint32_t profile_stack_words(uint32_t depth) {
  return (uint32_t)((sizeof(profile_stack_t) + depth * sizeof(void *)) / sizeof(uint64_t));
}

static uint32_t profile_hash(const void **addresses, size_t depth) {
  uint64_t hash = depth;
  for (size_t i = 0; i < depth; i++)
    hash = (hash ^ (uintptr_t)addresses[i]) * UINT64_C(0x9e3779b97f4a7c15) ^ hash >> 29;
  return (uint32_t)(hash >> 32);
}

/* Where the stack is, or now is; 0 without room. */
static uint32_t profile_intern_locked(const void **addresses, size_t depth) {
  uint32_t hash = profile_hash(addresses, depth), *list = &profile->list[hash % PROFILE_STACK_LISTS];
  for (uint32_t at = *list; at != 0; at = profile_stack(at)->next) {
    const profile_stack_t *stack = profile_stack(at);
    if (stack->hash == hash && stack->depth == depth &&
        memcmp(stack->addresses, addresses, depth * sizeof(*addresses)) == 0) {
      return at;
    }
  }
  uint32_t words = profile_stack_words((uint32_t)depth), at = profile_used;
  if (words > PROFILE_WORDS - at) return 0;
  profile_stack_t *stack = profile_stack(at);
  memset(stack, 0, sizeof(*stack));
  memcpy(stack->addresses, addresses, depth * sizeof(*addresses));
  stack->hash = hash;
  stack->depth = (uint32_t)depth;
  stack->next = *list;
  *list = at;
  profile_used = at + words;
  profile_stacks++;
  return at;
}

static void profile_add_live(hak_profile_sums_t *sums, const hak_profile_sample_t *sample) {
  sums->live_samples++;
  sums->live_blocks += sample->blocks;
  sums->live_bytes += sample->bytes;
}

static void profile_add_total(hak_profile_sums_t *sums, const hak_profile_sample_t *sample) {
  sums->total_samples++;
  sums->total_blocks += sample->blocks;
  sums->total_bytes += sample->bytes;
}

static void profile_sub_live(hak_profile_sums_t *sums, const hak_profile_sample_t *sample) {
  sums->live_samples--;
  sums->live_blocks -= sample->blocks;
  sums->live_bytes -= sample->bytes;
}

/* ---- Samples ---- */

static _Atomic uint32_t *profile_heap_list(const void *heap) {
  return &profile_xheap[(uint64_t)(uintptr_t)heap * UINT64_C(0x9e3779b97f4a7c15) >> 56];
}

/* The number of a free place for the block; HAK_PROFILE_SAMPLES without one. */
static size_t profile_free_place_locked(const void *block) {
  size_t first = hak_profile_place(block) & ~(size_t)(HAK_PROFILE_PLACES - 1);
  for (size_t i = first; i < first + HAK_PROFILE_PLACES; i++) {
    if (hak_load_relaxed(&profile->xkey[i]) == NULL) return i;
  }
  return HAK_PROFILE_SAMPLES;
}

static bool profile_insert_locked(const void *block, const hak_profile_sample_t *sample) {
  size_t i = profile_free_place_locked(block);
  if (i == HAK_PROFILE_SAMPLES) return false;
  hak_profile_sample_t *place = &profile->sample[i];
  *place = *sample;
  place->next = place->previous = 0;
  if (sample->heap != NULL) {
    _Atomic uint32_t *list = profile_heap_list(sample->heap);
    place->next = hak_load_relaxed(list);
    if (place->next != 0) profile->sample[place->next - 1].previous = (uint32_t)i + 1;
    hak_store_relaxed(list, (uint32_t)i + 1);
  }
  profile_add_live(&profile_stack(sample->stack)->sums, sample);
  profile_add_live(&profile_sums, sample);
  hak_store_relaxed(&profile->xkey[i], block);
  hak_store_relaxed(&hak_profile_xfilter[hak_profile_place(block)], 1);
  return true;
}

static void profile_remove_locked(size_t i) {
  const void *block = hak_load_relaxed(&profile->xkey[i]);
  hak_profile_sample_t *place = &profile->sample[i];
  profile_sub_live(&profile_stack(place->stack)->sums, place);
  profile_sub_live(&profile_sums, place);
  if (place->heap != NULL) {
    if (place->next != 0) profile->sample[place->next - 1].previous = place->previous;
    if (place->previous != 0) {
      profile->sample[place->previous - 1].next = place->next;
    } else {
      hak_store_relaxed(profile_heap_list(place->heap), place->next);
    }
  }
  hak_store_relaxed(&profile->xkey[i], NULL);
  size_t filter = hak_profile_place(block), first = i & ~(size_t)(HAK_PROFILE_PLACES - 1);
  for (size_t k = first; k < first + HAK_PROFILE_PLACES; k++) { /* another one that the filter's byte is about? */
    const void *other = hak_load_relaxed(&profile->xkey[k]);
    if (other != NULL && hak_profile_place(other) == filter) return;
  }
  hak_store_relaxed(&hak_profile_xfilter[filter], 0);
}

void hak_profile_record(const void *block, size_t size, const void *heap, uint64_t mean, hak_profile_site_t site) {
  const void *addresses[HAK_PROFILE_DEPTH];
  hak_profile_tls.busy = true;
  size_t depth = hak_profile_walk(site, addresses);
  hak_profile_tls.busy = false;
  double weight = hak_poisson_weight((uint64_t)size + 1, mean);
  hak_profile_sample_t sample = {
      .heap = heap, .bytes = (uint64_t)((double)size * weight + 0.5), .blocks = (uint64_t)(weight * 65536 + 0.5)};
  hak_lock(&hak_profile_lock);
  bool kept = false;
  if (profile_free_place_locked(block) != HAK_PROFILE_SAMPLES) {
    sample.stack = profile_intern_locked(addresses, depth);
    sample.generation = profile_generation;
    kept = sample.stack != 0 && profile_insert_locked(block, &sample);
  }
  if (kept) {
    profile_add_total(&profile_stack(sample.stack)->sums, &sample);
    profile_add_total(&profile_sums, &sample);
  } else {
    profile_dropped++;
  }
  hak_unlock(&hak_profile_lock);
}

void hak_profile_forget(const void *block, hak_profile_sample_t *taken) {
  taken->stack = 0;
  if (block == NULL) return;
  /* Without the lock: docs/concurrency.md says why. acquire pairs with the release in hak_profile_begin_mt, for those who
   * come here by mistake of the filter, and know nothing of who made the tables. */
  profile_tables_t *tables = hak_load_acquire(&profile_xtables);
  if (tables == NULL) return;
  size_t first = hak_profile_place(block) & ~(size_t)(HAK_PROFILE_PLACES - 1), i = first;
  while (i < first + HAK_PROFILE_PLACES && hak_load_relaxed(&tables->xkey[i]) != block) i++;
  if (i == first + HAK_PROFILE_PLACES) return;
  hak_lock(&hak_profile_lock);
  if (hak_load_relaxed(&tables->xkey[i]) == block) { /* unless there was a clear */
    *taken = tables->sample[i];
    profile_remove_locked(i);
  }
  hak_unlock(&hak_profile_lock);
}

void hak_profile_put_back(const void *block, hak_profile_sample_t taken) {
  if (taken.stack == 0) return;
  hak_lock(&hak_profile_lock);
  if (taken.generation == profile_generation && !profile_insert_locked(block, &taken)) profile_dropped++;
  hak_unlock(&hak_profile_lock);
}

void hak_profile_forget_heap(const void *heap) {
  _Atomic uint32_t *list = profile_heap_list(heap);
  if (hak_load_relaxed(list) == 0) return; /* nobody else does anything with the heap's blocks */
  hak_lock(&hak_profile_lock);
  for (uint32_t i = hak_load_relaxed(list), next; i != 0; i = next) {
    next = profile->sample[i - 1].next;
    if (profile->sample[i - 1].heap == heap) profile_remove_locked(i - 1);
  }
  hak_unlock(&hak_profile_lock);
}

/* ---- All of it ---- */

bool hak_profile_begin_mt(uint64_t mean) {
  hak_lock(&hak_profile_lock);
  if (profile == NULL) {
    size_t page = hak_os_page_bytes();
    profile = hak_os_map((sizeof(profile_tables_t) + page - 1) & ~(page - 1));
    profile_used = 1;
    hak_store_release(&profile_xtables, profile); /* pairs with hak_profile_forget */
  }
  bool done = profile != NULL;
  if (done) hak_store_relaxed(&hak_profile_xmean, mean);
  hak_unlock(&hak_profile_lock);
  return done;
}

void hak_profile_clear_mt(void) {
  hak_lock(&hak_profile_lock);
  if (profile != NULL) {
    for (size_t i = 0; i < HAK_PROFILE_SAMPLES; i++) {
      if (hak_load_relaxed(&profile->xkey[i]) != NULL) profile_remove_locked(i);
    }
    memset(profile->list, 0, sizeof(profile->list));
    profile_used = 1;
    profile_stacks = 0;
    profile_generation++;
    profile_dropped = 0;
    profile_sums = (hak_profile_sums_t){0};
  }
  hak_unlock(&hak_profile_lock);
}

void hak_profile_totals_mt(hak_profile_sums_t *sums, uint64_t *dropped, uint64_t *stacks) {
  hak_lock(&hak_profile_lock);
  *sums = profile_sums;
  *dropped = profile_dropped;
  *stacks = profile_stacks;
  hak_unlock(&hak_profile_lock);
}

size_t hak_profile_next_mt(uint32_t *at, uint32_t *generation, const void **addresses, hak_profile_sums_t *sums) {
  size_t depth = 0;
  hak_lock(&hak_profile_lock);
  if (*at == 0) {
    *at = 1;
    *generation = profile_generation;
  }
  if (profile != NULL && *generation == profile_generation && *at < profile_used) {
    const profile_stack_t *stack = profile_stack(*at);
    depth = stack->depth;
    *sums = stack->sums;
    memcpy(addresses, stack->addresses, depth * sizeof(*addresses));
    *at += profile_stack_words(stack->depth);
  }
  hak_unlock(&hak_profile_lock);
  return depth;
}
