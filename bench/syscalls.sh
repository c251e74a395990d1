#!/usr/bin/env bash
# The system calls of hakmem and of the system's malloc on blocks of 8 to 32 KiB (workload midlarge): a table of `strace -f -c`.
#
#   bench/syscalls.sh [--threads N] [--ops N] [--out FILE] [VARIANT...]
#
# VARIANT: own, shared, pipe; all by default. Threads: 2. A worker of hakmem-bench runs without its driver, once with so many
# operations a thread (300000 by default) and once with four times as many: what both have in common is the start, the end and
# the barriers between; what the long run has more is the steady state. --out writes the counts as CSV.
#
# Exits with 1 when hakmem calls mincore; calls gettid more often than the system's row, which is what starting threads takes;
# or makes any call more often in the long run, beyond the noise of the barriers. sched_yield is not looked at: it is how the
# harness waits for a queue. The numbers of calls mean something, their times do not: strace slows a program down manifold.
set -eu -o pipefail
export LC_ALL=C

names=(futex mincore gettid mmap munmap madvise mprotect)
threads=2
ops=300000
out=
variants=()
while [ $# -gt 0 ]; do
  case $1 in
    --threads) threads=$2 && shift ;;
    --ops) ops=$2 && shift ;;
    --out) out=$2 && shift ;;
    --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" && exit 0 ;;
    own | shared | pipe) variants+=("$1") ;;
    *) echo "$1: neither an option nor a variant" >&2 && exit 2 ;;
  esac
  shift
done
[ ${#variants[@]} -gt 0 ] || variants=(own shared pipe)
# Threads that meet at barriers sleep or do not, and a mapping is aligned or trimmed: some calls more or less by chance. One
# call in 50000 operations is more than that, unless --ops is small.
noise=$((16 * threads))

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$root" && cargo build -q --release -p hakmem-bench)
bench=${CARGO_TARGET_DIR:-$root/target}/release/hakmem-bench

# count ALLOCATOR VARIANT OPS: one run; its counts go to the array `counts`, in the order of `names`, others last.
count() {
  local case
  case=$(printf '{"workload":"midlarge","name":"syscalls","variant":"%s","threads":%d,"ops":%d,"slots":2048,"seed":42}' \
    "$2" "$threads" "$3")
  strace -f -c -o "$work/table" "$bench" worker "$1" "$case" >"$work/result"
  # Columns: share, seconds, each, calls, errors (may be empty), name.
  read -ra counts < <(awk -v wanted="${names[*]}" '
    BEGIN { n = split(wanted, name, " ") }
    $4 ~ /^[0-9]+$/ && $NF != "total" && $NF != "sched_yield" { calls[$NF] = $4; others += $4 }
    END {
      for (i = 1; i <= n; i++) { printf "%d ", calls[name[i]]; others -= calls[name[i]] }
      print others
    }' "$work/table")
  [ "${counts[${#names[@]}]}" -gt 0 ] || { echo "strace counted nothing:" >&2; cat "$work/table" >&2; exit 1; }
}

failures=()
fail() { failures+=("$*"); }

row() {
  local cell
  for cell in "$@"; do printf '| %s ' "$cell"; done
  echo '|'
}

[ -z "$out" ] || (IFS=,; echo "variant,threads,allocator,ops,${names[*]},others" >"$out")
row variant allocator operations "${names[@]}" others
row --- --- --- "${names[@]//*/---}" ---
for variant in "${variants[@]}"; do
  for allocator in system hakmem; do
    for length in 1 4; do
      count $allocator "$variant" $((ops * length))
      row "$variant, $threads threads" $allocator $((ops * length * threads)) "${counts[@]}"
      [ -z "$out" ] || (IFS=,; echo "$variant,$threads,$allocator,$((ops * length * threads)),${counts[*]}" >>"$out")
      [ $length = 4 ] || short=("${counts[@]}")
    done
    if [ $allocator = system ]; then
      system=("${counts[@]}")
      continue
    fi
    for i in "${!counts[@]}"; do
      name=${names[i]-others}
      [ $name != mincore ] || [ "${counts[i]}" = 0 ] || fail "$variant: mincore was called"
      [ $name != gettid ] || [ "${counts[i]}" -le "${system[i]}" ] || fail "$variant: gettid is called beyond starting threads"
      [ $((counts[i] - short[i])) -le $noise ] || fail "$variant: $name grows with the operations, by $((counts[i] - short[i]))"
    done
  done
done

if [ ${#failures[@]} -gt 0 ]; then
  printf '%s\n' "${failures[@]}" >&2
  exit 1
fi
echo
echo "hakmem makes no system call in the steady state."
