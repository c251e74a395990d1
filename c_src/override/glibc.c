/* What glibc has beside malloc's family: what its malloc.h asks and sets, and the names behind the names, which some
 * programs call to get past a replaced malloc. They must not get past this one: a block of the C library's own would be
 * freed here. In a static program they keep the C library's malloc from being linked in as well. */
#ifdef __GLIBC__
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "hakmem.h"

#define GLIBC_API HAK_API

GLIBC_API void *__libc_malloc(size_t size) { return malloc(size); }
GLIBC_API void *__libc_calloc(size_t count, size_t size) { return calloc(count, size); }
GLIBC_API void *__libc_realloc(void *p, size_t size) { return realloc(p, size); }
GLIBC_API void __libc_free(void *p) { free(p); }
GLIBC_API void *__libc_memalign(size_t alignment, size_t size) { return memalign(alignment, size); }
GLIBC_API void *__libc_valloc(size_t size) { return valloc(size); }
GLIBC_API void *__libc_pvalloc(size_t size) { return pvalloc(size); }
GLIBC_API int __posix_memalign(void **out, size_t alignment, size_t size) {
  return posix_memalign(out, alignment, size);
}

/* ---- What is in use ---- */

/* mallinfo2 came with glibc 2.33; built against an older one, this library still serves programs that know it. */
#if __GLIBC_PREREQ(2, 33)
typedef struct mallinfo2 glibc_info_t;
#else
typedef struct mallinfo2 {
  size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
} glibc_info_t;
#endif

/* Memory of segments is in use or dirty, that is free and still resident; what thread caches hold counts as in use, since
 * hits count nothing. The mmap tier's blocks are the mapped ones. The counts of free chunks have no meaning here. */
GLIBC_API glibc_info_t mallinfo2(void) {
  hak_stats_t stats = {.size = sizeof(stats)};
  hak_stats_get(&stats);
  const hak_tier_stats_t *mapped = &stats.tier[HAK_TIER_MMAP];
  return (glibc_info_t){
      .arena = stats.active_bytes + stats.dirty_bytes,
      .hblks = mapped->served > mapped->returned ? mapped->served - mapped->returned : 0,
      .hblkhd = stats.mmap_bytes,
      .uordblks = stats.active_bytes,
      .fordblks = stats.dirty_bytes,
      .keepcost = stats.dirty_bytes,
  };
}

static int glibc_clamp(size_t value) { return value > INT_MAX ? INT_MAX : (int)value; }

/* The same in the integers of old. Beyond their range the largest: glibc wraps, which says nothing. */
static struct mallinfo glibc_old_info(void) {
  glibc_info_t info = mallinfo2();
  return (struct mallinfo){
      .arena = glibc_clamp(info.arena),
      .hblks = glibc_clamp(info.hblks),
      .hblkhd = glibc_clamp(info.hblkhd),
      .uordblks = glibc_clamp(info.uordblks),
      .fordblks = glibc_clamp(info.fordblks),
      .keepcost = glibc_clamp(info.keepcost),
  };
}

GLIBC_API struct mallinfo mallinfo(void) { return glibc_old_info(); }
GLIBC_API struct mallinfo __libc_mallinfo(void) { return glibc_old_info(); }

/* As XML with the elements of glibc that have a meaning here, and one for each tier. */
GLIBC_API int malloc_info(int options, FILE *file) {
  if (options != 0) return EINVAL;
  hak_stats_t stats = {.size = sizeof(stats)};
  hak_stats_get(&stats);
  glibc_info_t info = mallinfo2();
  fprintf(file, "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n</sizes>\n");
  for (int tier = 0; tier < HAK_TIER_COUNT; tier++) {
    const hak_tier_stats_t *counters = &stats.tier[tier];
    fprintf(file, "<tier name=\"%s\" served=\"%lu\" returned=\"%lu\" failed=\"%lu\"/>\n", hak_tier_name(tier),
            (unsigned long)counters->served, (unsigned long)counters->returned, (unsigned long)counters->failed);
  }
  fprintf(file, "<system type=\"current\" size=\"%zu\"/>\n<aspace type=\"total\" size=\"%lu\"/>\n</heap>\n", info.arena,
          (unsigned long)stats.segment_bytes);
  fprintf(file, "<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n", info.ordblks, info.fordblks);
  fprintf(file, "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n", info.hblks, info.hblkhd);
  fprintf(file, "<system type=\"current\" size=\"%zu\"/>\n", info.arena + info.hblkhd);
  fprintf(file, "<aspace type=\"total\" size=\"%lu\"/>\n</malloc>\n",
          (unsigned long)(stats.segment_bytes + stats.mmap_bytes));
  return 0;
}

/* ---- What can be set: nothing that has a meaning here ---- */

/* Says yes to every parameter, as glibc does to those that it does not know, and no to a value that it refuses. */
GLIBC_API int mallopt(int parameter, int value) {
  return parameter != M_MXFAST || (value >= 0 && (size_t)value <= 80 * sizeof(size_t) / 4);
}
GLIBC_API int __libc_mallopt(int parameter, int value) { return mallopt(parameter, value); }

#endif
