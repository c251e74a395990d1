/* SPDX-License-Identifier: MIT OR Apache-2.0
 * malloc and its family, to the letter. What is only glibc's is asked of glibc and of us, not of musl.
 * runs: system preload static */
#include <malloc.h>
#include <stdalign.h>

#include "process.h"

#define MARK 4711

#ifdef __GLIBC__
#define ON_GLIBC 1
#else
#define ON_GLIBC 0
#endif

static size_t page;
static bool is_system;

/* Every block of a test comes through here. */
static void *taken(void *block, size_t size, size_t alignment, const char *what) {
  CHECK(block != NULL, "%s of %zu bytes: errno %d", what, size, errno);
  CHECK((uintptr_t)block % alignment == 0, "%s of %zu bytes: %p is not aligned to %zu", what, size, block, alignment);
  CHECK(is_expected(block), "%s of %zu bytes: %p is another allocator's", what, size, block);
  size_t usable = malloc_usable_size(block);
  CHECK(usable >= size, "%s of %zu bytes: only %zu are usable", what, size, usable);
  memset(block, 0x5a, usable); /* all of what is said to be usable is */
  return block;
}
#define TAKEN(block, size) taken((block), (size), 16, #block)
#define TAKEN_ALIGNED(block, size, alignment) taken((block), (size), (alignment), #block)

/* CHECK_FAILS(call, error): it returns NULL and sets errno. */
#define CHECK_FAILS(call, error)                                                             \
  do {                                                                                       \
    errno = MARK;                                                                            \
    void *result = (call);                                                                   \
    int number = errno;                                                                      \
    CHECK(result == NULL && number == (error), "%s is %p, errno %d", #call, result, number); \
  } while (0)

static size_t next_size(size_t size) { return size < 600 ? size + 1 : size + size / 7; }

static void sizes_and_alignment(void) {
  for (size_t size = 0; size <= 5 * MIB; size = next_size(size)) {
    void *block = TAKEN(malloc(opaque_size(size)), size);
    void *other = TAKEN(malloc(opaque_size(size)), size);
    CHECK(block != other, "%zu bytes: the same block twice", size);
    free(block);
    block = TAKEN(realloc(NULL, size), size);
    free(other);
    free(block);
  }
  CHECK(malloc_usable_size(NULL) == 0, "usable bytes of NULL");
}

static void zeroing(void) {
  for (size_t size = 0; size <= 5 * MIB; size = next_size(size)) {
    free(TAKEN(malloc(size), size)); /* which leaves it dirty */
    char *block = calloc(size % 3 == 0 ? size / 3 : size, size % 3 == 0 ? 3 : 1);
    CHECK(block != NULL, "%zu bytes", size);
    for (size_t i = 0; i < size; i++) CHECK(block[i] == 0, "%zu bytes: byte %zu is not zero", size, i);
    free(TAKEN(block, size));
  }
}

static void requests_too_large(void) {
  static const size_t sizes[] = {SIZE_MAX,    SIZE_MAX - 1,     SIZE_MAX - 4096, (size_t)PTRDIFF_MAX + 1,
                                 PTRDIFF_MAX, PTRDIFF_MAX - 100};
  char *block = strcpy(TAKEN(malloc(100), 100), "stays");
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    size_t size = opaque_size(sizes[i]);
    CHECK_FAILS(malloc(size), ENOMEM);
    CHECK_FAILS(calloc(1, size), ENOMEM);
    CHECK_FAILS(calloc(size, 1), ENOMEM);
    CHECK_FAILS(realloc(NULL, size), ENOMEM);
    CHECK_FAILS(realloc(opaque(block), size), ENOMEM);
    CHECK_FAILS(reallocarray(opaque(block), size, 1), ENOMEM);
    CHECK_FAILS(aligned_alloc(64, size), ENOMEM);
    CHECK_FAILS(memalign(64, size), ENOMEM);
    CHECK_FAILS(valloc(size), ENOMEM);
#ifdef __GLIBC__
    CHECK_FAILS(pvalloc(size), ENOMEM);
#endif
    void *out = &page;
    CHECK(posix_memalign(&out, 64, size) == ENOMEM && out == &page, "%zu bytes, %p", size, out);
    CHECK(strcmp(block, "stays") == 0, "a failed realloc wrote to the block");
  }
  static const size_t factors[][2] = {{SIZE_MAX, 2},
                                      {2, SIZE_MAX},
                                      {SIZE_MAX, SIZE_MAX},
                                      {SIZE_MAX / 2 + 1, 2},
                                      {(size_t)1 << 32, (size_t)1 << 32},
                                      {SIZE_MAX / 16 + 1, 16}};
  for (size_t i = 0; i < sizeof factors / sizeof factors[0]; i++) {
    size_t count = opaque_size(factors[i][0]), size = opaque_size(factors[i][1]);
    CHECK_FAILS(calloc(count, size), ENOMEM);
    CHECK_FAILS(reallocarray(NULL, count, size), ENOMEM);
    CHECK_FAILS(reallocarray(opaque(block), count, size), ENOMEM);
    CHECK(strcmp(block, "stays") == 0, "a failed reallocarray wrote to the block");
  }
  free(block);
}

static void resizing(void) {
  for (size_t from = 1; from <= 5 * MIB; from = from * 3 + 1) {
    for (size_t to = 1; to <= 5 * MIB; to = to * 4 + 3) {
      unsigned char *block = malloc(from);
      CHECK(block != NULL, "%zu bytes", from);
      for (size_t i = 0; i < from; i++) block[i] = (unsigned char)(i * 7);
      block = to % 2 == 0 ? realloc(block, to) : reallocarray(block, 1, to);
      CHECK(block != NULL && (uintptr_t)block % 16 == 0, "from %zu to %zu: %p", from, to, (void *)block);
      for (size_t i = 0; i < from && i < to; i++) {
        CHECK(block[i] == (unsigned char)(i * 7), "from %zu to %zu: byte %zu", from, to, i);
      }
      free(TAKEN(block, to));
    }
  }
}

static void resizing_to_nothing(void) {
  for (int i = 0; i < TIERS; i++) {
    void *block = TAKEN(malloc(tier_sizes[i]), tier_sizes[i]);
    errno = MARK;
    block = realloc(opaque(block), opaque_size(0));
    CHECK(ON_GLIBC == (block == NULL), "realloc(p, 0) of %zu bytes is %p", tier_sizes[i], block);
    CHECK(errno == MARK, "errno is %d", errno);
    free(block);
    block = reallocarray(opaque(malloc(tier_sizes[i])), opaque_size(0), 10);
    CHECK(ON_GLIBC == (block == NULL), "reallocarray(p, 0, 10) of %zu bytes is %p", tier_sizes[i], block);
    free(block);
  }
  free(TAKEN(realloc(NULL, opaque_size(0)), 0));
  free(TAKEN(reallocarray(NULL, opaque_size(0), 5), 0));
  free(TAKEN(calloc(opaque_size(0), 5), 0));
  free(TAKEN(calloc(5, opaque_size(0)), 0));
}

static void free_keeps_errno(void) {
  errno = MARK;
  free(NULL);
  CHECK(errno == MARK, "free(NULL): errno is %d", errno);
  for (int i = 0; i < TIERS; i++) {
    void *block[100];
    size_t count = tier_sizes[i] > MIB ? 10 : 100;
    for (size_t k = 0; k < count; k++) block[k] = TAKEN(malloc(tier_sizes[i]), tier_sizes[i]);
    for (size_t k = 0; k < count; k++) {
      errno = MARK;
      free(block[k]);
      CHECK(errno == MARK, "%zu bytes: errno is %d", tier_sizes[i], errno);
    }
  }
}

static void alignments(void) {
  static const size_t sizes[] = {0, 1, 24, 100, 1000, 5000, 33000, 300000, 3000000};
  for (size_t alignment = 1; alignment <= 16 * MIB; alignment *= 2) {
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
      size_t size = sizes[i], at_least = alignment < 16 ? 16 : alignment;
      void *block = NULL;
      if (alignment >= sizeof(void *)) {
        CHECK(posix_memalign(&block, alignment, size) == 0, "alignment %zu, %zu bytes", alignment, size);
        free(TAKEN_ALIGNED(block, size, at_least));
      }
      block = TAKEN_ALIGNED(aligned_alloc(alignment, size), size, at_least);
      if (size > 0) { /* its content moves with it, its alignment need not */
        block = realloc(block, size * 2);
        CHECK(block != NULL && ((char *)block)[0] == 0x5a && ((char *)block)[size - 1] == 0x5a, "%zu bytes", size);
      }
      free(TAKEN(block, size));
      free(TAKEN_ALIGNED(memalign(alignment, size), size, at_least));
    }
  }
  free(TAKEN_ALIGNED(valloc(100), 100, page));
  free(TAKEN_ALIGNED(valloc(0), 0, page));
#ifdef __GLIBC__
  free(TAKEN_ALIGNED(pvalloc(1), page, page));
  free(TAKEN_ALIGNED(pvalloc(page + 1), 2 * page, page));
  free(TAKEN_ALIGNED(pvalloc(0), 0, page));
#endif
}

static void wrong_alignments(void) {
  static const size_t wrong[] = {0, 1, 2, 3, 4, 5, 6, 7, 9, 12, 24, 48, 100, 4095, 4097, SIZE_MAX, SIZE_MAX - 7};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    void *out = &page;
    int error = posix_memalign(&out, opaque_size(wrong[i]), 100);
    CHECK(error == EINVAL && out == &page, "alignment %zu: error %d, %p", wrong[i], error, out);
    bool power = (wrong[i] & (wrong[i] - 1)) == 0;
    if (wrong[i] != 0 && power) continue;
    /* C leaves it open what happens; glibc since 2.38, musl but for 0, and we fail. */
    if (!is_system) CHECK_FAILS(aligned_alloc(opaque_size(wrong[i]), 100), EINVAL);
    if (!ON_GLIBC) continue;
    if (wrong[i] > SIZE_MAX / 2) {
      CHECK_FAILS(memalign(opaque_size(wrong[i]), 100), EINVAL);
    } else { /* rounded up */
      size_t rounded = 1;
      while (rounded < wrong[i]) rounded *= 2;
      free(TAKEN_ALIGNED(memalign(opaque_size(wrong[i]), 100), 100, rounded < 16 ? 16 : rounded));
    }
  }
}

/* Right alignments for which there is not the address space. (glibc has it for some that are too large for us.) */
static void alignments_too_large(void) {
  for (size_t alignment = (size_t)1 << 48; alignment != 0; alignment *= 2) {
    void *out = &page;
    int error = posix_memalign(&out, opaque_size(alignment), 100);
    CHECK(error == ENOMEM && out == &page, "alignment %zu: error %d, %p", alignment, error, out);
    CHECK_FAILS(memalign(opaque_size(alignment), 100), ENOMEM);
    CHECK_FAILS(aligned_alloc(opaque_size(alignment), 100), ENOMEM);
  }
}

/* Functions that glibc and musl have not or not any more: NULL where there is none. */
extern __attribute__((weak)) void free_sized(void *block, size_t size);
extern __attribute__((weak)) void free_aligned_sized(void *block, size_t alignment, size_t size);
extern __attribute__((weak)) void cfree(void *block);

static uintptr_t found(uintptr_t linked, const char *name) {
  uintptr_t function = linked != 0 ? linked : (uintptr_t)dlsym(RTLD_DEFAULT, name);
  CHECK(is_system || function != 0, "there is no %s", name);
  return function;
}

#define CHECK_KEEPS_ERRNO(call)                            \
  do {                                                     \
    errno = MARK;                                          \
    call;                                                  \
    CHECK(errno == MARK, "%s: errno is %d", #call, errno); \
  } while (0)

/* C23's, and cfree: for all sizes, and so often that the process would grow if they did not free. */
static void other_ways_to_free(void) {
  void (*sized)(void *, size_t) = (void (*)(void *, size_t))found((uintptr_t)free_sized, "free_sized");
  void (*aligned)(void *, size_t, size_t) =
      (void (*)(void *, size_t, size_t))found((uintptr_t)free_aligned_sized, "free_aligned_sized");
  void (*old)(void *) = (void (*)(void *))found((uintptr_t)cfree, "cfree");
  if (is_system) return;
  CHECK_KEEPS_ERRNO(sized(NULL, 100));
  CHECK_KEEPS_ERRNO(aligned(NULL, 64, 100));
  CHECK_KEEPS_ERRNO(old(NULL));
  for (size_t size = 0; size <= 5 * MIB; size = next_size(size)) {
    void *block = TAKEN(malloc(size), size);
    CHECK_KEEPS_ERRNO(sized(block, size));
    block = TAKEN(realloc(malloc(size / 2 + 1), size + 1), size + 1);
    CHECK_KEEPS_ERRNO(sized(block, size + 1));
    for (size_t alignment = 8; alignment <= 64 * KIB; alignment *= 16) {
      block = TAKEN_ALIGNED(aligned_alloc(alignment, size), size, alignment < 16 ? 16 : alignment);
      CHECK_KEEPS_ERRNO(aligned(block, alignment, size));
    }
    block = TAKEN(malloc(size), size);
    CHECK_KEEPS_ERRNO(old(block));
  }
  for (int i = 0; i < 3 * TIERS; i++) {
    size_t size = tier_sizes[i % TIERS], before = resident_bytes();
    for (size_t bytes = 0; bytes < 32 * MIB; bytes += size) {
      void *block = i / TIERS == 1 ? aligned_alloc(64, size) : malloc(size);
      CHECK(block != NULL, "%zu bytes", size);
      memset(block, 1, size);
      if (i / TIERS == 0) sized(block, size);
      if (i / TIERS == 1) aligned(block, 64, size);
      if (i / TIERS == 2) old(block);
    }
    CHECK(resident_bytes() < before + 16 * MIB, "%zu bytes are not free: way %d", size, i / TIERS);
  }
}

/* What the C library allocates for its caller comes from the same allocator. */
static void from_the_c_library(void) {
  free(TAKEN(strdup("text"), 5));
  char *line = NULL;
  CHECK(asprintf(&line, "%0500d", 7) == 500, "asprintf");
  free(TAKEN(line, 501));
  line = NULL;
  size_t size = 0;
  FILE *file = fopen("/proc/self/status", "r");
  CHECK(file != NULL && getline(&line, &size, file) > 0, "getline");
  fclose(file);
  free(TAKEN(line, size));
  free(TAKEN(realpath("/proc/self/exe", NULL), 1));
  file = open_memstream(&line, &size);
  for (int i = 0; i < 10000; i++) fprintf(file, "%d ", i);
  fclose(file);
  CHECK(size == 48890, "open_memstream wrote %zu bytes", size);
  free(TAKEN(line, size));
}

int main(void) {
  check_allocator();
  page = (size_t)sysconf(_SC_PAGESIZE);
  is_system = runs_as("system");
  _Static_assert(alignof(max_align_t) <= 16, "16 bytes are enough for every type");
  sizes_and_alignment();
  zeroing();
  requests_too_large();
  resizing();
  resizing_to_nothing();
  free_keeps_errno();
  alignments();
  wrong_alignments();
  alignments_too_large();
  other_ways_to_free();
  from_the_c_library();
  return 0;
}
