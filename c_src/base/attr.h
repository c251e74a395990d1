/* Attributes and the two marks every function of a hot path carries: FAST (inlined into its caller) or SLOW (cold, out
 * of line). */
#ifndef HAK_BASE_ATTR_H
#define HAK_BASE_ATTR_H

#include "base/supported.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether a sanitizer watches memory accesses, which must then be as the language knows them; and whether it is TSan. */
#if defined(__SANITIZE_THREAD__)
#define HAK_TSAN 1
#elif defined(__SANITIZE_ADDRESS__)
#define HAK_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAK_TSAN 1
#elif __has_feature(address_sanitizer)
#define HAK_SANITIZED 1
#endif
#endif
#ifndef HAK_TSAN
#define HAK_TSAN 0
#endif
#ifndef HAK_SANITIZED
#define HAK_SANITIZED HAK_TSAN
#endif

/* How thread-local variables are found. Initial-exec: one load from a segment register, also in a library opened at run time,
 * for which libc keeps some room. With HAK_LOCAL_DYNAMIC_TLS there need not be any, and each access is a call. */
#ifdef HAK_LOCAL_DYNAMIC_TLS
#define HAK_TLS_MODEL __attribute__((tls_model("local-dynamic")))
#define HAK_TLS_MODEL_HERE HAK_TLS_MODEL
#else
#define HAK_TLS_MODEL __attribute__((tls_model("initial-exec")))
#define HAK_TLS_MODEL_HERE /* of a definition: behind it gcc may do better, in an executable */
#endif

/* Visible across files of the library, not outside of it. */
#define HAK_HIDDEN __attribute__((visibility("hidden")))
#define HAK_FAST static inline __attribute__((always_inline))
#define HAK_SLOW HAK_HIDDEN __attribute__((noinline, cold))
#define HAK_SLOW_STATIC static __attribute__((noinline, cold))
/* A function of the interface whose hits are to be part of their callers, where these are compiled together with the library:
 * HAK_INLINE_HITS, docs/decisions/rust-fast-path.md. */
#ifdef HAK_INLINE_HITS
#define HAK_HIT __attribute__((always_inline))
#else
#define HAK_HIT
#endif
#define HAK_LIKELY(x) __builtin_expect(!!(x), 1)
#define HAK_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define HAK_PRINTF(string, first) __attribute__((format(printf, string, first)))
#define HAK_CACHE_LINE 64
#define HAK_LINE_ALIGNED _Alignas(HAK_CACHE_LINE)

#endif
