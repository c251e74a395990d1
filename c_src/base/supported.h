/* What hakmem can be built for. All else ends here, with what is missing in one line, before any header is looked for. */
#ifndef HAK_BASE_SUPPORTED_H
#define HAK_BASE_SUPPORTED_H

#if !defined(__GNUC__) && !defined(__clang__)
#error "hakmem needs gcc or clang"
#endif
#ifdef __cplusplus
#error "hakmem's sources are C11; programs in C++ include hakmem.h and link the library"
#elif !defined(__STDC_VERSION__) || __STDC_VERSION__ < 201112L
#error "hakmem needs C11: -std=c11 or newer"
#endif
#ifndef __linux__
#error "hakmem supports Linux; another system is one more file in c_src/os"
#endif
#if !defined(__x86_64__) && !defined(__aarch64__)
#error "hakmem supports x86-64 and aarch64"
#endif
#ifndef __LP64__
#error "hakmem needs addresses of 64 bits: not x32, not ILP32"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "hakmem supports little-endian processors"
#endif

/* A sanitizer that brings a malloc: two cannot take the C library's place. */
#ifdef HAK_OVERRIDE
#if HAK_OVERRIDE && (defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__))
#error "malloc is the sanitizer's: build hakmem without HAK_OVERRIDE, and not libhakmem.so"
#elif HAK_OVERRIDE && defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#error "malloc is the sanitizer's: build hakmem without HAK_OVERRIDE, and not libhakmem.so"
#endif
#endif
#endif

#endif
