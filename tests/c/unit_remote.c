/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * core/remote: when a ring is posted, how much a drain takes, who takes in what a sleeping or parked owner does not,
 * and the count of posts that shares a word with an address.
 */
#include "unit.h"

/* A thread that allocates what it is told to and then sleeps, or ends. */
typedef struct {
  size_t bytes, count;
  bool ends;
  void **blocks;
  hak_theap_t *heap;
  pthread_t thread;
  pthread_barrier_t ready, go_on;
} owner_t;

static void *owner_thread(void *argument) {
  owner_t *owner = argument;
  for (size_t i = 0; i < owner->count; i++) {
    owner->blocks[i] = hak_malloc(owner->bytes);
    CHECK(owner->blocks[i] != NULL, "block %zu", i);
  }
  owner->heap = hak_tls.heap;
  if (!owner->ends) {
    pthread_barrier_wait(&owner->ready);
    pthread_barrier_wait(&owner->go_on);
  }
  return NULL;
}

/* As if the calling thread's bins were full, so that no block of another heap stays there. */
static void fill_bins(hak_theap_t *heap) {
  for (unsigned c = 1; c < HAK_SLAB_CLASSES; c++) {
    heap->tls->bin[c].room = 0;
  }
}

static void owner_start(owner_t *owner, size_t bytes, size_t count, bool ends) {
  CHECK(hak_theap_get() != NULL, "the freeing thread's heap comes first"); /* not one that was parked */
  fill_bins(hak_theap_get());
  *owner = (owner_t){.bytes = bytes, .count = count, .ends = ends, .blocks = calloc(count, sizeof(void *))};
  pthread_barrier_init(&owner->ready, NULL, 2);
  pthread_barrier_init(&owner->go_on, NULL, 2);
  owner->thread = thread_start(owner_thread, owner);
  if (ends) {
    thread_join(owner->thread);
  } else {
    pthread_barrier_wait(&owner->ready);
  }
}

static void owner_end(owner_t *owner) {
  pthread_barrier_wait(&owner->go_on);
  thread_join(owner->thread);
}

static uint64_t posts_of(const hak_theap_t *heap) { return hak_load_relaxed(&heap->xinbox) >> REMOTE_COUNT_SHIFT; }

/* The blocks of a chain of carriers; of the first, the last `unused` places are not filled. */
static size_t chain_length(const hak_block_t *chain, size_t unused) {
  size_t length = 0;
  for (const hak_block_t *c = chain; c != NULL; c = c->next, unused = 0) {
    size_t slots = hak_remote_class(hak_tagmap_get_mt(c))->ring_slots;
    CHECK(c->key == hak_freed_key(c), "a carrier without key");
    length++;
    for (size_t i = slots; i-- > unused && c->carried[i] != NULL;) {
      CHECK(c->carried[i]->key == hak_freed_key(c->carried[i]), "a block without key");
      length++;
    }
  }
  return length;
}

static size_t inbox_length(const hak_theap_t *heap) {
  return chain_length(remote_first(hak_load_acquire(&heap->xinbox)), 0);
}

static size_t ring_length(const hak_ring_t *ring) { return chain_length(ring->first, ring->slots); }

/* ---- Posting ----------------------------------------------------------------------------------------------------- */

static void posts_at(size_t bytes) {
  owner_t owner;
  size_t block = hak_good_size(bytes), places = (block - 16) / 8;
  size_t carried = block > 2048 ? 0 : places < 14 ? places : 14;
  size_t counts = (1 + carried) * (block < 2048 ? 2048 : block);
  size_t a_post = (HAK_RING_BYTES + counts - 1) / counts * (1 + carried);
  CHECK(a_post >= 32 || a_post * block >= HAK_RING_BYTES, "%zu blocks a post", a_post);
  const size_t count = 3 * a_post + 1;
  owner_start(&owner, bytes, count, false);
  hak_theap_t *heap = hak_theap_get();
  hak_ring_t *ring = &heap->ring[owner.heap->id % HAK_RINGS];
  CHECK(ring_length(ring) == 0 && hak_load_relaxed(&owner.heap->xinbox) == 0, "before");
  for (size_t i = 0; i < count; i++) {
    hak_free(owner.blocks[i]);
    size_t posted = i / a_post * a_post; /* when it is full and one more comes */
    CHECK(ring_length(ring) == i + 1 - posted, "%zu: %zu blocks in the ring", i, ring_length(ring));
    CHECK(inbox_length(owner.heap) == posted && posts_of(owner.heap) == posted / a_post, "%zu: %zu in %llu posts", i,
          inbox_length(owner.heap), (unsigned long long)posts_of(owner.heap));
    CHECK(heap->remote_posts == posted / a_post, "%zu: counted", i);
  }
  CHECK(ring->owner == owner.heap->id + HAK_TAG_HEAPS && ring->first == owner.blocks[count - 1] &&
            ring->last == ring->first,
        "the last");
  hak_remote_post_all(heap);
  CHECK(ring_length(ring) == 0 && ring->first == NULL && inbox_length(owner.heap) == count, "posted all");
  CHECK(posts_of(owner.heap) == 4, "%llu posts", (unsigned long long)posts_of(owner.heap));
  hak_remote_post_all(heap);
  CHECK(posts_of(owner.heap) == 4, "nothing to post");
  owner_end(&owner);
}

static void shared_ring(size_t unused) {
  (void)unused;
  enum { OWNERS = 1 + HAK_RINGS };
  static owner_t owners[OWNERS]; /* the last has the first one's ring */
  for (size_t i = 0; i < OWNERS; i++) {
    owner_start(&owners[i], 64, 40, false);
  }
  hak_theap_t *heap = hak_theap_get(), *first = owners[0].heap, *last = owners[OWNERS - 1].heap;
  CHECK(first->id % HAK_RINGS == last->id % HAK_RINGS && first != last, "heaps %u and %u", first->id, last->id);
  for (size_t round = 0; round < 3; round++) {
    for (size_t i = 0; i < OWNERS - 1; i++) {
      hak_free(owners[i].blocks[round]);
    }
  }
  CHECK(hak_load_relaxed(&first->xinbox) == 0, "posted too early");
  hak_free(owners[OWNERS - 1].blocks[0]);
  CHECK(inbox_length(first) == 3 && posts_of(first) == 1 && hak_load_relaxed(&last->xinbox) == 0, "made room");
  hak_free(owners[0].blocks[3]);
  CHECK(inbox_length(first) == 3 && inbox_length(last) == 1, "made room again");
  for (size_t i = 1; i < OWNERS - 1; i++) {
    CHECK(hak_load_relaxed(&owners[i].heap->xinbox) == 0, "another ring was posted");
  }
  for (size_t i = 0; i < 64; i++) { /* so many slow paths later */
    hak_theap_tick(heap);
  }
  for (size_t i = 0; i < OWNERS; i++) {
    CHECK(inbox_length(owners[i].heap) == (i == 0 ? 4 : i == OWNERS - 1 ? 1 : 3), "owner %zu", i);
  }
  for (size_t i = 0; i < OWNERS; i++) {
    owner_end(&owners[i]);
  }
}

/* Blocks of several owners in turn: each ring waits until it is full. */
static void in_turn(size_t bytes) {
  enum { OWNERS = 3, BLOCKS = 400 };
  static owner_t owners[OWNERS];
  for (size_t i = 0; i < OWNERS; i++) {
    owner_start(&owners[i], bytes, BLOCKS, false);
  }
  hak_theap_t *heap = hak_theap_get();
  for (size_t k = 0; k < BLOCKS; k++) {
    for (size_t i = 0; i < OWNERS; i++) {
      hak_free(owners[i].blocks[k]);
    }
  }
  CHECK(heap->remote_posts <= OWNERS * BLOCKS / HAK_RING_BLOCKS, "%llu posts", (unsigned long long)heap->remote_posts);
  hak_remote_post_all(heap);
  for (size_t i = 0; i < OWNERS; i++) {
    CHECK(inbox_length(owners[i].heap) == BLOCKS, "%zu of owner %zu", inbox_length(owners[i].heap), i);
    owner_end(&owners[i]);
  }
}

static void test_posting(void **state) {
  (void)state;
  static const size_t sizes[] = {1, 32, 64, 128, 144, 1024, 1025, 2048, 2049, 3000, 4096, 6000, 8192};
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    child_passes(posts_at, sizes[i]);
  }
  child_passes(shared_ring, 0);
  child_passes(in_turn, 16);
  child_passes(in_turn, 48);
  child_passes(in_turn, 64);
}

/* ---- Travelling -------------------------------------------------------------------------------------------------- */

/* Blocks that share no cache line stay with the thread that frees them while its bin has room, and are not lost there. */
static void travels(size_t bytes) {
  owner_t owner;
  unsigned c = hak_slab_class_of(bytes);
  const size_t room = (size_t)hak_slab_classes[c].bin_room, count = room + 5;
  owner_start(&owner, bytes, count, false);
  hak_theap_t *heap = hak_theap_get();
  hak_bin_t *bin = &heap->tls->bin[c];
  hak_theap_flush(heap);
  hak_free(owner.blocks[count - 1]); /* this thread allocated none of them: it keeps none */
  CHECK(bin->head == NULL && bin->room == 0, "a closed bin");
  bin->room = (int32_t)room;
  for (size_t i = 0; i < room; i++) {
    hak_free(owner.blocks[i]);
  }
  const size_t kept = bytes < HAK_TRAVEL_MIN ? 0 : room;
  CHECK(bin->room == (int32_t)(room - kept) && (bin->head == NULL) == (kept == 0), "%d room", bin->room);
  for (size_t i = 0; i < kept / 2; i++) { /* the youngest first, and freed again they stay again */
    CHECK(hak_malloc(bytes) == owner.blocks[kept - 1 - i], "another block");
  }
  for (size_t i = kept / 2; i-- != 0;) {
    hak_free(owner.blocks[kept - 1 - i]);
  }
  CHECK(bin->room == (int32_t)(room - kept), "%d room after", bin->room);
  for (size_t i = room; i < count - 1; i++) { /* the first that does not fit sends the youngest home */
    hak_free(owner.blocks[i]);
  }
  if (kept != 0) {
    size_t spilled = room / 2 < HAK_SPILL_BLOCKS ? room / 2 : HAK_SPILL_BLOCKS;
    CHECK(bin->room == (int32_t)(spilled - (count - 1 - room)), "%d room of %zu", bin->room, spilled);
    CHECK((void *)bin->head == owner.blocks[count - 2], "not the youngest");
  }
  hak_theap_flush(heap);
  CHECK(bin->head == NULL && bin->room == 0, "flushed");
  CHECK(inbox_length(owner.heap) == count, "%zu came home of %zu", inbox_length(owner.heap), count);
  owner_end(&owner);
}

static void test_travelling(void **state) {
  (void)state;
  static const size_t sizes[] = {48, 64, 80, 1024, 1025, 8192};
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    child_passes(travels, sizes[i]);
  }
}

/* ---- Draining ---------------------------------------------------------------------------------------------------- */

static size_t free_in_slabs(const hak_theap_t *heap, unsigned c) {
  const hak_slab_t *slab = heap->slabs[c];
  size_t blocks = 0;
  for (; slab != NULL; slab = slab->next == heap->slabs[c] ? NULL : slab->next) {
    blocks += slab->free_blocks;
  }
  return blocks;
}

static void bounded(size_t unused) {
  (void)unused;
  owner_t owner;
  enum { BLOCKS = 15 * 35 };                  /* posts of 35, so that all carriers are full; one more would be helped */
  owner_start(&owner, 64, BLOCKS + 1, false); /* one stays, so that no slab becomes empty */
  unsigned c = hak_slab_class_of(64);
  size_t before = free_in_slabs(owner.heap, c);
  for (size_t i = 1; i <= BLOCKS; i++) {
    hak_free(owner.blocks[i]);
  }
  hak_remote_post_all(hak_theap_get());
  CHECK(inbox_length(owner.heap) == BLOCKS, "%zu in the inbox", inbox_length(owner.heap));
  uint32_t unclaimed = 0;
  CHECK(hak_cas_seq(&owner.heap->xclaim, &unclaimed, 1), "claim"); /* the owner sleeps: no other barrier is needed */
  static const uint32_t steps[] = {0, 1, 10, 100, HAK_DRAIN_BLOCKS};
  size_t given = 0;
  for (size_t i = 0; i < COUNT_OF(steps); i++) {
    CHECK(hak_remote_drain(owner.heap, NULL, steps[i]) == (steps[i] != 0), "%u blocks", steps[i]);
    given += (steps[i] + 6) / 7 * 7; /* whole carriers of six others */
    CHECK(free_in_slabs(owner.heap, c) - before == given, "%zu given, not %zu", free_in_slabs(owner.heap, c) - before,
          given);
  }
  CHECK(hak_load_relaxed(&owner.heap->xinbox) == 0 && owner.heap->pending != NULL, "the rest waits");
  CHECK(hak_remote_drain(owner.heap, NULL, UINT32_MAX) && owner.heap->pending == NULL, "the rest");
  CHECK(free_in_slabs(owner.heap, c) - before == BLOCKS && !hak_remote_drain(owner.heap, NULL, UINT32_MAX), "all");
  CHECK(hak_slab_is_valid(owner.heap, c), "slabs");
  hak_guard_release_mt(owner.heap);
  owner_end(&owner);
}

/* An owner that needs blocks takes in a bounded number before it carves. */
static void *drains_itself(void *argument) {
  owner_t *owner = argument;
  owner_thread(owner);
  hak_theap_t *heap = owner->heap;
  unsigned c = hak_slab_class_of(64);
  while (heap->tls->bin[c].head != NULL) {
    CHECK(hak_malloc(64) != NULL, "no memory");
  }
  CHECK(hak_malloc(64) != NULL && heap->pending != NULL, "not drained");
  size_t held = 1;
  for (const hak_block_t *b = heap->tls->bin[c].head; b != NULL; b = b->next) {
    held++;
  }
  CHECK(held + free_in_slabs(heap, c) == (HAK_DRAIN_BLOCKS + 6) / 7 * 7, "took in %zu", held + free_in_slabs(heap, c));
  return NULL;
}

static void owner_drains(size_t unused) {
  (void)unused;
  CHECK(hak_theap_get() != NULL, "a heap");
  fill_bins(hak_theap_get());
  owner_t owner = {.bytes = 64, .count = 500, .blocks = calloc(500, sizeof(void *))};
  pthread_barrier_init(&owner.ready, NULL, 2);
  pthread_barrier_init(&owner.go_on, NULL, 2);
  owner.thread = thread_start(drains_itself, &owner);
  pthread_barrier_wait(&owner.ready);
  for (size_t i = 0; i < 500; i++) {
    hak_free(owner.blocks[i]);
  }
  owner_end(&owner);
}

static void test_draining(void **state) {
  (void)state;
  child_passes(bounded, 0);
  child_passes(owner_drains, 0);
}

/* ---- Helping ----------------------------------------------------------------------------------------------------- */

static void sleeping(size_t unused) {
  (void)unused;
  if (!hak_os_barrier_all_threads()) {
    return; /* then nobody can know that it sleeps */
  }
  owner_t owner;
  enum { A_POST = 3 * (1 + HAK_CARRIED_MAX), BLOCKS = 2 * HAK_HELP_POSTS * A_POST };
  owner_start(&owner, 256, BLOCKS + 2, false);
  for (size_t i = 1; i <= BLOCKS; i++) {
    hak_theap_get()->slow_calls = 0; /* no tick, which would post the ring before it is full */
    hak_free(owner.blocks[i]);
    size_t waiting = (i - 1) / A_POST % HAK_HELP_POSTS * A_POST;
    CHECK(inbox_length(owner.heap) == waiting, "%zu freed: %zu wait, not %zu", i, inbox_length(owner.heap), waiting);
  }
  hak_remote_post_all(hak_theap_get());
  CHECK(inbox_length(owner.heap) == 0, "%zu wait", inbox_length(owner.heap));
  CHECK(owner.heap->pending == NULL && hak_load_relaxed(&owner.heap->xclaim) == 0, "the helper is done");
  for (unsigned c = 1; c < HAK_SLAB_CLASSES; c++) {
    CHECK(hak_slab_is_valid(owner.heap, c), "class %u", c);
  }
  /* An owner that has taken some in since the last look is left alone, until the next. */
  hak_theap_t *sleeper = owner.heap;
  void *block = owner.blocks[0];
  hak_tag_t tag = hak_tagmap_get_mt(block);
  ((hak_block_t *)block)->key = hak_freed_key(block);
  const uint64_t before_look = (uint64_t)(HAK_HELP_POSTS - 1) << REMOTE_COUNT_SHIFT;
  hak_count(&sleeper->remote_blocks, 1);
  for (size_t look = 0; look < 2; look++) {
    hak_store_relaxed(&sleeper->xinbox, before_look);
    hak_remote_post_one_mt(block, tag);
    CHECK((inbox_length(sleeper) == 0) == (look == 1), "look %zu: %zu wait", look, inbox_length(sleeper));
  }
  /* So is one that is at it itself. */
  hak_store_relaxed(&owner.heap->xbusy, true);
  block = owner.blocks[BLOCKS + 1];
  ((hak_block_t *)block)->key = hak_freed_key(block);
  hak_store_relaxed(&owner.heap->xinbox, before_look);
  hak_remote_post_one_mt(block, tag);
  CHECK(inbox_length(owner.heap) == 1 && hak_load_relaxed(&owner.heap->xclaim) == 0, "taken from a busy owner");
  hak_store_relaxed(&owner.heap->xbusy, false);
  owner_end(&owner);
}

static void parked(size_t unused) {
  (void)unused;
  owner_t owner;
  enum { BLOCKS = 10 * HAK_RING_BLOCKS };
  owner_start(&owner, 256, BLOCKS, true);
  CHECK(hak_load_relaxed(&owner.heap->xstate) == HAK_THEAP_PARKED && owner.heap->tls == NULL, "parked");
  for (size_t i = 0; i < BLOCKS; i++) {
    hak_free(owner.blocks[i]);
    CHECK(hak_load_relaxed(&owner.heap->xinbox) == 0, "block %zu waits for nobody", i);
  }
  hak_theap_flush(hak_theap_get());
  CHECK(owner.heap->spare != NULL && hak_load_relaxed(hak_segment_active_slices()) == 1, "its slabs are empty");
  hak_collect(0);
  CHECK(owner.heap->spare == NULL && hak_load_relaxed(hak_segment_active_slices()) == 0, "its slabs are gone");
}

/* The count of posts goes round without touching the address. */
static void many_posts(size_t unused) {
  (void)unused;
  owner_t owner;
  enum { POSTS = 70000 };
  owner_start(&owner, 16, POSTS, true);
  hak_theap_t *heap = hak_registry_adopt_mt(); /* nobody helps an active owner that is claimed */
  uint32_t unclaimed = 0;
  CHECK(heap == owner.heap && hak_cas_seq(&heap->xclaim, &unclaimed, 1), "claim");
  for (size_t i = 0; i < POSTS; i++) {
    hak_block_t *block = owner.blocks[i];
    block->key = hak_freed_key(block);
    hak_remote_post_one_mt(block, hak_tagmap_get_mt(block));
    CHECK(posts_of(heap) == (i + 1) % 65536 && remote_first(hak_load_relaxed(&heap->xinbox)) == block, "post %zu", i);
  }
  CHECK(inbox_length(heap) == POSTS, "%zu blocks", inbox_length(heap));
  hak_guard_release_mt(heap);
  hak_guard_enter(heap);
  CHECK(hak_remote_drain(heap, NULL, UINT32_MAX) && !hak_remote_drain(heap, NULL, 1), "drained");
  hak_slab_release_spare(heap);
  hak_guard_leave(heap);
  CHECK(hak_load_relaxed(hak_segment_active_slices()) == 0, "slabs are left");
}

static void test_helping(void **state) {
  (void)state;
  child_passes(sleeping, 0);
  child_passes(parked, 0);
  child_passes(many_posts, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_posting),
      cmocka_unit_test(test_travelling),
      cmocka_unit_test(test_draining),
      cmocka_unit_test(test_helping),
  };
  return cmocka_run_group_tests_name("remote", tests, NULL, NULL);
}
