#!/usr/bin/env bash
# Runs real programs twice, without and with libhakmem.so preloaded, and demands the same output and exit status.
#
#   tests/programs/run.sh [--short] [--allow-missing] [--keep] [LIBRARY [PROGRAM...]]
#
# LIBRARY is the shared library to preload; without it, it is built with CMake in build/programs. PROGRAM names some of
# the programs in list/; without any, all run. --short does a small part of the work. --allow-missing passes over what is
# not installed, and says so; otherwise a missing program is an error, but for node (whose packages npm fetches) and chromium
# in the short form. --keep keeps the work folder.
#
# Prints one line a program: how long it took and its peak resident set with the library, relative to without. Those
# are for the reader: nothing is asserted on them. Exits with 1 when any program differs or is missing. compare.py measures.
#
# On Debian: apt-get install python3 libpython3-testsuite git gcc clang perl ruby lua5.4 sqlite3 redis-server redis-tools
#   postgresql nginx wrk imagemagick stress-ng nodejs npm chromium-headless-shell time cmake
set -u -o pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
programs=(python perl ruby lua git gcc clang sqlite redis postgres nginx imagemagick stress wordcount node chromium)
optional="node chromium"

# ---- The programs ----------------------------------------------------------------------------------------------------
#
# program_NAME runs in an empty folder, the same for both runs; what it prints on both streams, and its status, are
# compared. It is part of a shell that is preloaded itself. needs_NAME says which commands must exist; prepare_NAME runs
# once before, without the library, in the folder $shared that both runs can read.

note() { notes="${notes:+$notes; }$*"; }

# Called by needs_NAME.
missing() {
  lacking="${lacking:+$lacking, }$*"
  return 1
}
need() {
  local command
  for command in "$@"; do
    command -v "$command" >/dev/null || missing "$command"
  done
}

# A port of the loopback interface where nobody answers.
free_port() {
  local port
  for port in $(seq $((20000 + $$ % 20000)) $((20100 + $$ % 20000))); do
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$port"
      return
    fi
  done
  return 1
}

for list in "$here"/list/*.sh; do
  # shellcheck disable=SC1090
  . "$list"
done

# ---- The comparison --------------------------------------------------------------------------------------------------

# run NAME KIND [LIBRARY]: runs program_NAME in a folder of its own; leaves output, status, seconds and KiB in $work.
run() {
  local name=$1 kind=$2 library=${3-} folder="$work/run/$1"
  # The folder has the same name in both runs, since programs print it.
  rm -rf "$folder" && mkdir -p "$folder"
  (
    cd "$folder" || exit 1
    preload=()
    [ -z "$library" ] || preload=(env "LD_PRELOAD=$library")
    HAK_PROGRAMS_SHORT=$short HAK_PROGRAMS_SHARED=$work/shared/$name \
      timeout --kill-after=10 900 time -q -o "$work/$name.$kind.cost" -f '%e %M' \
      "${preload[@]}" bash "$here/run.sh" --inside "$name" </dev/null >"$work/$name.$kind.out" 2>&1
    echo "exit status $?" >>"$work/$name.$kind.out"
  )
}

ratio() { perl -e 'printf "%.2f", $ARGV[1] > 0 ? $ARGV[0] / $ARGV[1] : 0' "$1" "$2"; }

compare() {
  local name=$1 plain_seconds plain_kib seconds kib
  run "$name" plain
  run "$name" hakmem "$library"
  # A word at the end is the reason when time cannot start or a signal ended the program.
  read -r plain_seconds plain_kib < <(tail -1 "$work/$name.plain.cost")
  read -r seconds kib < <(tail -1 "$work/$name.hakmem.cost")
  printf '%-11s time x%-5s (%s s, was %s)  peak RSS x%-5s (%s MiB, was %s)  ' "$name" \
    "$(ratio "$seconds" "$plain_seconds")" "$seconds" "$plain_seconds" "$(ratio "$kib" "$plain_kib")" \
    $((kib / 1024)) $((plain_kib / 1024))
  if ! cmp -s "$work/$name.plain.out" "$work/$name.hakmem.out"; then
    echo "DIFFERENT${notes:+  [$notes]}"
    diff "$work/$name.plain.out" "$work/$name.hakmem.out" | head -40
    return 1
  fi
  # The same failure twice is no comparison.
  if [ "$(tail -1 "$work/$name.plain.out")" != "exit status 0" ]; then
    echo "FAILS WITHOUT THE LIBRARY TOO${notes:+  [$notes]}"
    tail -20 "$work/$name.plain.out"
    return 1
  fi
  echo "same ($(wc -l <"$work/$name.plain.out") lines)${notes:+  [$notes]}"
}

build_library() {
  local folder="$root/build/programs"
  cmake -S "$root" -B "$folder" -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF >"$work/cmake.log" 2>&1 &&
    cmake --build "$folder" --target hakmem_shared >>"$work/cmake.log" 2>&1 || {
    cat "$work/cmake.log" >&2
    return 1
  }
  echo "$folder/libhakmem.so"
}

main() {
  short=0
  local allow_missing=0 keep=0
  while [ $# -gt 0 ]; do
    case $1 in
      --short) short=1 ;;
      --allow-missing) allow_missing=1 ;;
      --keep) keep=1 ;;
      --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$here/run.sh" && exit 0 ;;
      -*) echo "$1: unknown option" >&2 && exit 2 ;;
      *) break ;;
    esac
    shift
  done
  work=$(mktemp -d)
  chmod 711 "$work" # postgres runs as another user
  if [ $keep = 1 ]; then
    echo "work folder: $work"
  else
    trap 'rm -rf "$work"' EXIT
  fi
  if [ $# -gt 0 ]; then
    library=$(realpath -e "$1") || exit 2
    shift
  else
    library=$(build_library) || exit 1
  fi
  install -D -m 644 "$library" "$work/library/$(basename "$library")" && library=$work/library/$(basename "$library")
  [ $# -eq 0 ] || programs=("$@")
  # A library that cannot be preloaded is ignored by the dynamic linker: all would be the same.
  if ! LD_PRELOAD="$library" cat /proc/self/maps 2>&1 | grep -qF "$(realpath "$library")"; then
    echo "$library is not loaded by LD_PRELOAD" >&2
    exit 1
  fi
  lacking=
  need time perl timeout || { echo "missing: $lacking" >&2; exit 1; }

  local name failures=0
  for name in "${programs[@]}"; do
    declare -F "program_$name" >/dev/null || { echo "$name: no such program" >&2; exit 2; }
    notes='' lacking='' shared="$work/shared/$name"
    mkdir -p "$shared"
    "needs_$name"
    if [ -n "$lacking" ]; then
      printf '%-11s MISSING: %s\n' "$name" "$lacking"
      [ $allow_missing = 1 ] || { [ "$short" = 1 ] && [[ " $optional " == *" $name "* ]]; } || failures=$((failures + 1))
      continue
    fi
    if ! "prepare_$name"; then
      printf '%-11s CANNOT BE PREPARED\n' "$name"
      failures=$((failures + 1))
      continue
    fi
    compare "$name" || failures=$((failures + 1))
  done
  if [ $failures -gt 0 ]; then
    echo "$failures of ${#programs[@]} programs failed"
    exit 1
  fi
}

# For ourselves and for compare.py: in the folder where it is, with HAK_PROGRAMS_SHORT and HAK_PROGRAMS_SHARED.
if [ "${1-}" = --inside ] || [ "${1-}" = --prepare ]; then
  short=$HAK_PROGRAMS_SHORT
  shared=$HAK_PROGRAMS_SHARED
  if [ "$1" = --inside ]; then
    "program_$2"
    exit
  fi
  notes='' lacking=''
  "needs_$2"
  [ -z "$lacking" ] || { echo "missing: $lacking" && exit 77; }
  "prepare_$2" && echo "$notes"
  exit
fi
main "$@"
