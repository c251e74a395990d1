#!/usr/bin/env bash
# Fuzzes the interface (fuzz.c says how) with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer, from the inputs in
# corpus/ on.
#
#   tests/fuzz/run.sh [SECONDS]     60 by default
#
# On Debian: apt-get install clang libclang-rt-14-dev. Builds in build/fuzz; new inputs go to build/fuzz/corpus, and one that
# fails to build/fuzz/crash-*: build/fuzz/fuzz FILE repeats it. When it is repaired, the input goes to corpus/ under the name
# of what was wrong.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/build/fuzz
mkdir -p "$work/corpus"

# Assertions of all levels.
mapfile -t flags < <(grep -Ev '^(#|-O|-DNDEBUG)' "$root/c_src/flags.txt")
clang "${flags[@]}" -D_GNU_SOURCE -DHAK_DEBUG=2 -Wall -Wextra -O1 -g -pthread "-I$root/include" "-I$root/c_src" \
  -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all "$here/fuzz.c" -o "$work/fuzz" -ldl

# What the core keeps for its threads is no leak.
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
"$work/fuzz" -max_total_time="${1:-60}" -max_len=2048 -len_control=20 -timeout=120 -verbosity=0 -print_final_stats=1 \
  -artifact_prefix="$work/" "$work/corpus" "$here/corpus"
