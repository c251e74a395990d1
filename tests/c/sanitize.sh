#!/usr/bin/env bash
# Builds the core and the C tests with a sanitizer, assertions on, and runs them; or runs the usual build in valgrind.
#
#   tests/c/sanitize.sh [address|undefined|thread|valgrind]... [-- TEST...]
#
# Without a kind: all four. TEST is the name of a test as ctest knows it (test_sizes, misuse_stack); without any, all C
# tests except those that the tool cannot run, which are named below. HAK_TEST_SHORT=0 in the environment does the full
# work; the default is a tenth. Builds in build/sanitize-KIND.
set -u -o pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
export HAK_TEST_SHORT=${HAK_TEST_SHORT-1}

kinds=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  case $1 in
    address | undefined | thread | valgrind) kinds+=("$1") ;;
    *) echo "$1: not address, undefined, thread or valgrind" >&2 && exit 2 ;;
  esac
  shift
done
[ ${#kinds[@]} -gt 0 ] || kinds=(address undefined thread valgrind)
[ $# -eq 0 ] || shift
tests=("$@")

# test_oom limits the address space, of which ASan and TSan need terabytes. ASan's own malloc, which the tests and the C
# library use beside ours, has locks that a forked child may find held for ever, so test_fork and test_heap_fork are not
# for it. Under valgrind only one thread runs at a time and everything is some thirty times slower, so what walks
# millions of blocks is left out, and what starts itself anew or looks at its own stack. Its mremap reports ENOMEM where the
# kernel says EFAULT, which unit_mmap takes for a failure that nobody ordered.
skip_address='^(test_oom|test_fork|test_heap_fork)$'
skip_undefined='^$'
skip_thread='^test_oom$'
skip_valgrind='^(test_oom|test_fork|test_heap_fork|test_sizes|test_collect|test_thread_exit|test_threads|test_options|test_aligned|test_limit|unit_mmap|unit_profile)$'

export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:allocator_may_return_null=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}
export UBSAN_OPTIONS=print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:die_after_fork=0${TSAN_OPTIONS:+:$TSAN_OPTIONS}

generator=()
if command -v ninja >/dev/null; then
  generator=(-G Ninja)
fi

run_kind() {
  local kind=$1 folder="$root/build/sanitize-$1" skip="skip_$1" options=() test_options=()
  [ "$kind" = valgrind ] || options=(-DHAK_SANITIZE="$kind")
  # A TSan of gcc 12 fails to map its shadow when addresses are randomised over more bits than it knows.
  local prefix=()
  # A test and its program have one name; the checker is what starts misuse programs.
  local targets=()
  [ ${#tests[@]} -eq 0 ] || targets=(--target hak_expect "${tests[@]}")
  [ "$kind" != thread ] || prefix=(setarch "$(uname -m)" -R)
  cmake -S "$root" -B "$folder" "${generator[@]}" -DCMAKE_BUILD_TYPE=RelWithDebInfo "${options[@]}" >"$folder.log" 2>&1 &&
    cmake --build "$folder" -j "$(nproc)" "${targets[@]}" >>"$folder.log" 2>&1 || {
    tail -40 "$folder.log"
    return 1
  }
  if [ ${#tests[@]} -gt 0 ]; then
    test_options=(-R "^($(IFS='|' && echo "${tests[*]}"))\$")
  else
    test_options=(-E "${!skip}")
  fi
  if [ "$kind" = valgrind ]; then
    # Reads of memory that was never written, and jumps on it, in the core; it knows nothing of our blocks' bounds.
    # Misuse programs run as they are: the checker starts them.
    local status=0 ran=0 name
    for name in $(cd "$folder" && ctest -N "${test_options[@]}" | sed -n 's/^ *Test *#[0-9]*: \(test_\|unit_\)/\1/p'); do
      if valgrind -q --error-exitcode=99 "$folder/tests/c/tests/$name" >"$folder.$name.log" 2>&1; then
        echo "valgrind: $name passed"
      else
        echo "valgrind: $name FAILED"
        tail -40 "$folder.$name.log"
        status=1
      fi
      ran=1
    done
    [ $ran = 1 ] || { echo "valgrind: no such test" && status=1; }
    return $status
  fi
  "${prefix[@]}" ctest --test-dir "$folder" -j "$(nproc)" --no-tests=error --output-on-failure --timeout 600 "${test_options[@]}"
}

mkdir -p "$root/build"
failed=()
for kind in "${kinds[@]}"; do
  echo "== $kind"
  run_kind "$kind" || failed+=("$kind")
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "failed: ${failed[*]}"
  exit 1
fi
