/* The limit for the whole process, as the program sets it. */
#include "core/limit.h"

#include "heap/theap.h"

void hak_limit_set(size_t bytes, hak_limit_callback_t callback, void *argument) {
  (void)hak_theap_get(); /* the options, of which one is a limit */
  hak_limit_set_mt(bytes == 0 || bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes, callback, argument);
}
