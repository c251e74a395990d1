#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/atomic.h"

#define LOG_LINE_BYTES 512

static _Atomic bool log_xon;
static _Atomic uint32_t log_xlines[HAK_LOG_KINDS];

typedef struct {
  char *out;
  size_t used, capacity;
} log_buffer_t;

static void log_put(log_buffer_t *b, char c) {
  if (b->used + 1 < b->capacity) b->out[b->used++] = c;
}

static void log_put_number(log_buffer_t *b, uint64_t value, unsigned base) {
  char digits[20];
  unsigned n = 0;
  do {
    digits[n++] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value != 0);
  while (n != 0) log_put(b, digits[--n]);
}

static void log_put_signed(log_buffer_t *b, int64_t value) {
  if (value < 0) log_put(b, '-');
  log_put_number(b, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10);
}

static size_t log_vformat(char *out, size_t capacity, const char *format, va_list args) {
  log_buffer_t b = {.out = out, .used = 0, .capacity = capacity};
  for (const char *f = format; *f != 0; f++) {
    if (*f != '%') {
      log_put(&b, *f);
      continue;
    }
    unsigned longs = 0;
    for (f++; *f == 'l' || *f == 'z'; f++) longs++; /* on the systems supported, long, long long and size_t agree */
    switch (*f) {
    case 's':
      for (const char *s = va_arg(args, const char *); *s != 0; s++) log_put(&b, *s);
      break;
    case 'd':
      log_put_signed(&b, longs != 0 ? va_arg(args, long) : va_arg(args, int));
      break;
    case 'u':
      log_put_number(&b, longs != 0 ? va_arg(args, unsigned long) : va_arg(args, unsigned), 10);
      break;
    case 'x':
      log_put_number(&b, longs != 0 ? va_arg(args, unsigned long) : va_arg(args, unsigned), 16);
      break;
    default: /* "%%", and nothing else is used */
      log_put(&b, *f);
      break;
    }
  }
  if (capacity != 0) out[b.used] = 0;
  return b.used;
}

size_t hak_format(char *out, size_t capacity, const char *format, ...) {
  va_list args;
  va_start(args, format);
  size_t length = log_vformat(out, capacity, format, args);
  va_end(args);
  return length;
}

void hak_print(int fd, const char *format, ...) {
  char line[LOG_LINE_BYTES];
  va_list args;
  va_start(args, format);
  size_t length = log_vformat(line, sizeof(line) - 1, format, args);
  va_end(args);
  line[length++] = '\n';
  int saved = errno;
  for (size_t done = 0; done < length;) { /* a pipe may take less than a line */
    ssize_t n = write(fd, line + done, length - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += (size_t)n;
  }
  errno = saved;
}

void hak_fatal(const char *function, const char *what, const void *pointer) {
  hak_print(2, "hakmem: %s: %s: 0x%lx", function, what, (unsigned long)(uintptr_t)pointer);
  abort();
}

void hak_log_enable(bool on) { hak_store_relaxed(&log_xon, on); }

bool hak_log_wanted(unsigned kind) {
  return hak_load_relaxed(&log_xon) && hak_add_relaxed(&log_xlines[kind], 1) < HAK_LOG_LINES_MAX;
}
