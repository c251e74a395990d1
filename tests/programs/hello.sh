#!/usr/bin/env bash
# What the smallest programs pay for a preloaded libhakmem.so, beside the system's malloc: resident memory and system calls.
#
#   tests/programs/hello.sh [LIBRARY]
#
# LIBRARY is the shared library to preload; without it, build/libhakmem.so. Prints both figures of each program; exits with 1
# when hakmem costs more than 0.3 MiB or more than 10 system calls. Opening and mapping any library is 10 of them already, so
# its start may not take more than it saves the C library.
#
# Of 51 runs: where the kernel maps things changes resident memory by some pages, so that is the median; and it changes how
# often an aligned mapping needs a second attempt, so of the calls the most count. Needs gcc and strace.
set -eu -o pipefail
export LC_ALL=C

most_kib=307
most_calls=10
runs=51

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
library=$(realpath -e "${1-$here/../../build/libhakmem.so}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
gcc -O1 -o "$work/hello" "$here/hello.c"

# A library that cannot be preloaded is ignored by the dynamic linker: all would be the same.
if ! LD_PRELOAD="$library" cat /proc/self/maps | grep -qF "$library"; then
  echo "$library is not loaded by LD_PRELOAD" >&2
  exit 1
fi

# resident_kib PROGRAM [LIBRARY]
resident_kib() {
  local i
  for i in $(seq $runs); do
    env ${2+"LD_PRELOAD=$2"} "$work/hello" "$1" resident 2>&1 >/dev/null
  done | sort -n | sed -n "$((runs / 2 + 1))p"
}

# calls PROGRAM [LIBRARY]: the most system calls of any run, which stay in $work/PROGRAM.trace.
calls() {
  local most=0 count i
  for i in $(seq $runs); do
    strace -f -o "$work/trace" ${2+-E "LD_PRELOAD=$2"} "$work/hello" "$1" >/dev/null
    count=$(grep -c '(' "$work/trace")
    if [ "$count" -gt "$most" ]; then
      most=$count
      mv "$work/trace" "$work/$1.trace"
    fi
  done
  echo "$most"
}

failures=0
printf '%-8s %21s %21s\n' '' 'resident KiB' 'system calls'
printf '%-8s %6s %7s %6s %6s %7s %6s\n' program system hakmem more system hakmem more
for program in stdio write; do
  plain_kib=$(resident_kib $program)
  kib=$(resident_kib $program "$library")
  plain_calls=$(calls $program)
  calls=$(calls $program "$library")
  printf '%-8s %6d %7d %6d %6d %7d %6d\n' $program "$plain_kib" "$kib" $((kib - plain_kib)) \
    "$plain_calls" "$calls" $((calls - plain_calls))
  if [ $((kib - plain_kib)) -gt $most_kib ]; then
    echo "$program: more than $most_kib KiB more"
    failures=$((failures + 1))
  fi
  if [ $((calls - plain_calls)) -gt $most_calls ]; then
    echo "$program: more than $most_calls system calls more; all of them:"
    sed 's/^[0-9]* */  /' "$work/$program.trace"
    failures=$((failures + 1))
  fi
done
[ $failures = 0 ]
