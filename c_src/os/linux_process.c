#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/os.h"

/* By system calls: the C library's functions are points where a thread may be cancelled. */
static int process_open(const char *path, int flags) {
  if (os_fails_now()) return -1;
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0666);
}

static long process_read(int fd, char *data, size_t bytes) {
  long n;
  do {
    n = syscall(SYS_read, fd, data, bytes);
  } while (n < 0 && errno == EINTR);
  return n;
}

int hak_os_create_file(const char *path) { return process_open(path, O_WRONLY | O_CREAT | O_TRUNC); }
void hak_os_close(int fd) {
  int saved = errno;
  (void)syscall(SYS_close, fd);
  errno = saved;
}
unsigned hak_os_process_id(void) { return (unsigned)getpid(); }

uint64_t hak_os_random(void) {
  uint64_t random = 0;
  const void *bytes = (const void *)(uintptr_t)getauxval(AT_RANDOM);
  if (bytes != NULL) memcpy(&random, bytes, sizeof(random));
  return random ^ hak_os_now_ms() ^ (uint64_t)getpid() << 32;
}

bool hak_os_write(int fd, const char *data, size_t bytes) {
  if (os_fails_now()) return false;
  for (size_t done = 0; done < bytes;) {
    long n = syscall(SYS_write, fd, data + done, bytes - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    done += (size_t)n;
  }
  return true;
}

bool hak_os_write_mappings(int fd) {
  int maps = process_open("/proc/self/maps", O_RDONLY);
  if (maps < 0) return false;
  char part[2048];
  long n;
  bool written = true;
  while ((n = process_read(maps, part, sizeof(part))) > 0 && written) written = hak_os_write(fd, part, (size_t)n);
  hak_os_close(maps);
  return written && n == 0;
}

/* ---- The stack ---- */

/* The thread's control block, which the C library puts at the end of the stack that it makes for a thread. */
static uintptr_t process_thread_pointer(void) {
  uintptr_t tp;
#if defined(__x86_64__)
  __asm__("movq %%fs:0, %0" : "=r"(tp));
#else
  __asm__("mrs %0, tpidr_el0" : "=r"(tp));
#endif
  return tp;
}

/* A line of /proc/self/maps as it is read: "low-high access offset device inode name". */
typedef struct process_mapping {
  uintptr_t low, high;
  unsigned field; /* 0: in low, 1: in high, 2: behind */
  uint64_t tail;  /* the last 8 characters */
} process_mapping_t;

static void process_take_char(process_mapping_t *line, char c) {
  line->tail = line->tail << 8 | (unsigned char)c;
  if (line->field == 2) return;
  if (c == '-' || c == ' ') {
    line->field++;
    return;
  }
  uintptr_t *number = line->field == 0 ? &line->low : &line->high;
  *number = *number * 16 + (uintptr_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

#define PROCESS_STACK_TAIL UINT64_C(0x5b737461636b5d) /* "[stack]" */

/* Of the mapping that has `at`, how much is stack: of the first thread's all, which the kernel keeps apart from others; of
 * another's what is below its control block, which goes when the thread does. Else 0. */
static uintptr_t process_stack_end(const process_mapping_t *line, uintptr_t at) {
  uintptr_t tp = process_thread_pointer();
  if ((line->tail & ((UINT64_C(1) << 56) - 1)) == PROCESS_STACK_TAIL) return line->high;
  return tp > at && tp < line->high ? tp : 0;
}

bool hak_os_stack_limits(uintptr_t at, uintptr_t *low, uintptr_t *high) {
  int saved = errno;
  int maps = process_open("/proc/self/maps", O_RDONLY);
  uintptr_t end = 0;
  if (maps >= 0) {
    char part[1024];
    process_mapping_t line = {0};
    long n;
    for (bool found = false; !found && (n = process_read(maps, part, sizeof(part))) > 0;) {
      for (long i = 0; i < n && !found; i++) {
        if (part[i] != '\n') {
          process_take_char(&line, part[i]);
          continue;
        }
        found = at >= line.low && at < line.high;
        if (found) end = process_stack_end(&line, at);
        if (found) *low = line.low;
        line = (process_mapping_t){0};
      }
    }
    hak_os_close(maps);
  }
  *high = end;
  errno = saved;
  return end != 0;
}
