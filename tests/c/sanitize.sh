#!/usr/bin/env bash
# Builds the core and the C tests with a sanitizer, assertions on, and runs them; or runs the usual build in valgrind.
#
#   tests/c/sanitize.sh [address|undefined|thread|valgrind]... [-- TEST...]
#
# Without a kind: all four. TEST is the name of a test as ctest knows it (test_sizes, misuse_stack); without any, all C
# tests except those that the tool cannot run, which are named below. HAK_TEST_SHORT=0 in the environment does the full
# work; the default is a tenth. Builds in build/sanitize-KIND; HAK_PLAIN_BUILD in the environment names another folder for
# valgrind, with a build that is there already.
#
# `address` looks for undefined behaviour, too: one build and one run for both. `undefined` alone runs what the other one
# left out, unless it is given tests.
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
only_undefined=$skip_address
skip_thread='^test_oom$'
skip_valgrind='^(test_oom|test_fork|test_heap_fork|test_sizes|test_collect|test_thread_exit|test_threads|test_options|test_aligned|test_limit|unit_mmap|unit_profile_walk)$'

export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:allocator_may_return_null=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}
export UBSAN_OPTIONS=print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:die_after_fork=0${TSAN_OPTIONS:+:$TSAN_OPTIONS}

generator=()
if command -v ninja >/dev/null; then
  generator=(-G Ninja)
fi

# Runs one test in valgrind: what reads memory that was never written, and jumps on it, in the core; it knows nothing of
# our blocks' bounds.
run_in_valgrind() {
  local name=$1 log=$2.$1.log start=$SECONDS
  if valgrind -q --error-exitcode=99 "$2/tests/c/tests/$name" >"$log" 2>&1; then
    echo "valgrind: $name passed, $((SECONDS - start)) s"
  else
    echo "valgrind: $name FAILED"
    tail -40 "$log"
    return 1
  fi
}
export -f run_in_valgrind

run_kind() {
  local kind=$1 folder="$root/build/sanitize-$1" skip="skip_$1" only="only_$1"
  local configure=(-DCMAKE_BUILD_TYPE=RelWithDebInfo) select=() targets=() names
  # A TSan of gcc 12 fails to map its shadow when addresses are randomised over more bits than it knows.
  local prefix=()
  [ "$kind" != thread ] || prefix=(setarch "$(uname -m)" -R)
  if [ "$kind" != valgrind ]; then
    configure+=(-DHAK_SANITIZE="$kind")
  elif [ -n "${HAK_PLAIN_BUILD:-}" ]; then
    folder=$HAK_PLAIN_BUILD
  fi
  cmake -S "$root" -B "$folder" "${generator[@]}" "${configure[@]}" >"$folder.log" 2>&1 || {
    tail -40 "$folder.log"
    return 1
  }

  if [ ${#tests[@]} -gt 0 ]; then
    select=(-R "^($(IFS='|' && echo "${tests[*]}"))\$")
  elif [ -n "${!only:-}" ]; then
    select=(-R "${!only}")
  else
    select=(-E "${!skip}")
  fi
  # A test and its program have one name; hak_expect starts the misuse programs, which valgrind has no business with.
  names=$(ctest --test-dir "$folder" -N "${select[@]}" | sed -n 's/^ *Test *#[0-9]*: //p')
  [ "$kind" != valgrind ] || names=$(grep -E '^(test|unit|fuzz)_' <<<"$names")
  [ -n "$names" ] || { echo "$kind: no such test" && return 1; }
  mapfile -t targets <<<"$names"
  cmake --build "$folder" -j "$(nproc)" --target hak_expect "${targets[@]}" >>"$folder.log" 2>&1 || {
    tail -40 "$folder.log"
    return 1
  }

  if [ "$kind" = valgrind ]; then
    printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I NAME bash -c 'run_in_valgrind NAME "$1"' - "$folder"
    return
  fi
  "${prefix[@]}" ctest --test-dir "$folder" -j "$(nproc)" --no-tests=error --output-on-failure --timeout 600 "${select[@]}"
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
