/* Linux (x86-64, aarch64; glibc and musl). */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/limits.h"
#include "os/os.h"
#include "os/valgrind.h"

/* Of linux/futex.h and linux/membarrier.h, which not every C library comes with: musl does not. */
enum { OS_FUTEX_WAIT = 0, OS_FUTEX_WAKE = 1, OS_FUTEX_PRIVATE = 128 };
enum { OS_MEMBARRIER_PRIVATE = 1 << 3, OS_MEMBARRIER_REGISTER_PRIVATE = 1 << 4 };

#ifdef HAK_TESTING
#define OS_TESTING 1
#else
#define OS_TESTING 0
#endif

/* Calls until the injected failures begin, and how many they are. */
static _Atomic int64_t os_xfail_after;
static _Atomic int64_t os_xfail_count;

void hak_os_fail_calls(unsigned after, unsigned count) {
  hak_store_relaxed(&os_xfail_after, (int64_t)after);
  hak_store_relaxed(&os_xfail_count, (int64_t)count);
}

static bool os_fails_now(void) {
  if (!OS_TESTING || hak_load_relaxed(&os_xfail_count) <= 0) return false;
  if (hak_sub_relaxed(&os_xfail_after, 1) > 0) return false;
  errno = ENOMEM;
  return hak_sub_relaxed(&os_xfail_count, 1) > 0;
}

size_t hak_os_page_bytes(void) {
  static _Atomic size_t xpage; /* written with the same value by whoever comes first */
  size_t page = hak_load_relaxed(&xpage);
  if (HAK_UNLIKELY(page == 0)) {
    page = (size_t)getauxval(AT_PAGESZ);
    if (page == 0) page = 4096;
    hak_store_relaxed(&xpage, page);
  }
  return page;
}

unsigned hak_os_cpus(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  int n = CPU_COUNT(&set);
  return n > 0 ? (unsigned)n : 1;
}

/* ---- Memory ----
 *
 * By system calls, past the C library: another preloaded library may have put functions of its own in place of mmap and
 * its like, which look up the real ones by dlsym, which allocates. Only TSan, which has done so too, needs to be told. */

/* At `wish` if there is room, else where the kernel likes. */
static void *os_map_at(uintptr_t wish, size_t bytes) {
  if (os_fails_now()) return NULL;
  const int access = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
  if (HAK_TSAN) {
    void *base = mmap((void *)wish, bytes, access, flags, -1, 0);
    return base == MAP_FAILED ? NULL : base;
  }
  long base = syscall(SYS_mmap, wish, bytes, access, flags, -1, 0L);
  if (base == -1) return NULL;
  hak_memcheck_hide((void *)base, bytes);
  return (void *)base;
}

void *hak_os_map(size_t bytes) { return os_map_at(0, bytes); }

/* The last aligned mapping. Below it there is room, most likely, for the kernel fills the address space downwards. */
static _Atomic uintptr_t os_xaligned;

/* What is too much of the very first aligned mapping stays mapped, untouched, if it is no more than this: two system calls
 * less at the start of every program. */
#define OS_SLACK_KEPT HAK_SEGMENT_BYTES

void *hak_os_map_aligned(size_t bytes, size_t alignment) {
  size_t page = hak_os_page_bytes();
  if (alignment <= page) return hak_os_map(bytes);
  size_t slack = alignment - page;
  if (bytes + slack < bytes) {
    errno = ENOMEM;
    return NULL;
  }
  uintptr_t last = hak_load_relaxed(&os_xaligned);
  if (last > bytes) {
    uintptr_t base = (uintptr_t)os_map_at(hak_align_down(last - bytes, alignment), bytes);
    if (base == 0 || (base & (alignment - 1)) == 0) {
      if (base != 0) hak_store_relaxed(&os_xaligned, base);
      return (void *)base;
    }
    hak_os_unmap((void *)base, bytes);
  }
  char *base = hak_os_map(bytes + slack);
  if (base == NULL) return NULL;
  char *aligned = (char *)hak_align_up((uintptr_t)base, alignment);
  size_t head = (size_t)(aligned - base);
  bool keeps_slack = last == 0 && slack < OS_SLACK_KEPT;
  hak_store_relaxed(&os_xaligned, (uintptr_t)(keeps_slack ? base : aligned));
  if (keeps_slack) return aligned;
  if (head != 0) hak_os_unmap(base, head);
  if (slack != head) hak_os_unmap(aligned + bytes, slack - head);
  return aligned;
}

static bool os_fail_unmap; /* tests only: whether the system refuses */

bool hak_os_unmap(void *base, size_t bytes) {
  if (OS_TESTING && os_fail_unmap) return false;
  int saved = errno;
  bool done = (HAK_TSAN ? munmap(base, bytes) : syscall(SYS_munmap, base, bytes)) == 0;
  errno = saved;
  return done;
}

void *hak_os_remap(void *base, size_t old_bytes, size_t new_bytes) {
  if (os_fails_now()) return NULL;
  if (HAK_TSAN) {
    void *moved = mremap(base, old_bytes, new_bytes, MREMAP_MAYMOVE);
    return moved == MAP_FAILED ? NULL : moved;
  }
  long moved = syscall(SYS_mremap, base, old_bytes, new_bytes, MREMAP_MAYMOVE, NULL);
  return moved == -1 ? NULL : (void *)moved;
}

static void (*os_on_purge)(void); /* tests only: called before each purge */

bool hak_os_purge(void *base, size_t bytes) {
  int saved = errno;
  if (OS_TESTING && os_on_purge != NULL) os_on_purge();
  bool done = !os_fails_now() && syscall(SYS_madvise, base, bytes, MADV_DONTNEED) == 0;
  errno = saved;
  return done;
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* since Linux 5.14; EINVAL before */
#endif

void hak_os_populate(void *base, size_t bytes) {
  int saved = errno;
  uintptr_t from = hak_align_down((uintptr_t)base, hak_os_page_bytes());
  uintptr_t to = hak_align_up((uintptr_t)base + bytes, hak_os_page_bytes());
  (void)syscall(SYS_madvise, from, to - from, MADV_POPULATE_WRITE);
  errno = saved;
}

static void os_advise(void *base, size_t bytes, int advice) {
  int saved = errno;
  uintptr_t from = hak_align_up((uintptr_t)base, hak_os_page_bytes());
  uintptr_t to = hak_align_down((uintptr_t)base + bytes, hak_os_page_bytes());
  /* EINVAL where the kernel has no huge pages: nothing to avoid then, or to have */
  (void)syscall(SYS_madvise, from, to - from, advice);
  errno = saved;
}

void hak_os_no_huge_pages(void *base, size_t bytes) { os_advise(base, bytes, MADV_NOHUGEPAGE); }
void hak_os_huge_pages(void *base, size_t bytes) { os_advise(base, bytes, MADV_HUGEPAGE); }

uint64_t hak_os_now_ms(void) {
  struct timespec t;
  if (clock_gettime(CLOCK_MONOTONIC_COARSE, &t) != 0) return 0;
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static bool os_fail_getrandom; /* tests only: whether the system has none */

/* Without getrandom (Linux 3.17), or in a machine that has just begun and would make us wait: 16 random bytes that the kernel
 * gave the process, mixed with the clock and addresses. */
static void os_secret_otherwise(unsigned char *out, size_t bytes) {
  const unsigned char *given = (const unsigned char *)getauxval(AT_RANDOM);
  struct timespec t = {0};
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  uint64_t state = (uint64_t)t.tv_nsec ^ (uintptr_t)&t << 20 ^ (uintptr_t)out << 8 ^ (uint64_t)getpid() << 44;
  for (size_t i = 0; i < bytes; i++) {
    state = (state ^ (given != NULL ? given[i % 16] : 0)) * UINT64_C(0x9e3779b97f4a7c15) + 1;
    state ^= state >> 29;
    out[i] = (unsigned char)(state >> 56);
  }
}

void hak_os_secret(void *out, size_t bytes) {
  const unsigned nonblock = 1; /* GRND_NONBLOCK of linux/random.h */
  int saved = errno;
  if ((OS_TESTING && os_fail_getrandom) || syscall(SYS_getrandom, out, bytes, nonblock) != (long)bytes)
    os_secret_otherwise(out, bytes);
  errno = saved;
}

const char *hak_os_env(const char *name) {
  size_t length = strlen(name);
  for (char **e = environ; e != NULL && *e != NULL; e++) {
    if (strncmp(*e, name, length) == 0 && (*e)[length] == '=') return *e + length + 1;
  }
  return NULL;
}

/* ---- Threads ---- */

static pthread_key_t os_exit_key;
static _Atomic uint32_t os_xexit_key_made; /* 0 no, 1 being made, 2 yes, 3 the system has none left */

bool hak_os_at_thread_exit(void (*on_exit)(void *), void *argument) {
  uint32_t made = hak_load_acquire(&os_xexit_key_made); /* pairs with the release below: the key is visible */
  if (HAK_UNLIKELY(made < 2)) {
    uint32_t none = 0;
    if (hak_cas_acq_rel(&os_xexit_key_made, &none, 1)) {
      made = pthread_key_create(&os_exit_key, on_exit) == 0 ? 2 : 3;
      hak_store_release(&os_xexit_key_made, made);
    } else { /* somebody else makes it: a handful of instructions, once a process */
      while ((made = hak_load_acquire(&os_xexit_key_made)) < 2) hak_os_yield();
    }
  }
  return made == 2 && pthread_setspecific(os_exit_key, argument) == 0;
}

/* A plug-in with the library inside may be unloaded before threads end that used it: they must not come here any more.
 * (The process ends in the same way, for which it does not matter.) Their heaps are lost, as all of its memory is. musl
 * unloads nothing, and takes a lock here that nobody may ever free at the end of a forked child. */
#ifdef __GLIBC__
static void os_end_thread(void);

__attribute__((destructor)) static void os_forget_threads(void) {
  os_end_thread();
  uint32_t made = 2;
  if (hak_cas_acq_rel(&os_xexit_key_made, &made, 3)) pthread_key_delete(os_exit_key);
}
#endif

/* ---- The thread of our own ---- */

#define OS_THREAD_STACK_BYTES (64 * HAK_KIB)

enum { OS_THREAD_NONE, OS_THREAD_MAKING, OS_THREAD_MADE, OS_THREAD_NEVER };

static struct {
  _Atomic uint32_t xstate; /* OS_THREAD_* */
  pthread_t thread;        /* published by the release of MADE */
  pid_t process;           /* whose thread it is */
  void (*run)(void), (*stop)(void);
} os_thread;

/* Threads can be made from the first constructors on; a constructor says so, but nothing else depends on it. */
static _Atomic bool os_xlibc_ready;
__attribute__((constructor)) static void os_libc_is_ready(void) { hak_store_relaxed(&os_xlibc_ready, true); }

_Thread_local bool hak_os_locks_mine HAK_TLS_MODEL;

bool hak_os_may_make_thread(void) { return hak_load_relaxed(&os_xlibc_ready) && !hak_os_locks_mine; }

static void *os_run_thread(void *unused) {
  (void)unused;
  prctl(PR_SET_NAME, "hakmem");
  hak_memcheck_pause(); /* it is the allocator, to its end */
  os_thread.run();
  return NULL;
}

bool hak_os_make_thread(void (*run)(void), void (*stop)(void)) {
  int saved = errno;
  uint32_t none = OS_THREAD_NONE;
  if (os_fails_now() || !hak_cas_acq_rel(&os_thread.xstate, &none, OS_THREAD_MAKING)) {
    errno = saved;
    return false;
  }
  os_thread.process = getpid();
  os_thread.run = run;
  os_thread.stop = stop;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before); /* the new thread inherits it */
  pthread_attr_t attributes;
  int error = pthread_attr_init(&attributes);
  if (error == 0) {
    /* Too little where the program has much thread-local memory: then the usual size. */
    error = pthread_attr_setstacksize(&attributes, OS_THREAD_STACK_BYTES);
    if (error == 0) error = pthread_create(&os_thread.thread, &attributes, os_run_thread, NULL);
    if (error == EINVAL) error = pthread_create(&os_thread.thread, NULL, os_run_thread, NULL);
    pthread_attr_destroy(&attributes);
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  /* release pairs with the acquire in os_end_thread. If the process ended meanwhile, nobody waits for the thread. */
  uint32_t making = OS_THREAD_MAKING;
  (void)hak_cas_acq_rel(&os_thread.xstate, &making, error == 0 ? OS_THREAD_MADE : OS_THREAD_NONE);
  errno = saved;
  return error == 0;
}

#ifdef __GLIBC__
/* At the end of the process it would not matter, but a library that is unloaded must not leave a thread in its code. */
static void os_end_thread(void) {
  uint32_t state = atomic_exchange_explicit(&os_thread.xstate, OS_THREAD_NEVER, memory_order_acq_rel);
  if (state != OS_THREAD_MAKING && state != OS_THREAD_MADE) return;
  if (os_thread.process != getpid()) return; /* a child by clone, for which no handler ran, has no such thread */
  os_thread.stop();
  if (state == OS_THREAD_MADE) pthread_join(os_thread.thread, NULL);
}
#endif

void hak_os_reset(void) {
  uint32_t making = 1;
  (void)hak_cas_relaxed(&os_xexit_key_made, &making, 0); /* who was making it is gone; a key may be lost */
  if (hak_load_relaxed(&os_thread.xstate) != OS_THREAD_NEVER) hak_store_relaxed(&os_thread.xstate, OS_THREAD_NONE);
}

void hak_os_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void)) {
  (void)pthread_atfork(prepare, parent, child); /* out of memory here leaves fork without the hooks: nothing better */
}

/* ---- Lock: Drepper's three-state futex mutex ("Futexes Are Tricky", 2011) ---- */

static void os_futex(_Atomic uint32_t *word, int operation, uint32_t value, const struct timespec *time) {
  int saved = errno;
  syscall(SYS_futex, (uint32_t *)(uintptr_t)word, operation | OS_FUTEX_PRIVATE, value, time, NULL, 0);
  errno = saved;
}

void hak_os_wait(_Atomic uint32_t *word, uint32_t value) { os_futex(word, OS_FUTEX_WAIT, value, NULL); }
void hak_os_wait_ms(_Atomic uint32_t *word, uint32_t value, uint64_t ms) {
  struct timespec time = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
  os_futex(word, OS_FUTEX_WAIT, value, &time);
}
void hak_os_wake(_Atomic uint32_t *word) { os_futex(word, OS_FUTEX_WAKE, 1, NULL); }
void hak_os_yield(void) { sched_yield(); }

/* ---- Asymmetric barrier: membarrier(2), Linux 4.14 ---- */

static int os_membarrier(int command) {
  int saved = errno;
  int result = (int)syscall(SYS_membarrier, command, 0, 0);
  errno = saved;
  return result;
}

enum { OS_BARRIER_NEW, OS_BARRIER_READY, OS_BARRIER_REFUSED };
static _Atomic uint32_t os_xbarrier;

static void os_barrier_register(void) {
  bool ready = os_membarrier(OS_MEMBARRIER_REGISTER_PRIVATE) == 0; /* twice at the same time does no harm */
  hak_store_relaxed(&os_xbarrier, ready ? OS_BARRIER_READY : OS_BARRIER_REFUSED);
}

/* False once the process has had a second thread. Of glibc since 2.32; where it is missing we take it that our first
 * allocation is the program's. */
extern char __libc_single_threaded __attribute__((weak));

void hak_os_barrier_prepare(void) {
  if (&__libc_single_threaded == NULL || __libc_single_threaded != 0) os_barrier_register();
}

bool hak_os_barrier_all_threads(void) {
  if (HAK_UNLIKELY(hak_load_relaxed(&os_xbarrier) == OS_BARRIER_NEW)) os_barrier_register();
  return hak_load_relaxed(&os_xbarrier) == OS_BARRIER_READY && os_membarrier(OS_MEMBARRIER_PRIVATE) == 0;
}

void hak_locks_begin_mine(void) { hak_os_locks_mine = true; }
void hak_locks_end_mine(void) { hak_os_locks_mine = false; }

void hak_lock_slow(hak_lock_t *lock) {
  if (hak_os_locks_mine) return;
  for (unsigned spin = 0; spin < 64; spin++) {
    uint32_t expected = 0;
    if (hak_cas_weak_acquire(&lock->xstate, &expected, 1)) return;
  }
  while (hak_swap_acquire(&lock->xstate, 2) != 0) hak_os_wait(&lock->xstate, 2);
}

void hak_lock_reset(hak_lock_t *lock) { hak_store_relaxed(&lock->xstate, 0); }
