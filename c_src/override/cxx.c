/* The 20 operators new and delete of C++17, by their mangled names, so that a C program does not come to depend on a C++
 * library. Of that library three things are wanted, only when memory has run out: the new-handler, the exception, and a
 * nothrow new that catches what a handler throws, which C cannot.
 *
 * All are weak, which does two things. A program that links libhakmem.a may define some itself. And calls between them
 * are never bound here: as the standard wants it, the array forms call the plain ones, the nothrow ones those that throw,
 * and the sized ones those without, so that a program which replaces one pair gets all of its blocks to see. Sizes are
 * thus not made use of but by the secure build, and a delete is checked as every free.
 *
 * flags.txt has -fexceptions for the sake of this file. */
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/limits.h"
#include "base/log.h"
#include "hakmem.h"

/* size_t is "m", unsigned long, in the mangled names. */
_Static_assert(__builtin_types_compatible_p(size_t, unsigned long), "the mangled names are those of a 64-bit system");

#define CXX_API HAK_API __attribute__((weak))

typedef void (*cxx_handler_t)(void);
typedef void *(*cxx_nothrow_t)(size_t size, const void *tag);
typedef void *(*cxx_aligned_nothrow_t)(size_t size, size_t alignment, const void *tag);

/* Null where there is no C++ library, or only as a dependency of something that was loaded later. */
#define CXX_WEAK extern __attribute__((weak))
CXX_WEAK cxx_handler_t _ZSt15get_new_handlerv(void); /* std::get_new_handler() */
CXX_WEAK void _ZSt17__throw_bad_allocv(void);        /* std::__throw_bad_alloc() */

/* What throws it in a static program, which has the function above only by chance, but these if it catches the exception. */
CXX_WEAK void *__cxa_allocate_exception(size_t size);
CXX_WEAK void __cxa_throw(void *exception, void *type, void (*destroy)(void *));
CXX_WEAK char _ZTISt9bad_alloc[];  /* typeid(std::bad_alloc) */
CXX_WEAK void *_ZTVSt9bad_alloc[]; /* its table of virtual functions, after two entries of another kind */

/* The function of this name in a C++ library that is loaded, or 0. A static program has none to find, and its linker would
 * warn of any reference to dlopen. */
#pragma weak dlsym
static uintptr_t cxx_find(const char *name) {
  static const char *const libraries[] = {"libstdc++.so.6", "libc++.so.1"};
  void *(*open)(const char *, int) = NULL;
  if (dlsym != NULL) open = (void *(*)(const char *, int))(uintptr_t)dlsym(RTLD_DEFAULT, "dlopen");
  for (unsigned i = 0; open != NULL && i < sizeof(libraries) / sizeof(libraries[0]); i++) {
    void *library = open(libraries[i], RTLD_LAZY | RTLD_NOLOAD);
    void *function = library == NULL ? NULL : dlsym(library, name);
    if (function != NULL) return (uintptr_t)function;
  }
  return 0;
}

static cxx_handler_t cxx_new_handler(void) {
  cxx_handler_t (*get)(void) = _ZSt15get_new_handlerv;
  if (get == NULL) get = (cxx_handler_t(*)(void))cxx_find("_ZSt15get_new_handlerv");
  return get == NULL ? NULL : get();
}

HAK_SLOW_STATIC void cxx_throw(size_t size) {
  void (*throw_bad_alloc)(void) = _ZSt17__throw_bad_allocv;
  if (throw_bad_alloc == NULL) throw_bad_alloc = (void (*)(void))cxx_find("_ZSt17__throw_bad_allocv");
  if (throw_bad_alloc != NULL) throw_bad_alloc();
  if (__cxa_throw != NULL && __cxa_allocate_exception != NULL && _ZTISt9bad_alloc != NULL && _ZTVSt9bad_alloc != NULL) {
    void **exception = __cxa_allocate_exception(sizeof(void *));
    *exception = &_ZTVSt9bad_alloc[2];
    __cxa_throw(exception, _ZTISt9bad_alloc, NULL); /* it has nothing to destroy */
  }
  hak_print(STDERR_FILENO, "hakmem: operator new: out of memory, and no C++ library to throw: %zu bytes", size);
  abort();
}

static bool cxx_can_align(size_t alignment) { return hak_is_pow2(alignment) && alignment <= HAK_ALIGN_MAX; }

/* The rest of a throwing new after its first attempt failed. */
HAK_SLOW_STATIC void *cxx_new_slow(size_t size, size_t alignment) {
  for (;;) {
    /* What no handler can change must not ask one for ever. */
    cxx_handler_t handler = cxx_can_align(alignment) ? cxx_new_handler() : NULL;
    if (handler == NULL) cxx_throw(size);
    handler(); /* it frees something, throws, or ends the process */
    void *block = alignment <= HAK_GRAIN ? hak_malloc(size) : hak_aligned_alloc(alignment, size);
    if (block != NULL) return block;
  }
}

/* ---- new ----
 *
 * Each has a name of its own besides, by which the nothrow forms can tell whether the program has put another in its place.
 * That one is the definition: an alias of a weak name would follow it to the program's, when both are linked with -flto. */

#define CXX_ALIAS(name) HAK_API __attribute__((weak, alias(#name)))

HAK_HIDDEN void *hak_cxx_new(size_t size);
HAK_HIDDEN void *hak_cxx_new_array(size_t size);
HAK_HIDDEN void *hak_cxx_new_aligned(size_t size, size_t alignment);
HAK_HIDDEN void *hak_cxx_new_array_aligned(size_t size, size_t alignment);
extern CXX_ALIAS(hak_cxx_new) void *_Znwm(size_t size);
extern CXX_ALIAS(hak_cxx_new_array) void *_Znam(size_t size);
extern CXX_ALIAS(hak_cxx_new_aligned) void *_ZnwmSt11align_val_t(size_t size, size_t alignment);
extern CXX_ALIAS(hak_cxx_new_array_aligned) void *_ZnamSt11align_val_t(size_t size, size_t alignment);

void *hak_cxx_new(size_t size) {
  void *block = hak_malloc(size);
  return HAK_LIKELY(block != NULL) ? block : cxx_new_slow(size, HAK_GRAIN);
}

void *hak_cxx_new_aligned(size_t size, size_t alignment) {
  void *block = hak_aligned_alloc(alignment, size);
  return HAK_LIKELY(block != NULL) ? block : cxx_new_slow(size, alignment);
}

void *hak_cxx_new_array(size_t size) { return _Znwm(size); }
void *hak_cxx_new_array_aligned(size_t size, size_t alignment) { return _ZnwmSt11align_val_t(size, alignment); }

/* ---- new that does not throw ---- */

/* Whether the operator that the program uses is ours. Compilers must not conclude it from what they see in this file. */
HAK_FAST bool cxx_is_own(uintptr_t used, uintptr_t own) {
  __asm__("" : "+r"(used));
  return used == own;
}
#define CXX_IS_OWN(used, own) cxx_is_own((uintptr_t)(used), (uintptr_t)(own))

/* The C++ library's nothrow operator calls the throwing one and catches; that is needed when the latter is the program's
 * own, or may call a new-handler. `is_own` says that it is ours and has failed already. 0: NULL is the answer. Without the
 * library (in a static program) the throwing operator must do; an exception ends the process then. */
HAK_SLOW_STATIC uintptr_t cxx_nothrow_slow(const char *name, _Atomic uintptr_t *xfound, bool is_own,
                                           uintptr_t throwing) {
  if (is_own && cxx_new_handler() == NULL) return 0;
  uintptr_t found = hak_load_relaxed(xfound);
  if (found == 0) {
    found = cxx_find(name);
    hak_store_relaxed(xfound, found); /* whoever comes first, the value is the same */
  }
  return found != 0 ? found : throwing;
}

HAK_FAST void *cxx_nothrow(const char *name, _Atomic uintptr_t *xfound, bool is_own, uintptr_t throwing, size_t size,
                           const void *tag) {
  void *block = HAK_LIKELY(is_own) ? hak_malloc(size) : NULL;
  if (HAK_LIKELY(block != NULL)) return block;
  /* The throwing operator ignores the tag. */
  cxx_nothrow_t function = (cxx_nothrow_t)cxx_nothrow_slow(name, xfound, is_own, throwing);
  return function == NULL ? NULL : function(size, tag);
}

HAK_FAST void *cxx_aligned_nothrow(const char *name, _Atomic uintptr_t *xfound, bool is_own, uintptr_t throwing,
                                   size_t size, size_t alignment, const void *tag) {
  void *block = HAK_LIKELY(is_own) ? hak_aligned_alloc(alignment, size) : NULL;
  if (HAK_LIKELY(block != NULL)) return block;
  if (is_own && !cxx_can_align(alignment)) return NULL;
  cxx_aligned_nothrow_t function = (cxx_aligned_nothrow_t)cxx_nothrow_slow(name, xfound, is_own, throwing);
  return function == NULL ? NULL : function(size, alignment, tag);
}

CXX_API void *_ZnwmRKSt9nothrow_t(size_t size, const void *tag) {
  static _Atomic uintptr_t xfound;
  return cxx_nothrow(__func__, &xfound, CXX_IS_OWN(_Znwm, hak_cxx_new), (uintptr_t)_Znwm, size, tag);
}

CXX_API void *_ZnamRKSt9nothrow_t(size_t size, const void *tag) {
  static _Atomic uintptr_t xfound;
  bool is_own = CXX_IS_OWN(_Znam, hak_cxx_new_array) && CXX_IS_OWN(_Znwm, hak_cxx_new);
  return cxx_nothrow(__func__, &xfound, is_own, (uintptr_t)_Znam, size, tag);
}

CXX_API void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment, const void *tag) {
  static _Atomic uintptr_t xfound;
  bool is_own = CXX_IS_OWN(_ZnwmSt11align_val_t, hak_cxx_new_aligned);
  return cxx_aligned_nothrow(__func__, &xfound, is_own, (uintptr_t)_ZnwmSt11align_val_t, size, alignment, tag);
}

CXX_API void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment, const void *tag) {
  static _Atomic uintptr_t xfound;
  bool is_own = CXX_IS_OWN(_ZnamSt11align_val_t, hak_cxx_new_array_aligned) &&
                CXX_IS_OWN(_ZnwmSt11align_val_t, hak_cxx_new_aligned);
  return cxx_aligned_nothrow(__func__, &xfound, is_own, (uintptr_t)_ZnamSt11align_val_t, size, alignment, tag);
}

/* ---- delete: with names of their own as new ---- */

HAK_HIDDEN void hak_cxx_delete(void *p);
HAK_HIDDEN void hak_cxx_delete_array(void *p);
HAK_HIDDEN void hak_cxx_delete_aligned(void *p, size_t alignment);
HAK_HIDDEN void hak_cxx_delete_array_aligned(void *p, size_t alignment);
extern CXX_ALIAS(hak_cxx_delete) void _ZdlPv(void *p);
extern CXX_ALIAS(hak_cxx_delete_array) void _ZdaPv(void *p);
extern CXX_ALIAS(hak_cxx_delete_aligned) void _ZdlPvSt11align_val_t(void *p, size_t alignment);
extern CXX_ALIAS(hak_cxx_delete_array_aligned) void _ZdaPvSt11align_val_t(void *p, size_t alignment);

void hak_cxx_delete(void *p) { hak_free(p); }
void hak_cxx_delete_array(void *p) { _ZdlPv(p); }
void hak_cxx_delete_aligned(void *p, size_t alignment) {
  (void)alignment;
  hak_free(p);
}
void hak_cxx_delete_array_aligned(void *p, size_t alignment) { _ZdlPvSt11align_val_t(p, alignment); }

/* The secure build makes use of a size where nobody but these operators has had the block: a new of the program may have asked
 * for more than it was asked for, and its delete has to get the block in any case. (A program that replaces the nothrow new
 * alone is taken to ask for what it was asked for.) */
static bool cxx_knows_size(void) {
  return HAK_SECURE && CXX_IS_OWN(_Znwm, hak_cxx_new) && CXX_IS_OWN(_ZdlPv, hak_cxx_delete);
}
static bool cxx_knows_array_size(void) {
  return cxx_knows_size() && CXX_IS_OWN(_Znam, hak_cxx_new_array) && CXX_IS_OWN(_ZdaPv, hak_cxx_delete_array);
}
static bool cxx_knows_aligned_size(void) {
  return HAK_SECURE && CXX_IS_OWN(_ZnwmSt11align_val_t, hak_cxx_new_aligned) &&
         CXX_IS_OWN(_ZdlPvSt11align_val_t, hak_cxx_delete_aligned);
}
static bool cxx_knows_aligned_array_size(void) {
  return cxx_knows_aligned_size() && CXX_IS_OWN(_ZnamSt11align_val_t, hak_cxx_new_array_aligned) &&
         CXX_IS_OWN(_ZdaPvSt11align_val_t, hak_cxx_delete_array_aligned);
}

CXX_API void _ZdlPvm(void *p, size_t size) {
  if (cxx_knows_size()) {
    hak_free_sized(p, size);
  } else {
    _ZdlPv(p);
  }
}
CXX_API void _ZdaPvm(void *p, size_t size) {
  if (cxx_knows_array_size()) {
    hak_free_sized(p, size);
  } else {
    _ZdaPv(p);
  }
}
CXX_API void _ZdlPvmSt11align_val_t(void *p, size_t size, size_t alignment) {
  if (cxx_knows_aligned_size()) {
    hak_free_aligned_sized(p, alignment, size);
  } else {
    _ZdlPvSt11align_val_t(p, alignment);
  }
}
CXX_API void _ZdaPvmSt11align_val_t(void *p, size_t size, size_t alignment) {
  if (cxx_knows_aligned_array_size()) {
    hak_free_aligned_sized(p, alignment, size);
  } else {
    _ZdaPvSt11align_val_t(p, alignment);
  }
}

/* What C++ calls when a constructor throws after a nothrow new. */
CXX_API void _ZdlPvRKSt9nothrow_t(void *p, const void *tag) {
  (void)tag;
  _ZdlPv(p);
}
CXX_API void _ZdaPvRKSt9nothrow_t(void *p, const void *tag) {
  (void)tag;
  _ZdaPv(p);
}
CXX_API void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *p, size_t alignment, const void *tag) {
  (void)tag;
  _ZdlPvSt11align_val_t(p, alignment);
}
CXX_API void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *p, size_t alignment, const void *tag) {
  (void)tag;
  _ZdaPvSt11align_val_t(p, alignment);
}
