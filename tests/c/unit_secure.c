/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The secure build from inside: trailers, the quarantine and its bounds, resizing, what threads and forks leave, and what
 * happens when memory runs out. What it has to notice is in tests/misuse/secure.
 */
#define HAK_SECURE 1
#include "unit.h"

static const size_t sizes[] = {0, 1, 8, 9, 100, 1000, 1024, 4000, 8192, 20000, 53248, 300000, 2097152, 3000000};

static size_t asked_for(size_t size) { return size == 0 ? 1 : size; }

static hak_quarantine_t *mine(void) { return &hak_tls.heap->quarantine; }

static void a_word_fits_one_place_only(void **state) {
  (void)state;
  (void)hak_theap_get();
  _Alignas(16) static char bytes[4096];
  for (size_t block_bytes = 16; block_bytes <= sizeof bytes; block_bytes *= 2) {
    hak_trailer_t *place = hak_trailer_of(bytes, block_bytes);
    for (size_t asked = 1; asked <= block_bytes - 8; asked += asked / 7 + 1) {
      hak_trailer_seal(bytes, block_bytes, asked);
      uint64_t word = hak_load_relaxed(place);
      CHECK(hak_trailer_slack(place, word, block_bytes) == block_bytes - asked, "%zu of %zu", asked, block_bytes);
      CHECK(hak_trailer_is_filled(bytes, block_bytes, block_bytes - asked), "%zu of %zu", asked, block_bytes);
      CHECK(bytes[asked] != 0, "the end of a string would pass");
      CHECK(word != hak_trailer_freed(place), "live and free");
      CHECK(hak_trailer_slack(place + 1, word, block_bytes) == 0, "a copy passes");
      for (unsigned bit = 0; bit < 64; bit++) {
        CHECK(hak_trailer_slack(place, word ^ (uint64_t)1 << bit, block_bytes) == 0, "bit %u may change", bit);
      }
      if (asked < block_bytes - 8) {
        bytes[asked + hak_trailer_filled(block_bytes - asked) - 1] ^= 1;
        CHECK(!hak_trailer_is_filled(bytes, block_bytes, block_bytes - asked), "slack may change");
      }
    }
  }
}

static void sizes_are_exact_and_freed_blocks_wait_as_zeros(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    hak_collect(1);
    char *block = hak_malloc(sizes[i]);
    CHECK(block != NULL && hak_usable_size(block) == asked_for(sizes[i]), "%zu: %zu", sizes[i], hak_usable_size(block));
    CHECK(hak_good_size(sizes[i]) == asked_for(sizes[i]), "%zu", sizes[i]);
    memset(block, 0x5a, sizes[i]);
    hak_free_sized(block, sizes[i]);
    CHECK(mine()->count == 1 && mine()->slots[0].block == block, "%zu: %u wait", sizes[i], mine()->count);
    for (size_t k = 0; k < sizes[i]; k++) CHECK(block[k] == 0, "%zu: byte %zu", sizes[i], k);
    CHECK(hak_tier_of(block) == HAK_TIER_NONE, "it is not live");
    for (int n = 0; n < 20; n++) {
      void *other = hak_malloc(sizes[i]);
      CHECK(other != block, "%zu: reused at once", sizes[i]);
      CHECK(hak_quarantine_is_valid(hak_tls.heap), "valid");
    }
    hak_collect(0);
    CHECK(mine()->count == 0 && mine()->bytes == 0, "a collection lets it go");
  }
}

static void the_quarantine_is_bounded(void **state) {
  (void)state;
  hak_collect(1);
  static const size_t some[] = {16, 500, 5000, 30000, 200000, 400000, 4 * MIB};
  for (size_t i = 0; i < COUNT_OF(some); i++) {
    uint32_t most = 0;
    for (int n = 0; n < 3000; n++) {
      hak_free(hak_malloc(some[i]));
      if (mine()->count > most) most = mine()->count;
    }
    CHECK(hak_quarantine_is_valid(hak_tls.heap), "%zu", some[i]);
    CHECK(most > 2, "%zu: %u at most", some[i], most);
  }
  void *huge = hak_malloc(64 * MIB);
  hak_collect(1);
  hak_free(huge);
  CHECK(mine()->count == 0, "too large to wait");
}

static void resizing_keeps_content_and_clears_the_rest(void **state) {
  (void)state;
  for (size_t alignment = 16; alignment <= 65536; alignment *= 64) {
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
      for (size_t k = 0; k < COUNT_OF(sizes); k++) {
        size_t from = asked_for(sizes[i]), to = asked_for(sizes[k]), least = from < to ? from : to;
        unsigned char *block = hak_aligned_alloc(alignment, sizes[i]);
        memset(block, 0x5a, from);
        block = alignment == 16 ? hak_realloc(block, sizes[k])
                                : hak_realloc_aligned_sized(block, alignment, sizes[i], sizes[k]);
        CHECK(block != NULL && (uintptr_t)block % alignment == 0, "%zu to %zu", from, to);
        CHECK(hak_usable_size(block) == to, "%zu to %zu: %zu", from, to, hak_usable_size(block));
        for (size_t b = 0; b < least; b++) CHECK(block[b] == 0x5a, "%zu to %zu: byte %zu", from, to, b);
        memset(block, 0xa5, to);
        hak_free_aligned_sized(block, alignment, sizes[k]);
      }
    }
  }
  hak_heap_t *heap = hak_heap_new(NULL);
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    for (size_t k = 0; k < COUNT_OF(sizes); k++) {
      unsigned char *block = hak_heap_malloc(heap, sizes[i]);
      block[0] = 7;
      block = hak_heap_realloc(heap, block, sizes[k]);
      CHECK(block != NULL && block[0] == 7 && hak_usable_size(block) == asked_for(sizes[k]), "%zu to %zu", sizes[i],
            sizes[k]);
      if (k % 2 == 0) hak_heap_free_sized(heap, block, 16, sizes[k]);
    }
  }
  hak_heap_reset(heap);
  hak_heap_destroy(heap);
  errno = 0;
  void *block = hak_malloc(100), *none = hak_realloc(block, (size_t)PTRDIFF_MAX - 3);
  CHECK(none == NULL && errno == ENOMEM && hak_usable_size(block) == 100, "errno %d", errno);
  hak_free(block);
}

/* ---- Nothing is left of what was freed ---- */

/* How many bytes of a block are what `fills` left there: of its memory, whoever has it now. */
static size_t left_of(const unsigned char *block, size_t from, size_t bytes) {
  size_t left = 0;
  for (size_t i = from; i < bytes; i++) left += block[i] == 0x5a;
  return left;
}

static unsigned char *filled(hak_heap_t *heap, size_t size) {
  unsigned char *block = heap == NULL ? hak_malloc(size) : hak_heap_malloc(heap, size);
  CHECK(block != NULL, "%zu bytes", size);
  return memset(block, 0x5a, size);
}

/* In the link and the key of a free block such a byte is there now and then; 5 of 16 once in 10^8 times. */
#define NONE_LEFT(block, from, size) \
  CHECK(left_of(block, from, size) <= 4, "%zu: %zu are left", (size_t)(size), left_of(block, from, size))

static void a_resize_wipes_what_it_leaves(void **state) {
  (void)state;
  hak_heap_t *heap = hak_heap_new(NULL);
  for (size_t i = 0; i < COUNT_OF(sizes) && sizes[i] < MIB; i++) {
    size_t size = asked_for(sizes[i]);
    unsigned char *block = filled(heap, size), *moved = hak_heap_realloc(heap, block, 3 * size + 100);
    CHECK(moved != block && left_of(moved, 0, size) == size, "%zu: content", size);
    NONE_LEFT(block, 0, size);
    block = hak_realloc_aligned_sized(moved, 16, 3 * size + 100, size);
    CHECK(moved != block && left_of(block, 0, size) == size, "%zu: content", size);
    NONE_LEFT(moved, 0, size);
  }
  for (size_t i = 0; i < 2; i++) { /* a mapping that shrinks in place, and one that becomes something else */
    unsigned char *block = filled(i == 0 ? heap : NULL, 8 * MIB), *same = hak_realloc(block, 3 * MIB);
    CHECK(same == block && left_of(block, 0, 3 * MIB) == 3 * MIB, "content");
    NONE_LEFT(block, 3 * MIB, 8 * MIB - 8);
    unsigned char *moved = hak_realloc(block, MIB);
    CHECK(moved != block && left_of(moved, 0, MIB) == MIB, "content");
    NONE_LEFT(block, 0, 3 * MIB);
    hak_free(moved);
  }
  hak_heap_destroy(heap);
}

static void a_reset_wipes(size_t destroys) {
  hak_heap_t *heap = hak_heap_new(NULL);
  unsigned char *blocks[COUNT_OF(sizes)][8];
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    for (size_t k = 0; k < 8; k++) blocks[i][k] = filled(heap, asked_for(sizes[i]));
    hak_heap_free(heap, blocks[i][5]);
  }
  if (destroys) {
    hak_heap_destroy(heap);
  } else {
    hak_heap_reset(heap);
  }
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    for (size_t k = 0; k < 8; k++) NONE_LEFT(blocks[i][k], 0, asked_for(sizes[i]));
  }
  if (destroys) return;
  for (size_t i = 0; i < COUNT_OF(sizes); i++) CHECK(*filled(heap, asked_for(sizes[i])) == 0x5a, "it can be used");
  hak_lock(&heap->lock);
  CHECK(hak_arena_is_valid_locked(heap), "valid");
  hak_unlock(&heap->lock);
  hak_heap_destroy(heap);
}

static void a_reset_and_a_destruction_wipe(void **state) {
  (void)state;
  child_passes(a_reset_wipes, false);
  child_passes(a_reset_wipes, true);
}

static void blocks_are_cut_in_no_order(void **state) {
  (void)state;
  unsigned ascending = 0;
  char *last = NULL;
  for (int i = 0; i < 256; i++) {
    char *block = hak_malloc(8);
    ascending += block == last + 16;
    last = block;
  }
  CHECK(ascending < 32, "%u of 255 follow each other", ascending);
}

/* ---- Threads ---- */

static void *frees_many(void *unused) {
  (void)unused;
  for (int i = 0; i < 2000; i++) hak_free(hak_malloc((size_t)i));
  CHECK(mine()->count > 100, "only %u wait", mine()->count);
  return NULL;
}

static void a_thread_leaves_nothing_waiting(void **state) {
  (void)state;
  for (int round = 0; round < 20; round++) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, frees_many, NULL) == 0, "no thread");
    pthread_join(thread, NULL);
  }
  for (uint32_t id = 1; id <= hak_registry_count_mt(); id++) {
    const hak_theap_t *heap = hak_registry_heap(id);
    CHECK(heap == hak_tls.heap || heap->quarantine.count == 0, "%u wait in heap %u", heap->quarantine.count, id);
  }
}

/* Blocks go round between threads that allocate, write, look and free, also of neighbours. */
#define PLACES 4096
static _Atomic(unsigned char *) xplaces[PLACES];

static void *passes_blocks_on(void *seed) {
  rng_t rng = {(uintptr_t)seed};
  for (size_t i = 0; i < test_work(300000); i++) {
    size_t size = 1 + rng_below(&rng, rng_below(&rng, 50) == 0 ? 30000 : 200);
    unsigned char *block = rng_below(&rng, 2) ? hak_malloc(size) : hak_calloc(1, size);
    CHECK(block != NULL, "%zu bytes", size);
    memset(block, (int)size & 0xff, size);
    unsigned char *other = atomic_exchange(&xplaces[rng_below(&rng, PLACES)], block);
    if (other == NULL) continue;
    size_t bytes = hak_usable_size(other);
    CHECK(other[0] == (bytes & 0xff) && other[bytes - 1] == (bytes & 0xff), "%zu bytes", bytes);
    if (i % 8 == 0) other = hak_realloc(other, bytes + rng_below(&rng, 100));
    hak_free(other);
  }
  return NULL;
}

static void threads_pass_blocks_on(void **state) {
  (void)state;
  pthread_t threads[4];
  for (uintptr_t i = 0; i < 4; i++) {
    CHECK(pthread_create(&threads[i], NULL, passes_blocks_on, (void *)(i + 1)) == 0, "no thread");
  }
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  for (size_t i = 0; i < PLACES; i++) hak_free(atomic_exchange(&xplaces[i], NULL));
}

/* ---- Fork ---- */

static void in_the_child(size_t unused) {
  (void)unused;
  for (uint32_t id = 1; id <= hak_registry_count_mt(); id++) {
    CHECK(hak_quarantine_is_valid(hak_registry_heap(id)), "heap %u", id);
  }
  CHECK(mine()->count == 10, "%u wait of the parent's", mine()->count);
  for (int i = 0; i < 5000; i++) hak_free(hak_malloc((size_t)i % 3000));
  hak_collect(1);
  CHECK(mine()->count == 0, "%u wait", mine()->count);
}

static void a_child_has_its_parents_quarantine(void **state) {
  (void)state;
  hak_collect(1);
  for (int i = 0; i < 10; i++) hak_free(hak_malloc(100));
  child_passes(in_the_child, 0);
}

/* ---- Memory that runs out ---- */

static void without_memory(size_t size) {
  void *block = hak_malloc(size);
  CHECK(block != NULL, "%zu bytes", size);
  hak_collect(1);
  hak_free(block);
  CHECK(mine()->count == 1, "it waits");
  hak_limit_set(1, NULL, NULL); /* nothing more is to be had from the system */
  void *again = hak_malloc(size);
  CHECK(again == block, "%zu bytes: what waited is served", size);
  CHECK(hak_malloc(size) == NULL && errno == ENOMEM, "and no more");
}

static void what_waits_is_served_when_memory_runs_out(void **state) {
  (void)state;
  child_passes(without_memory, 300000);
  child_passes(without_memory, 3000000);
}

static void without_random_numbers(size_t unused) {
  (void)unused;
  os_fail_getrandom = true;
  uint64_t first[2] = {0, 0}, second[2] = {0, 0};
  hak_os_secret(first, sizeof first);
  hak_os_secret(second, sizeof second);
  CHECK(first[0] != 0 && first[1] != 0 && first[0] != first[1], "it is none");
  CHECK(first[0] != second[0], "it is always the same");
}

static void a_secret_is_found_without_getrandom(void **state) {
  (void)state;
  child_passes(without_random_numbers, 0);
  uint64_t before[2] = {hak_secret[0], hak_secret[1]};
  hak_secret_init();
  CHECK(hak_secret[0] != before[0] && hak_secret[1] != before[1], "drawn twice, the same");
  hak_secret[0] = before[0];
  hak_secret[1] = before[1];
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(blocks_are_cut_in_no_order), /* first: of blocks that were never used */
      cmocka_unit_test(a_word_fits_one_place_only),
      cmocka_unit_test(sizes_are_exact_and_freed_blocks_wait_as_zeros),
      cmocka_unit_test(the_quarantine_is_bounded),
      cmocka_unit_test(resizing_keeps_content_and_clears_the_rest),
      cmocka_unit_test(a_resize_wipes_what_it_leaves),
      cmocka_unit_test(a_reset_and_a_destruction_wipe),
      cmocka_unit_test(a_thread_leaves_nothing_waiting),
      cmocka_unit_test(threads_pass_blocks_on),
      cmocka_unit_test(a_child_has_its_parents_quarantine),
      cmocka_unit_test(what_waits_is_served_when_memory_runs_out),
      cmocka_unit_test(a_secret_is_found_without_getrandom),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
