/* Lines on standard error without allocation: the last words of a process that misused the allocator, and log lines
 * about failures that the allocator survives. Any thread may call these. */
#ifndef HAK_BASE_LOG_H
#define HAK_BASE_LOG_H

#include "base/attr.h"

/* What is wrong with a pointer; the whole vocabulary, so that programs can match on it. */
#define HAK_BAD_DOUBLE_FREE "double free"
#define HAK_BAD_FOREIGN "not a block of this allocator"
#define HAK_BAD_INTERIOR "pointer inside a block"
#define HAK_BAD_HEAP "not a block of this heap"
#define HAK_BAD_DESTROYED "not a live heap"
#define HAK_BAD_OVERWRITTEN "a free block was written to"
#define HAK_BAD_OVERRUN "bytes behind the block were written to" /* these in the secure build */
#define HAK_BAD_UNDERRUN "bytes in front of the block were written to"
#define HAK_BAD_SIZE "not the size it was allocated with"
#define HAK_BAD_ALIGNMENT "not the alignment it was allocated with"

/* Formats as snprintf does, for %s %d %u %zu %lu %lx %llu only, and returns the length written (without the NUL). */
HAK_HIDDEN size_t hak_format(char *out, size_t capacity, const char *format, ...) HAK_PRINTF(3, 4);

/* Writes one line to the file descriptor; longer lines than 512 bytes are cut. */
HAK_HIDDEN void hak_print(int fd, const char *format, ...) HAK_PRINTF(2, 3);

/* Prints `hakmem: <function>: <what>: 0x<pointer>` and aborts. */
HAK_SLOW _Noreturn void hak_fatal(const char *function, const char *what, const void *pointer);

/* The kinds of failure that are logged, each rate-limited to its first HAK_LOG_LINES_MAX lines. */
enum {
  HAK_LOG_ARENA_MAP,
  HAK_LOG_CHUNK,
  HAK_LOG_REFILL,
  HAK_LOG_MMAP,
  HAK_LOG_OOM,
  HAK_LOG_PURGE,
  HAK_LOG_BACKGROUND,
  HAK_LOG_LIMIT,
  HAK_LOG_KINDS
};
#define HAK_LOG_LINES_MAX 10u

/* Whether the caller may print one more line of this kind: logging is on and the kind's limit is not reached. */
HAK_SLOW bool hak_log_wanted(unsigned kind);

/* Turns log lines on or off; off at start. */
HAK_HIDDEN void hak_log_enable(bool on);

/* Logs a printf-formatted line about a failure: hak_log(HAK_LOG_CHUNK, "[POOL_ARENA] chunk_ensure FAILED: ...", ...). */
#define hak_log(kind, ...)                               \
  do {                                                   \
    if (hak_log_wanted(kind)) hak_print(2, __VA_ARGS__); \
  } while (0)

#endif
