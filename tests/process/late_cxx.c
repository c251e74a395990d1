/* SPDX-License-Identifier: MIT OR Apache-2.0
 * A C program loads a plug-in written in C++, and with it the C++ library, out of sight of others: a failing new in it
 * throws as ever, since the library is found then.
 * runs: system preload static */
#include "process.h"

int main(void) {
  check_allocator();
  CHECK(dlsym(RTLD_DEFAULT, "_ZSt17__throw_bad_allocv") == NULL, "this program has a C++ library already");
  const char *path = beside_program("lib_throws.so");
  if (access(path, F_OK) != 0) {
    puts("skipped: without a C++ compiler there is no plug-in");
    return 0;
  }
  void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  CHECK(plugin != NULL, "%s", dlerror());
  const char *(*failing_new)(void) = (const char *(*)(void))(uintptr_t)dlsym(plugin, "failing_new");
  CHECK(failing_new != NULL, "%s", dlerror());
  const char *outcome = failing_new();
  CHECK(strcmp(outcome, "caught") == 0, "%s", outcome);
  return 0;
}
