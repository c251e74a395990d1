/* In builds with HAK_PROFILE: api/profile_wrap.c has the public names. */
#ifndef HAK_API_PROFILE_NAMES_H
#define HAK_API_PROFILE_NAMES_H

#ifdef HAK_VALGRIND
#error "HAK_PROFILE and HAK_VALGRIND are two builds"
#endif

#include "api/wrapped_names.h"

#endif
