/* In the secure build: api/secure.c has the public names, also of the questions how large a block is. */
#ifndef HAK_API_SECURE_NAMES_H
#define HAK_API_SECURE_NAMES_H

#if defined(HAK_VALGRIND) || defined(HAK_PROFILE)
#error "HAK_SECURE (the feature `secure`) goes neither with HAK_PROFILE (`profile`) nor with HAK_VALGRIND: two builds"
#endif

#include "api/wrapped_names.h"

static __typeof__(hak_usable_size) hak_plain_usable_size __attribute__((unused));
static __typeof__(hak_good_size) hak_plain_good_size;
static __typeof__(hak_tier_of) hak_plain_tier_of __attribute__((unused));

#define hak_usable_size hak_plain_usable_size
#define hak_good_size hak_plain_good_size
#define hak_tier_of hak_plain_tier_of

#endif
