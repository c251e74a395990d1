#!/usr/bin/env bash
# Runs real programs twice, without and with libhakmem.so preloaded, and demands the same output and exit status.
#
#   tests/programs/run.sh [--short] [--allow-missing] [--keep] [LIBRARY [PROGRAM...]]
#
# LIBRARY is the shared library to preload; without it, it is built with CMake in build/programs. PROGRAM names some of
# the programs below; without any, all run. --short does about a fifth of the work. --allow-missing passes over what is
# not installed, and says so; otherwise a missing program is an error. --keep keeps the work folder.
#
# Prints one line a program: how long it took and its peak resident set with the library, relative to without. Those
# are for the reader: nothing is asserted on them. Exits with 1 when any program differs or is missing.
#
# On Debian: apt-get install python3 libpython3-testsuite git gcc perl sqlite3 redis-server redis-tools time cmake
set -u -o pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
programs=(python git gcc perl sqlite redis wordcount)

# ---- The programs ----------------------------------------------------------------------------------------------------
#
# program_NAME runs in an empty folder, the same for both runs; what it prints on both streams, and its status, are
# compared. It is part of a shell that is preloaded itself. needs_NAME says which commands must exist; prepare_NAME runs
# once before, without the library, in the folder $shared that both runs can read.

# A Python whose own tests are installed: distributions put them into a package of their own.
find_python() {
  local python
  for python in /usr/bin/python3 python3; do
    if "$python" -c 'import test.test_json, test.test_threading, test.test_dict, test.test_list' 2>/dev/null; then
      command -v "$python"
      return
    fi
  done
  return 1
}

needs_python() { find_python >/dev/null || missing "a python3 with its test suite (libpython3-testsuite)"; }
prepare_python() {
  find_python >"$shared/python"
  note "$("$(cat "$shared/python")" --version 2>&1), $(cat "$shared/python")"
}
program_python() {
  local tests=(test_json test_list test_dict test_threading) python
  [ "$short" = 0 ] || tests=(test_json test_list)
  python=$(cat "$shared/python")
  # Its own allocator for small objects would keep most requests from malloc.
  PYTHONMALLOC=malloc PYTHONHASHSEED=0 "$python" -m test -v "${tests[@]}" >log 2>&1
  local status=$?
  # What is a time, a temporary name, an address or the load differs from run to run, and so does the order of lines
  # that several threads write.
  sed -E -e '/^(== |Total duration|Using random seed|.*load avg)/d' -e 's/ in [0-9.]+ ?(s|sec|ms|min).*//' \
    -e 's/0x[0-9a-f]+/ADDRESS/g' -e 's/[0-9.]+ sec$//' log | grep -E '(ok|FAIL|ERROR|skipped.*|SUCCESS)$|^(Ran|OK|FAILED)' | sort
  return $status
}

needs_git() { need git; }
# This repository when it is one, and a made-up history that is large enough to delta and repack.
prepare_git() {
  if git -C "$root" rev-parse -q --verify HEAD >/dev/null 2>&1; then
    git clone -q --bare --no-local "$root" "$shared/this.git"
  else
    note "the sources are no git repository: only a made-up one is used"
  fi
  git init -q --bare -b main "$shared/made.git"
  local commits=1500
  [ "$short" = 0 ] || commits=300
  perl -e '
    my ($commits, $state) = ($ARGV[0], 1);
    my @lines = map { "line $_ of the file\n" } 1 .. 400;
    for my $commit (1 .. $commits) {
      for (1 .. 5) {
        $state = ($state * 1103515245 + 12345) & 0x7fffffff;
        $lines[$state % @lines] = "changed by $commit to $state\n";
      }
      my $text = join "", @lines;
      my $file = "folder" . ($commit % 7) . "/file" . ($commit % 31) . ".txt";
      printf "commit refs/heads/main\ncommitter A <a\@b> %d +0000\ndata 7\ncommit\n\nM 644 inline %s\ndata %d\n%s\n",
        1000000000 + $commit, $file, length $text, $text;
    }' "$commits" | git -C "$shared/made.git" fast-import --quiet
}
program_git() {
  export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_PAGER=cat
  local source name
  for source in "$shared"/*.git; do
    name=$(basename "$source" .git)
    git clone -q --no-local "$source" "$name" || return
    git -C "$name" log --stat -p -M | cksum || return
    git -C "$name" blame HEAD -- "$(git -C "$name" ls-files | head -1)" | cksum || return
    git -C "$name" -c pack.threads=4 -c gc.auto=0 gc -q --aggressive --prune=now || return
    git -C "$name" fsck --full --strict --no-progress || return
    git -C "$name" rev-list --objects --all | sort | cksum || return
    git -C "$name" grep -c -e 'e' HEAD | cksum || return
  done
}

needs_gcc() { need gcc; }
prepare_gcc() { cp -r "$root/c_src" "$root/include" "$shared/" && note "$(gcc --version | head -1)"; }
program_gcc() {
  local level
  local levels=(-O0 "-O2 -g" -O3)
  [ "$short" = 0 ] || levels=("-O1 -g")
  for level in "${levels[@]}"; do
    # shellcheck disable=SC2086
    gcc -std=c11 $level -I "$shared/include" -I "$shared/c_src" -c "$shared/c_src/hakmem.c" -o core.o || return
    cksum core.o
  done
  # Several at once, as make does.
  local i
  for i in 1 2 3 4; do
    gcc -std=c11 -O2 -I "$shared/include" -I "$shared/c_src" -S "$shared/c_src/hakmem.c" -o "core$i.s" &
  done
  wait
  cat core?.s | cksum
}

needs_perl() { need perl; }
prepare_perl() { note "$(perl -e 'print "perl $^V"')"; }
program_perl() {
  local rounds=40
  [ "$short" = 0 ] || rounds=8
  PERL_HASH_SEED=0 perl -e '
    use strict;
    my ($rounds, $state, %count, @kept) = ($ARGV[0], 42);
    for my $round (1 .. $rounds) {
      my $text = "";
      for (1 .. 20000) {
        $state = ($state * 1103515245 + 12345) & 0x7fffffff;
        $text .= sprintf "%s%d ", ("alpha", "beta", "gamma", "delta")[$state >> 8 & 3], ($state >> 10) % 5000;
      }
      $count{$_}++ for split / /, $text;
      $text =~ s/(alpha|beta)(\d+)/$2$1/g;
      push @kept, join ",", sort { $b cmp $a } grep { /7/ } split / /, $text;
      shift @kept if @kept > 5;
      my @records = map { { name => $_, list => [ split //, $_ ], more => { length => length } } } keys %count;
      printf "%d: %d words, %d kept, %d characters\n", $round, scalar keys %count, length $kept[-1],
        eval { my $sum = 0; $sum += $_->{more}{length} for @records; $sum };
    }
    printf "%s %d\n", $_, $count{$_} for (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0 .. 20];
    open my $child, "-|", "echo from a child" or die;
    print <$child>;
  ' "$rounds"
}

needs_sqlite() { need sqlite3; }
prepare_sqlite() { note "sqlite3 $(sqlite3 --version | cut -d' ' -f1)"; }
program_sqlite() {
  local rows=300000
  [ "$short" = 0 ] || rows=100000
  sqlite3 test.db <<END || return
PRAGMA journal_mode = WAL;
PRAGMA cache_size = -65536;
CREATE TABLE item(id INTEGER PRIMARY KEY, key TEXT, amount INTEGER, note TEXT);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $rows)
INSERT INTO item SELECT i, printf('key-%06d', i * 7919 % $rows), i * 31337 % 10007,
  substr('the quick brown fox jumps over the lazy dog and runs away', i % 20, i % 37) FROM n;
COMMIT;
CREATE INDEX item_key ON item(key);
CREATE INDEX item_amount ON item(amount, note);
SELECT count(*), sum(amount), min(key), max(key), avg(amount) FROM item;
SELECT amount % 10, count(*), sum(length(note)), max(note) FROM item GROUP BY 1 ORDER BY 1;
SELECT a.id, b.key FROM item a JOIN item b ON b.key = printf('key-%06d', a.amount) WHERE a.id % 5000 = 0 ORDER BY a.id;
SELECT note, count(*) AS n FROM item GROUP BY note ORDER BY n DESC, note LIMIT 20;
SELECT group_concat(key, ';') FROM (SELECT key FROM item WHERE id % 997 = 0 ORDER BY key DESC);
UPDATE item SET note = note || note WHERE amount % 3 = 0;
DELETE FROM item WHERE amount % 7 = 0;
SELECT count(*), sum(length(note)), sum(id) FROM item;
SELECT id, row_number() OVER (ORDER BY amount, id) AS place, sum(amount) OVER (ORDER BY id ROWS 10 PRECEDING)
  FROM item ORDER BY note, id LIMIT 50;
VACUUM;
PRAGMA integrity_check;
END
  sqlite3 test.db .dump | cksum
  cksum <test.db
}

needs_redis() { need redis-server redis-cli redis-benchmark; }
prepare_redis() { note "$(redis-server --version | cut -d' ' -f1-3)"; }

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

program_redis() {
  local port requests=50000 keys=60000 i
  [ "$short" = 0 ] || { requests=20000; keys=20000; }
  port=$(free_port) || return
  # Two threads serve connections, and saving forks.
  redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$PWD" --logfile server.log \
    --daemonize no --enable-debug-command local --io-threads 2 --io-threads-do-reads yes &
  local server=$!
  local client=(redis-cli -h 127.0.0.1 -p "$port")
  for i in $(seq 100); do
    [ "$("${client[@]}" ping 2>/dev/null)" = PONG ] && break
    sleep 0.1
  done
  redis-benchmark -h 127.0.0.1 -p "$port" -q -n "$requests" -c 40 -P 8 -d 300 \
    -t set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,zadd,lrange_100,mset >benchmark.log 2>&1
  echo "redis-benchmark: $?"
  tr '\r' '\n' <benchmark.log | grep 'requests per second' | sed 's/:.*//' | sort -u
  perl -e '
    for my $i (1 .. $ARGV[0]) {
      printf "SET key:%d %s\r\n", $i, "v" x ($i * 37 % 2000 + 1);
      printf "HSET hash:%d field:%d %s\r\n", $i % 500, $i, "h" x ($i % 90 + 1);
      printf "ZADD sorted:%d %d member:%d\r\n", $i % 50, $i * 7919 % 10007, $i;
      printf "APPEND text:%d %s\r\n", $i % 300, "a" x ($i % 200 + 1);
      printf "DEL key:%d\r\n", $i - 100 if $i % 3 == 0 and $i > 100;
    }' "$keys" | "${client[@]}" --pipe | tail -1
  "${client[@]}" dbsize
  "${client[@]}" debug digest
  "${client[@]}" bgsave | sed 's/ .*//'
  for i in $(seq 300); do
    "${client[@]}" info persistence | grep -q 'rdb_bgsave_in_progress:0' && break
    sleep 0.1
  done
  "${client[@]}" info persistence | tr -d '\r' | grep rdb_last_bgsave_status
  "${client[@]}" debug reload
  "${client[@]}" debug digest
  "${client[@]}" flushall
  "${client[@]}" dbsize
  "${client[@]}" shutdown nosave
  wait "$server"
  echo "redis-server: $?"
  grep -iE 'crash|assert|bug report' server.log
  return 0
}

needs_wordcount() { need cargo; }
prepare_wordcount() {
  (cd "$root" && cargo build -q --release -p hakmem-rs --example wordcount) || return
  cp "${CARGO_TARGET_DIR:-$root/target}/release/examples/wordcount" "$shared/wordcount" || return
  # A tree that nobody changes meanwhile, large enough to be worth it.
  mkdir "$shared/tree"
  local i
  for i in $(seq 12); do
    mkdir "$shared/tree/$i" && cp -r "$root/c_src" "$root/include" "$root/tests/third_party" "$shared/tree/$i/"
  done
}
program_wordcount() {
  # The counts come first, then a line without a word and the allocator's statistics, which differ.
  "$shared/wordcount" "$shared/tree" 100 >log || return
  sed '/^$/,$d' log
}

# ---- The comparison --------------------------------------------------------------------------------------------------

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
  printf '%-10s time x%-5s (%s s, was %s)  peak RSS x%-5s (%s MiB, was %s)  ' "$name" \
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
      printf '%-10s MISSING: %s\n' "$name" "$lacking"
      [ $allow_missing = 1 ] || failures=$((failures + 1))
      continue
    fi
    if ! "prepare_$name"; then
      printf '%-10s CANNOT BE PREPARED\n' "$name"
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

if [ "${1-}" = --inside ]; then
  short=$HAK_PROGRAMS_SHORT
  shared=$HAK_PROGRAMS_SHARED
  "program_$2"
  exit
fi
main "$@"
