/* What the system tells of the process: the stack of a thread, the mappings, a random number; and writing to files. For
 * the profile (core/profile.h) alone. As os.h has it: none allocates, failures are return values, and keep errno unless said. */
#ifndef HAK_OS_PROCESS_H
#define HAK_OS_PROCESS_H

#include "base/attr.h"

/* The limits of the calling thread's stack, of which `at` is an address: all memory between `at` and `*high` is mapped and
 * will be until the thread ends. False when it is on another stack, or the system does not tell. Reads a file of some pages. */
HAK_HIDDEN bool hak_os_stack_limits(uintptr_t at, uintptr_t *low, uintptr_t *high);

/* Writes all bytes, or sets errno. */
HAK_HIDDEN bool hak_os_write(int fd, const char *data, size_t bytes);

/* Writes the list of the process' mappings, as the system has it; or sets errno. */
HAK_HIDDEN bool hak_os_write_mappings(int fd);

/* Makes a file, or empties it; -1 with errno. And closes it. */
HAK_HIDDEN int hak_os_create_file(const char *path);
HAK_HIDDEN void hak_os_close(int fd);

HAK_HIDDEN unsigned hak_os_process_id(void);

/* A number that is another in each process, most likely. */
HAK_HIDDEN uint64_t hak_os_random(void);

#endif
