#include "heap/fork.h"

#include "core/registry.h"
#include "core/segment.h"
#include "os/os.h"
#include "tier/mmap.h"

/* No other path takes two of these, so any order is free of deadlock. */
static hak_lock_t *const fork_locks[] = {&hak_registry_lock, &hak_segment_lock, &hak_mmap_lock};
#define FORK_LOCKS (sizeof(fork_locks) / sizeof(fork_locks[0]))

static void fork_prepare(void) {
  for (unsigned i = 0; i < FORK_LOCKS; i++) hak_lock(fork_locks[i]);
}

static void fork_parent(void) {
  for (unsigned i = 0; i < FORK_LOCKS; i++) hak_unlock(fork_locks[i]);
}

/* The forking thread goes on with its heap. The heaps of the others stay as they are: nobody can say whether one was
 * being changed at the moment of the fork, so none is adopted; what the child frees of their blocks waits in their
 * inboxes. */
static void fork_child(void) {
  for (unsigned i = 0; i < FORK_LOCKS; i++) hak_lock_reset(fork_locks[i]);
}

void hak_fork_hook(void) { hak_os_at_fork(fork_prepare, fork_parent, fork_child); }
