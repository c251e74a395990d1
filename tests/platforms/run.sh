#!/usr/bin/env bash
# The C tests where hakmem is to work beside a usual x86-64 with glibc: with musl, on aarch64 (in qemu, gcc and clang, and
# with pages of 64 KiB), in static executables, optimised at link time, in programs that are built with sanitizers, and built for
# valgrind; and that what is not supported says so when it is built. In the short form of the tests it takes less than 3 minutes
# on two cores.
#
#   tests/platforms/run.sh [musl|aarch64|static|lto|sanitized|memcheck|unsupported]...
#
# On Debian: apt-get install musl-tools gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user g++ clang llvm valgrind
# (clang's -flto needs LLVMgold.so, of the package llvm). Builds in build/platforms.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/build/platforms
export HAK_TEST_SHORT=${HAK_TEST_SHORT-1}
mkdir -p "$work"

# Configures and builds: build FOLDER TARGETS [CMAKE-ARGUMENT...]; TARGETS are split into words, none means all.
build() {
  local folder=$work/$1 targets
  read -r -a targets <<<"$2"
  shift 2
  {
    cmake -S "$root" -B "$folder" -G Ninja "$@" &&
      cmake --build "$folder" ${targets[0]:+--target "${targets[@]}"}
  } >"$folder.log" 2>&1 || { tail -40 "$folder.log" && return 1; }
}

# Left out is what takes most of the time and has nothing to do with the C library.
platform_musl() {
  local names targets
  names=$(cd "$root/tests/c" && printf '%s\n' test_*.c | grep -Ev '^test_(oom|collect)\.c$')
  names+=$'\n'$(cd "$root/tests/process" && grep -lE 'runs:.* preload' ./*.c | sed 's,./,process_,' | grep -v only_frees)
  names+=$' unit_faults unit_mmap unit_mmap_cache unit_trade unit_remote'
  names=$(tr '\n' ' ' <<<"${names//.c/}")
  targets="$names $(cd "$root/tests/process" && grep -lE 'runs:.* static' ./*.c | sed 's,./\(.*\).c,process_\1_static,')"
  targets+=" $(cd "$root/tests/process/lib" && printf 'process_lib_%s ' ./*.c | sed 's,\./\|\.c,,g')"
  build musl "$(tr '\n' ' ' <<<"$targets")" -DCMAKE_C_COMPILER=musl-gcc
  # shellcheck disable=SC2086 # the names are meant to be split
  ctest --test-dir "$work/musl" --output-on-failure -j "$(nproc)" --no-tests=error -R "^($(printf '%s|' $names)none)(_[a-z]+)?\$"
}

# Not here: what starts programs, for which qemu would have to be the machine's interpreter, or threads in a forked child,
# which qemu cannot; and what measures the resident set, which is qemu's.
aarch64_tests="test_aligned test_calloc test_errno test_overlap test_realloc test_sized test_sizes test_stats test_threads
  test_tier test_heap test_heap_life test_heap_limit test_heap_threads unit_arena unit_adapt unit_faults unit_mmap unit_mmap_cache
  unit_trade unit_registry_guard unit_remote unit_segment unit_slab unit_span unit_tagmap
  process_conformance_static process_conformance_glibc_static process_process_end_static process_signals_static"
sysroot=/usr/aarch64-linux-gnu

# aarch64 FOLDER TESTS [CMAKE-ARGUMENT...]
aarch64() {
  local folder=$1 tests=$2
  shift 2
  build "$folder" "$(tr '\n' ' ' <<<"$tests")" -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
    "-DCMAKE_CROSSCOMPILING_EMULATOR=qemu-aarch64;-L;$sysroot" "$@"
  # shellcheck disable=SC2086 # the names are meant to be split
  ctest --test-dir "$work/$folder" --output-on-failure -j "$(nproc)" --no-tests=error \
    -R "^($(printf '%s|' $tests)none)\$"
}

platform_aarch64() {
  aarch64 aarch64-gcc "$aarch64_tests" -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc
  aarch64 aarch64-clang "test_threads test_realloc unit_remote process_conformance_static" -DCMAKE_C_COMPILER=clang \
    -DCMAKE_C_COMPILER_TARGET=aarch64-linux-gnu
  local test
  for test in test_aligned test_realloc test_tier unit_mmap unit_remote unit_segment unit_span; do
    echo "- pages of 64 KiB: $test"
    qemu-aarch64 -p 65536 -L "$sysroot" "$work/aarch64-gcc/tests/c/tests/$test" >"$work/pages.log" 2>&1 ||
      { tail -20 "$work/pages.log" && return 1; }
  done
}

# Compiles a program of tests/process with the core in it, as one, and runs it: whole COMPILER++ SOURCE [FLAG...]
whole() {
  local compiler=$1 source=$2 program=$work/whole
  shift 2
  echo "- $compiler $* $source"
  local language=(-std=c++17)
  [ "${source##*.}" = cpp ] || language=(-x c -std=c11)
  "$compiler" "${language[@]}" -D_GNU_SOURCE -fno-builtin -pthread "$@" "$root/tests/process/$source" -x none \
    "$work/core.o" -o "$program" -ldl
  HAK_TEST_ALLOCATOR=static timeout 120 "$program" >/dev/null
}

# The core as an object: core COMPILER [FLAG...]
core() {
  local compiler=$1 flags
  shift
  mapfile -t flags < <(grep -v '^#' "$root/c_src/flags.txt")
  "$compiler" "${flags[@]}" -fPIC -DHAK_OVERRIDE=1 "$@" "-I$root/include" "-I$root/c_src" -c -o "$work/core.o" \
    "$root/c_src/hakmem.c"
}

platform_lto() {
  local compiler source
  for compiler in gcc clang; do
    core "$compiler" -flto
    for source in conformance.c conformance_cxx.cpp replaced_new.cpp thread_end.c; do
      whole "${compiler/gcc/g}++" "$source" -O2 -flto 2>"$work/lto.log" || { cat "$work/lto.log" && return 1; }
    done
    echo "- $compiler -flto libhakmem.so"
    "$compiler" -O2 -flto -shared -Wl,-z,now -Wl,-z,nodelete -o "$work/lto.so" "$work/core.o" 2>"$work/lto.log" ||
      { cat "$work/lto.log" && return 1; }
    LD_PRELOAD=$work/lto.so sh -c 'ls / | sort >/dev/null'
  done
}

# Executables without a dynamic linker, where malloc is hakmem's for the C library, too.
platform_static() {
  local source
  core gcc
  for source in conformance.c conformance_glibc.c thread_end.c process_end.c fork_storm.c signals.c; do
    whole g++ "$source" -O1 -static 2>"$work/static.log" || { cat "$work/static.log" && return 1; }
  done
}

# refuses MESSAGE COMPILER [FLAG...]: the core cannot be compiled so, and the first error is this one.
refuses() {
  local message=$1 compiler=$2 first
  shift 2
  echo "- $compiler $*"
  first=$("$compiler" "-I$root/include" "-I$root/c_src" -fsyntax-only "$@" "$root/c_src/hakmem.c" 2>&1 | grep -m1 error || true)
  [[ $first == *"$message"* ]] || { echo "not '$message' but: ${first:-it compiles}" && return 1; }
}

platform_unsupported() {
  refuses 'supports x86-64 and aarch64' gcc -std=c11 -m32
  refuses 'addresses of 64 bits' gcc -std=c11 -mx32
  refuses 'needs C11' gcc -std=c99
  refuses 'sources are C11' g++ -x c++
  refuses 'supports Linux' gcc -std=c11 -U__linux__
  refuses 'supports Linux' clang -std=c11 --target=aarch64-apple-darwin
  refuses 'supports x86-64 and aarch64' clang -std=c11 --target=riscv64-linux-gnu
  refuses 'supports little-endian' clang -std=c11 --target=aarch64_be-linux-gnu
  refuses 'needs gcc or clang' gcc -std=c11 -U__GNUC__
  local sanitizer compiler
  for compiler in gcc clang; do
    for sanitizer in address thread; do
      refuses "malloc is the sanitizer's" "$compiler" -std=c11 "-fsanitize=$sanitizer" -DHAK_OVERRIDE=1
    done
  done
  refuses 'HAK_VALGRIND goes neither' gcc -std=c11 -DHAK_PROFILE=1 -DHAK_VALGRIND=1
  refuses 'HAK_VALGRIND goes neither' gcc -std=c11 -DHAK_SECURE=1 -DHAK_VALGRIND=1
}

# A program that uses hakmem by its own names and is built with a sanitizer, which has malloc.
platform_sanitized() {
  local compiler sanitizer
  build static hakmem -DBUILD_TESTING=OFF
  for compiler in gcc clang; do
    for sanitizer in address undefined; do
      echo "- $compiler -fsanitize=$sanitizer"
      "$compiler" -g "-fsanitize=$sanitizer" -fno-sanitize-recover=all -pthread "-I$root/include" \
        "$root/tests/consumer/main.c" "$work/static/libhakmem.a" -o "$work/sanitized"
      "$work/sanitized"
    done
  done
}

# memcheck MISTAKE ERRORS EXPECTED PROGRAM: memcheck reports so many errors, and says this.
memcheck() {
  local mistake=$1 count=$2 expected=$3 program=$4 errors
  valgrind --leak-check=full --soname-synonyms=somalloc=nouserintercepts "--log-file=$work/memcheck.log" \
    "$program" "$mistake" >"$work/memcheck.out" || { tail -20 "$work/memcheck.log" && return 1; }
  # The last summary: its child has one, too.
  errors=$(sed -n 's/.*ERROR SUMMARY: \([0-9]*\) errors.*/\1/p' "$work/memcheck.log" | tail -1)
  if ! [[ $errors =~ ^$count$ ]] || ! grep -qE "$expected" "$work/memcheck.log"; then
    echo "$program $mistake: $errors errors, not $count, or no '$expected'"
    tail -60 "$work/memcheck.log"
    return 1
  fi
  echo "- memcheck: $(basename "$program") $mistake"
}

# The library built for memcheck: one mistake in a block of each tier is reported as such, and nothing where there is none.
platform_memcheck() {
  build memcheck "" -DBUILD_TESTING=OFF -DHAK_VALGRIND=ON
  local program blocks
  gcc -g -O1 -pthread "-I$root/include" "$root/tests/platforms/memcheck.c" "$work/memcheck/libhakmem.a" -o "$work/memcheck-static"
  gcc -g -O1 -pthread -fno-builtin -DMEMCHECK_MALLOC "$root/tests/platforms/memcheck.c" "-L$work/memcheck" \
    "-Wl,-rpath,$work/memcheck" -Wl,--no-as-needed -lhakmem -o "$work/memcheck-malloc"
  for program in "$work/memcheck-static" "$work/memcheck-malloc"; do
    memcheck none 0 'All heap blocks were freed' "$program"
    # All ten are seen. Some of the large ones are not surely lost: the allocator's variables know where it made the last mapping, and
    # in the cells of a block's slices are addresses of what was there before.
    memcheck leak '[234]' 'definitely lost: [0-9,]* bytes in ([7-9]|10) blocks' "$program"
    blocks=$(sed -nE 's/.* (definitely lost|possibly lost|still reachable): .* in ([0-9]+) blocks/\2/p' "$work/memcheck.log" |
      tail -3 | awk '{ sum += $1 } END { print sum }')
    [ "$blocks" = 10 ] || { echo "$program leak: $blocks blocks, not 10" && return 1; }
    memcheck use_after_free 5 "inside a block of size [0-9,]+ free'd" "$program"
    memcheck overflow 5 "is 0 bytes after a (recently re-allocated )?block of size 40 alloc'd" "$program"
    memcheck undefined 5 'depends on uninitialised value' "$program"
  done
}

platforms=("$@")
[ ${#platforms[@]} -gt 0 ] || platforms=(musl aarch64 static lto sanitized memcheck unsupported)
for platform in "${platforms[@]}"; do
  echo "== $platform"
  declare -F "platform_$platform" >/dev/null || { echo "there is no platform $platform" >&2 && exit 2; }
  "platform_$platform"
done
