/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Transparent huge pages, as the system has them set, switched off for the process, and as if they were set to "always": a
 * program that uses little memory stays small, even where every mapping of 2 MiB could become resident at its first byte.
 *
 * The setting is the system's, so "always" is made here: a filter stops each anonymous mmap of the process, and a handler of
 * SIGSYS makes the mapping and asks for huge pages. Of mappings that were there before it asks, too, but for those that are
 * to have none.
 * runs: preload static */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "process.h"

#if __has_include(<linux/seccomp.h>) /* musl-gcc has no headers of the kernel */
#include <linux/filter.h>
#include <linux/seccomp.h>

/* ---- Huge pages always --------------------------------------------------------------------------------------------- */

#define OURS 0x48414b000 /* an offset, which means nothing to an anonymous mapping, tells the handler's own calls */
static _Atomic unsigned asked;

static void ask_for_huge_pages(uintptr_t base, size_t bytes) {
  if (madvise((void *)base, bytes, MADV_HUGEPAGE) == 0) asked++;
}

static long map_with_huge_pages(const uintptr_t *argument) {
  int saved = errno;
  long result = syscall(SYS_mmap, argument[0], argument[1], argument[2], argument[3], argument[4], OURS);
  if (result == -1) {
    result = -errno;
  } else {
    ask_for_huge_pages((uintptr_t)result, argument[1]);
  }
  errno = saved;
  return result;
}

static void on_mmap(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info;
  mcontext_t *cpu = &((ucontext_t *)context)->uc_mcontext;
#if defined(__x86_64__)
  static const int registers[] = {8 /* rdi */, 9 /* rsi */, 12 /* rdx */, 2 /* r10 */, 0 /* r8 */, 1 /* r9 */};
  uintptr_t argument[6];
  for (int i = 0; i < 6; i++) argument[i] = (uintptr_t)cpu->gregs[registers[i]];
  cpu->gregs[13 /* rax */] = map_with_huge_pages(argument);
#else
  cpu->regs[0] = (uintptr_t)map_with_huge_pages((const uintptr_t *)cpu->regs);
#endif
}

static void ask_for_what_is_there(void) {
  FILE *file = fopen("/proc/self/smaps", "r");
  CHECK(file != NULL, "smaps: errno %d", errno);
  char line[1000], access[5] = "";
  unsigned long from = 0, to = 0, inode = 0;
  struct {
    unsigned long from, to;
  } found[200];
  size_t count = 0;
  while (fgets(line, sizeof line, file) != NULL) {
    unsigned long a, b, node;
    char rights[5];
    if (sscanf(line, "%lx-%lx %4s %*x %*s %lu", &a, &b, rights, &node) == 4) {
      from = a, to = b, inode = node;
      memcpy(access, rights, sizeof access);
    } else if (strncmp(line, "VmFlags:", 8) == 0 && inode == 0 && strcmp(access, "rw-p") == 0 &&
               strstr(line, " nh") == NULL && to - from >= 2 * MIB) {
      CHECK(count < sizeof found / sizeof found[0], "too many mappings");
      found[count].from = from;
      found[count++].to = to;
    }
  }
  fclose(file);
  for (size_t i = 0; i < count; i++) ask_for_huge_pages(found[i].from, found[i].to - found[i].from);
}

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ALLOW_UNLESS(value, rest) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (rest))

/* False when the system has no such filters. */
static bool have_huge_pages_always(void) {
  struct sigaction action = {.sa_sigaction = on_mmap, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSYS, &action, NULL);
  struct sock_filter steps[] = {
      LOAD(nr),
      ALLOW_UNLESS(SYS_mmap, 5),
      LOAD(args[3]),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_ANONYMOUS, 0, 3),
      LOAD(args[5]),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)OURS, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = {sizeof steps / sizeof steps[0], steps};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
    return false;
  }
  ask_for_what_is_there();
  return true;
}

#else
static const unsigned asked = 0;
static bool have_huge_pages_always(void) { return false; }
#endif

/* ---- A program that uses little ------------------------------------------------------------------------------------- */

static void *use_in_thread(void *argument) {
  for (int i = 0; i < 3; i++) {
    void *block = malloc(tier_sizes[i]);
    memset(block, 1, tier_sizes[i]);
    free(block);
  }
  return argument;
}

static int use_little(const char *mode) {
  use_in_thread(NULL);
  for (int i = 0; i < 8; i++) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, use_in_thread, NULL) == 0, "thread");
    pthread_join(thread, NULL);
  }
  size_t resident = resident_bytes();
  printf("%s: resident %zu KiB\n", mode, resident / KIB);
  fflush(stdout);
  CHECK(resident < 12 * MIB, "%s: resident %zu KiB", mode, resident / KIB);
  use_every_tier();
  return 0;
}

/* The first page of each of many blocks. */
static int use_little_of_much(const char *mode) {
  enum { BLOCKS = 400 };
  static char *block[BLOCKS];
  size_t start = resident_bytes();
  for (int i = 0; i < BLOCKS; i++) {
    block[i] = malloc(260 * KIB);
    CHECK(block[i] != NULL, "block %d", i);
    block[i][0] = 1;
  }
  size_t resident = resident_bytes() - start;
  printf("%s: resident %zu KiB for %d pages of 100 MiB\n", mode, resident / KIB, BLOCKS);
  fflush(stdout);
  CHECK(resident < 12 * MIB, "%s: resident %zu KiB", mode, resident / KIB);
  for (int i = 0; i < BLOCKS; i++) free(block[i]);
  return 0;
}

static int run(const char *mode) {
  bool always = strcmp(mode, "as if always") == 0;
  if (always && !have_huge_pages_always()) {
    puts("skipped: without filters of system calls there is no \"always\"");
    return 0;
  }
  use_little(mode);
  use_little_of_much(mode);
  if (always) CHECK(asked > 0, "no huge pages were asked for");
  return 0;
}

int main(int count, char **arguments) {
  check_allocator();
  if (count == 2) return run(arguments[1]);
  char mode[100] = "no huge pages";
  int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY);
  if (fd >= 0 && read(fd, mode, sizeof mode - 1) < 0) return 1;
  mode[strcspn(mode, "\n")] = '\0';
  const char *const modes[] = {mode, "switched off", "as if always"};
  for (size_t i = 0; i < 3; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      alarm(60);
      if (i == 1) CHECK(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0, "prctl: errno %d", errno);
      execl("/proc/self/exe", "huge_pages", modes[i], (char *)NULL);
      _exit(127);
    }
    wait_for(pid, i);
  }
  return 0;
}
