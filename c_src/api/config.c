/* What was built in and what is on, to read and to compute with. */
#include "base/check.h"
#include "core/options.h"
#include "core/stats.h"
#include "hakmem.h"
#include "heap/theap.h"
#include "tier/tiers.h"

#ifndef HAK_BUILD_FLAGS
#define HAK_BUILD_FLAGS "unknown"
#endif
#ifdef HAK_OVERRIDE
#define CONFIG_OVERRIDE 1
#else
#define CONFIG_OVERRIDE 0
#endif
#ifdef HAK_LOCAL_DYNAMIC_TLS
#define CONFIG_LOCAL_DYNAMIC_TLS 1
#else
#define CONFIG_LOCAL_DYNAMIC_TLS 0
#endif
#ifdef HAK_INLINE_HITS
#define CONFIG_INLINE_HITS 1
#else
#define CONFIG_INLINE_HITS 0
#endif
#ifdef HAK_VALGRIND
#define CONFIG_VALGRIND 1
#else
#define CONFIG_VALGRIND 0
#endif
#ifdef HAK_PROFILE
#define CONFIG_PROFILE 1
#else
#define CONFIG_PROFILE 0
#endif

/* The largest request of a tier; in the secure build a block's trailer is in it, too. */
#define CONFIG_MOST(max) ((max) - (HAK_SECURE ? HAK_TRAILER_BYTES : 0))

static const char *config_yes(int value) { return value != 0 ? "yes" : "no"; }

void hak_config_print(int fd) {
  (void)hak_theap_get(); /* the options */
  hak_print(fd, "hakmem %d.%d.%d", HAK_VERSION / 10000, HAK_VERSION / 100 % 100, HAK_VERSION % 100);
  hak_print(fd, "compiler: %s", __VERSION__);
  hak_print(fd, "flags: %s", HAK_BUILD_FLAGS);
  hak_print(fd, "malloc and free replaced: %s; assertions: level %d", config_yes(CONFIG_OVERRIDE), HAK_DEBUG_LEVEL);
  hak_print(
      fd,
      "background: %s; counts hits: %s; local-dynamic TLS: %s; inlines hits: %s; valgrind: %s; secure: %s; profile: %s",
      config_yes(HAK_BACKGROUND), config_yes(HAK_COUNTS_HITS), config_yes(CONFIG_LOCAL_DYNAMIC_TLS),
      config_yes(CONFIG_INLINE_HITS), config_yes(CONFIG_VALGRIND), config_yes(HAK_SECURE), config_yes(CONFIG_PROFILE));
#define CONFIG_TIER(NAME, name, max, what)                                                       \
  if (HAK_TIER_##NAME == HAK_TIER_MMAP) {                                                        \
    hak_print(fd, "tier %s: built in, above; %s", #name, what);                                  \
  } else {                                                                                       \
    hak_print(fd, "tier %s: built in, to %zu bytes; %s", #name, (size_t)CONFIG_MOST(max), what); \
  }
  HAK_TIERS_TABLE(CONFIG_TIER)
#undef CONFIG_TIER
  hak_options_print(fd);
}

int hak_config_get(hak_config_t *config) {
  if (config->size != sizeof(*config)) return 0;
  *config = (hak_config_t){.size = sizeof(*config),
                           .compiler = __VERSION__,
                           .flags = HAK_BUILD_FLAGS,
                           .version = HAK_VERSION,
                           .replaces_malloc = CONFIG_OVERRIDE,
                           .assertions = HAK_DEBUG_LEVEL,
                           .background = HAK_BACKGROUND,
                           .counts_hits = HAK_COUNTS_HITS,
                           .local_dynamic_tls = CONFIG_LOCAL_DYNAMIC_TLS,
                           .inlines_hits = CONFIG_INLINE_HITS,
                           .valgrind = CONFIG_VALGRIND,
                           .secure = HAK_SECURE,
                           .profile = CONFIG_PROFILE,
#define CONFIG_LIMIT(NAME, name, max, what) .tier_bytes[HAK_TIER_##NAME] = CONFIG_MOST(max),
                           HAK_TIERS_TABLE(CONFIG_LIMIT)
#undef CONFIG_LIMIT
  };
  return 1;
}

int hak_option_get(unsigned number, hak_option_t *option) {
  if (option->size != sizeof(*option)) return 0;
  (void)hak_theap_get(); /* reads them, if nobody has allocated yet */
  unsigned next = 0;
#define CONFIG_OPTION(name_, NAME, standard_, least_, most_, meaning_) \
  if (number == next++) {                                              \
    *option = (hak_option_t){.size = sizeof(*option),                  \
                             .variable = "HAKMEM_" #NAME,              \
                             .meaning = meaning_,                      \
                             .value = hak_options.name_,               \
                             .standard = standard_,                    \
                             .least = least_,                          \
                             .most = most_};                           \
    return 1;                                                          \
  }
  HAK_OPTIONS(CONFIG_OPTION)
#undef CONFIG_OPTION
  return 0;
}
