/* Assertions of three costs. hak_check is always on and ends the process: use it where going on would corrupt memory.
 * hak_assert is for debug builds (no NDEBUG) and HAK_DEBUG=1. hak_assert_slow walks structures and wants HAK_DEBUG=2. */
#ifndef HAK_BASE_CHECK_H
#define HAK_BASE_CHECK_H

#include "base/log.h"

#ifdef HAK_DEBUG
#define HAK_DEBUG_LEVEL HAK_DEBUG
#elif defined(NDEBUG)
#define HAK_DEBUG_LEVEL 0
#else
#define HAK_DEBUG_LEVEL 1
#endif

#define hak_check(condition) (HAK_LIKELY(condition) ? (void)0 : hak_fatal(__func__, "corrupted: not " #condition, NULL))
#define hak_assert(condition)                       \
  do {                                              \
    if (HAK_DEBUG_LEVEL >= 1) hak_check(condition); \
  } while (0)
#define hak_assert_slow(condition)                  \
  do {                                              \
    if (HAK_DEBUG_LEVEL >= 2) hak_check(condition); \
  } while (0)

#endif
