#include "core/options.h"

#include "base/log.h"
#include "os/os.h"

hak_options_t hak_options;

/* Parses a decimal number in [least, most]; anything else yields `standard`. */
static int64_t options_parse(const char *text, int64_t standard, int64_t least, int64_t most) {
  if (text == NULL || *text == 0) return standard;
  int64_t value = 0, sign = *text == '-' ? -1 : 1;
  if (sign < 0 && *++text == 0) return standard;
  for (; *text != 0; text++) {
    if (*text < '0' || *text > '9') return standard;
    if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *text - '0', &value))
      return standard;
  }
  value *= sign;
  return value < least || value > most ? standard : value;
}

void hak_options_init(void) {
#define OPTION_READ(name, NAME, standard, least, most, meaning) \
  hak_options.name = options_parse(hak_os_env("HAKMEM_" #NAME), standard, least, most);
  HAK_OPTIONS(OPTION_READ)
#undef OPTION_READ
  hak_log_enable(hak_options.log != 0);
}

void hak_options_print(int fd) {
#define OPTION_PRINT(name, NAME, standard, least, most, meaning) \
  hak_print(fd, "HAKMEM_%s=%ld (default %ld): %s", #NAME, (long)hak_options.name, (long)(standard), meaning);
  HAK_OPTIONS(OPTION_PRINT)
#undef OPTION_PRINT
}
