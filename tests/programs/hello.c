/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The smallest programs, for hello.sh: what does it cost them that a library is preloaded?
 *
 *   hello stdio [resident]    greets through stdio, which allocates its buffer
 *   hello write [resident]    greets by a system call: nothing is ever allocated
 *
 * With `resident`, the last thing it does is to print its resident set in KiB on standard error. That figure is from
 * smaps_rollup, which walks the pages: the counters behind statm and getrusage are a batch of pages behind.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int print_resident(void) {
  static char text[4096];
  int fd = open("/proc/self/smaps_rollup", O_RDONLY);
  ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  char *from = length < 0 ? NULL : strstr(text, "\nRss:");
  if (from == NULL) return 1;
  from += strlen("\nRss:");
  from += strspn(from, " ");
  size_t digits = strspn(from, "0123456789");
  from[digits] = '\n';
  return write(STDERR_FILENO, from, digits + 1) < 0;
}

int main(int count, char **argument) {
  static const char greeting[] = "hello, world\n";
  if (count > 1 && strcmp(argument[1], "stdio") == 0) {
    if (printf("%s", greeting) < 0 || fflush(stdout) != 0) return 1;
  } else if (write(STDOUT_FILENO, greeting, sizeof greeting - 1) < 0) {
    return 1;
  }
  return count > 2 ? print_resident() : 0;
}
