#!/usr/bin/env bash
# Checks the Promela models of the lock-free parts by exhaustive search, and that each finds the bug that its mutants
# put in.
#
#   tests/models/run.sh [MODEL...]        inbox guard park span hints slices; all without an argument
#
# One line a run. Exits with 1 when a model has an error, a mutant has none, a search was cut short, or spin is missing.
# A mutant is -DMUTANT=n; the model's head says what each leaves out. Needs spin and a C compiler; a minute or two and 1 GiB.
set -u -o pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if ! command -v spin >/dev/null; then
  echo "run.sh: spin is missing, no model was checked. Install it: apt-get install spin (Debian, Ubuntu), or from" \
    "https://spinroot.com" >&2
  exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

# check MODEL ok|error [-D...]: one search; whether it ends as expected.
check() {
  local model=$1 expected=$2
  shift 2
  local name="$model${*:+ $*}" folder="$work/$model" out states errors
  mkdir -p "$folder"
  if ! (cd "$folder" && rm -f pan* && spin "$@" -a "$here/$model.pml" >spin.log 2>&1 &&
    "${CC:-cc}" -O2 -w -DSAFETY -DCOLLAPSE -DMEMLIM=2000 -o pan pan.c >>spin.log 2>&1); then
    echo "$name: FAILED to build"
    cat "$folder/spin.log"
    status=1
    return
  fi
  out=$(cd "$folder" && ./pan -m100000 -w22 2>&1)
  states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' <<<"$out")
  errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' <<<"$out")
  local cut=no
  if [ -z "$states" ] || [ -z "$errors" ] || grep -q "max search depth too small\|MEMLIM\|out of memory" <<<"$out"; then
    cut=yes
  fi
  if [ "$expected" = ok ] && [ "$errors" = 0 ] && [ "$cut" = no ]; then
    echo "$name: $states states, ok"
  elif [ "$expected" = error ] && [ "${errors:-0}" != 0 ]; then
    echo "$name: $states states, found: $(sed -n 's/^pan:1: \(.*\) (at depth.*/\1/p' <<<"$out")"
  else
    echo "$name: FAILED, expected $expected, errors: ${errors:-none reported}, search cut short: $cut"
    echo "$out"
    [ ! -f "$folder/$model.pml.trail" ] || (cd "$folder" && spin "$@" -t -p -g "$here/$model.pml" | tail -60)
    status=1
  fi
}

all=" ${*:-inbox guard park span hints slices} "
wanted() { [[ $all == *" $1 "* ]]; }

if wanted inbox; then
  check inbox ok
  check inbox error -DMUTANT=1
  check inbox error -DMUTANT=2
fi
if wanted guard; then
  check guard ok
  check guard ok -DFORK=1
  for mutant in 1 2 3; do check guard error -DMUTANT=$mutant; done
  for mutant in 4 5; do check guard error -DFORK=1 -DMUTANT=$mutant; done
fi
if wanted park; then
  check park ok
  check park error -DMUTANT=1
fi
if wanted span; then
  check span ok
  for mutant in 1 2 3 4; do check span error -DMUTANT=$mutant; done
fi
if wanted hints; then
  check hints ok
  for mutant in 1 2 3 4; do check hints error -DMUTANT=$mutant; done
fi
if wanted slices; then
  check slices ok
  check slices ok -DUSERS=1 -DPURGERS=2
  check slices error -DMUTANT=1
  check slices error -DMUTANT=2
  check slices error -DUSERS=1 -DPURGERS=2 -DMUTANT=3
fi
exit $status
