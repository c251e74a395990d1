#include "heap/quarantine.h"

#include <string.h>

#include "base/bits.h"
#include "base/check.h"
#include "core/options.h"
#include "core/trailer.h"
#include "os/os.h"

void hak_quarantine_wipe(char *block, size_t bytes) {
  char *end = block + bytes - HAK_TRAILER_BYTES;
  if (bytes >= HAK_WIPE_PURGE_MIN) {
    char *from = (char *)hak_align_up((uintptr_t)block, hak_os_page_bytes());
    char *to = (char *)hak_align_down((uintptr_t)end, hak_os_page_bytes());
    if (from < to && hak_os_purge(from, (size_t)(to - from))) { /* not what is locked */
      memset(block, 0, (size_t)(from - block));
      memset(to, 0, (size_t)(end - to));
      return;
    }
  }
  memset(block, 0, (size_t)(end - block));
}

/* Ends the process if the block was written to since it was wiped. */
static void quarantine_look_at(const char *block, size_t bytes, const char *function) {
  hak_trailer_t *place = hak_trailer_of(block, bytes);
  size_t rest = bytes - HAK_TRAILER_BYTES;
  const uint64_t *at = (const uint64_t *)(const void *)block;
  uint64_t differs = hak_load_relaxed(place) ^ hak_trailer_freed(place);
  if (bytes >= HAK_WIPE_PURGE_MIN) rest = HAK_WIPE_LOOK_MAX; /* each page that is looked at takes a fault */
  for (size_t i = 0; i < rest / sizeof(uint64_t); i++) differs |= at[i];
  if (HAK_UNLIKELY(differs != 0)) hak_fatal(function, HAK_BAD_OVERWRITTEN, block);
}

static size_t quarantine_counts(size_t bytes) {
  return bytes < HAK_WIPE_PURGE_MIN ? bytes : bytes / HAK_WIPE_PURGED_SHARE;
}

static size_t quarantine_most(void) { return (size_t)hak_options.quarantine_kib * HAK_KIB; }

bool hak_quarantine_takes(size_t bytes) { return quarantine_counts(bytes) <= quarantine_most() / HAK_QUARANTINE_SHARE; }

/* Lets one block go. The structure is as if it had gone before anything else happens. */
static void quarantine_let_go(hak_theap_t *heap, uint32_t number, const char *function) {
  hak_quarantine_t *quarantine = &heap->quarantine;
  char *block = quarantine->slots[number].block;
  size_t bytes = quarantine->slots[number].bytes;
  quarantine->slots[number] = quarantine->slots[--quarantine->count];
  quarantine->bytes -= quarantine_counts(bytes);
  quarantine_look_at(block, bytes, function);
  hak_quarantine_release(block);
}

void hak_quarantine_put(hak_theap_t *heap, void *block, size_t bytes, const char *function) {
  hak_quarantine_t *quarantine = &heap->quarantine;
  size_t counts = quarantine_counts(bytes);
  while (quarantine->count == HAK_QUARANTINE_BLOCKS ||
         (quarantine->count != 0 && quarantine->bytes + counts > quarantine_most())) {
    quarantine_let_go(heap, hak_random(&heap->random, quarantine->count), function);
  }
  uint32_t number = quarantine->count++;
  quarantine->slots[number].block = block;
  quarantine->slots[number].bytes = bytes;
  quarantine->bytes += counts;
}

bool hak_quarantine_drain(hak_theap_t *heap, const char *function) {
  bool any = heap->quarantine.count != 0;
  while (heap->quarantine.count != 0) quarantine_let_go(heap, heap->quarantine.count - 1, function);
  return any;
}

void hak_quarantine_forget(hak_theap_t *heap) {
  heap->quarantine.count = 0;
  heap->quarantine.bytes = 0;
}

void hak_quarantine_look(const hak_theap_t *heap, const char *function) {
  const hak_quarantine_t *quarantine = &heap->quarantine;
  for (uint32_t i = 0; i < quarantine->count; i++) {
    quarantine_look_at(quarantine->slots[i].block, quarantine->slots[i].bytes, function);
  }
}

bool hak_quarantine_is_valid(const hak_theap_t *heap) {
  const hak_quarantine_t *quarantine = &heap->quarantine;
  size_t bytes = 0;
  if (quarantine->count > HAK_QUARANTINE_BLOCKS) return false;
  for (uint32_t i = 0; i < quarantine->count; i++) bytes += quarantine_counts(quarantine->slots[i].bytes);
  return bytes == quarantine->bytes && bytes <= quarantine_most();
}
