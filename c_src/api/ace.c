/* What the adaptive cache engine decided (core/adapt.h), summed over the threads. */
#include "api/ace.h"

#include "base/log.h"
#include "core/adapt.h"
#include "core/registry.h"
#include "hakmem.h"

_Static_assert(HAK_ACE_SNAPSHOT_CLASSES == HAK_SPAN_CLASSES, "what the header says");

static void ace_add(hak_ace_class_t *sum, const hak_adapt_t *adapt, bool active) {
  uint32_t misses = hak_load_relaxed(&adapt->xmisses), overflows = hak_load_relaxed(&adapt->xoverflows);
  uint32_t capacity = hak_load_relaxed(&adapt->xcapacity);
  sum->misses += misses;
  sum->overflows += overflows;
  if (!active || (misses | overflows) == 0) return;
  if (sum->threads == 0 || capacity < sum->capacity_least) sum->capacity_least = capacity;
  if (capacity > sum->capacity_most) sum->capacity_most = capacity;
  sum->threads++;
}

int hak_ace_snapshot(hak_ace_snapshot_t *snapshot) {
  if (snapshot->size != sizeof(*snapshot)) return 0;
  *snapshot = (hak_ace_snapshot_t){
      .size = sizeof(*snapshot), .budget_bytes = hak_adapt_budget_mt(), .grown_bytes = hak_adapt_grown_mt()};
  uint32_t count = hak_registry_count_mt();
  for (unsigned c = 0; c < HAK_SPAN_CLASSES; c++) {
    hak_ace_class_t *sum = &snapshot->classes[c];
    sum->block_bytes = hak_span_classes[c].block_bytes;
    sum->capacity_start = hak_adapt_bounds(c)->start;
    for (uint32_t id = 1; id <= count; id++) {
      const hak_theap_t *heap = hak_registry_heap(id);
      ace_add(sum, &heap->adapt[c], hak_load_relaxed(&heap->xstate) == HAK_THEAP_ACTIVE);
    }
  }
  return 1;
}

void hak_ace_print(int fd) {
  hak_ace_snapshot_t snapshot = {.size = sizeof(snapshot)};
  if (!hak_ace_snapshot(&snapshot)) return;
  hak_print(fd, "ace.budget_bytes: %lu", (unsigned long)snapshot.budget_bytes);
  hak_print(fd, "ace.grown_bytes: %lu", (unsigned long)snapshot.grown_bytes);
  for (unsigned c = 0; c < HAK_ACE_SNAPSHOT_CLASSES; c++) {
    const hak_ace_class_t *of = &snapshot.classes[c];
    if (of->misses + of->overflows == 0) continue;
    hak_print(fd, "ace.%u: threads=%u, capacity=%u..%u (start %u), misses=%lu, overflows=%lu",
              (unsigned)of->block_bytes, of->threads, of->capacity_least, of->capacity_most, of->capacity_start,
              (unsigned long)of->misses, (unsigned long)of->overflows);
  }
}
