/* What valgrind's memcheck is told when the library is built for it (CMake: HAK_VALGRIND); otherwise nothing of this is there.
 *
 * The allocator's own memory is marked as not to be touched from the moment it is mapped, so that memcheck neither takes a
 * free block for one in use nor a pointer in our tables for a reason why a block is not lost. Between hak_memcheck_pause and
 * hak_memcheck_resume a thread is the allocator and may touch it all the same; they nest. The interface's functions are
 * wrapped in api/valgrind.c, for which hakmem.c compiles those of the other files of api/ under names of their own. */
#ifndef HAK_OS_VALGRIND_H
#define HAK_OS_VALGRIND_H

#include "base/attr.h"

#ifdef HAK_VALGRIND

#include <valgrind/memcheck.h>

HAK_FAST void hak_memcheck_pause(void) { VALGRIND_DISABLE_ERROR_REPORTING; }
HAK_FAST void hak_memcheck_resume(void) { VALGRIND_ENABLE_ERROR_REPORTING; }

/* Of memory that was just mapped, or of a block that is about to be handed out. */
HAK_FAST void hak_memcheck_hide(void *base, size_t bytes) { (void)VALGRIND_MAKE_MEM_NOACCESS(base, bytes); }

HAK_FAST void hak_memcheck_allocated(void *block, size_t bytes, bool zeroed) {
  VALGRIND_MALLOCLIKE_BLOCK(block, bytes, 0, zeroed);
}
HAK_FAST void hak_memcheck_freed(void *block) { VALGRIND_FREELIKE_BLOCK(block, 0); }

/* A block of a heap of the program's own: memory only, for memcheck would miss blocks that end with their heap. */
HAK_FAST void hak_memcheck_show(void *block, size_t bytes, bool zeroed) {
  if (zeroed) {
    (void)VALGRIND_MAKE_MEM_DEFINED(block, bytes);
  } else {
    (void)VALGRIND_MAKE_MEM_UNDEFINED(block, bytes);
  }
}

/* The rest of a block may be used, too. */
HAK_FAST void hak_memcheck_extend(void *block, size_t bytes) {
  uintptr_t end = (uintptr_t)VALGRIND_CHECK_MEM_IS_ADDRESSABLE(block, bytes); /* the first byte that is not; 0 */
  if (end != 0) (void)VALGRIND_MAKE_MEM_UNDEFINED(end, (uintptr_t)block + bytes - end);
}

#include "base/plain_names.h"
#define hak_usable_size hak_plain_usable_size
#define hak_tier_of hak_plain_tier_of
#define hak_collect hak_plain_collect
#define hak_limit_set hak_plain_limit_set
#define hak_stats_get hak_plain_stats_get
#define hak_stats_print hak_plain_stats_print
#define hak_thread_stats_get hak_plain_thread_stats_get
#define hak_heap_new hak_plain_heap_new
#define hak_heap_stats hak_plain_heap_stats
#define hak_heap_of hak_plain_heap_of
#define hak_config_print hak_plain_config_print
#define hak_ace_snapshot hak_plain_ace_snapshot

#else

HAK_FAST void hak_memcheck_pause(void) {}
HAK_FAST void hak_memcheck_resume(void) {}
HAK_FAST void hak_memcheck_hide(void *base, size_t bytes) { (void)base, (void)bytes; }

#endif
#endif
