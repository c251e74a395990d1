#!/usr/bin/env bash
# Installs hakmem into a temporary folder, moves it, and builds programs against it: through find_package, through
# pkg-config (shared and static), and by LD_PRELOAD. Usage: tests/consumer/run.sh
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
CC=${CC:-cc}

# Those that glibc, musl and C23 have between them.
allocation_functions='malloc|calloc|realloc|reallocarray|free|cfree|free_sized|free_aligned_sized|posix_memalign'
allocation_functions+='|aligned_alloc|memalign|valloc|pvalloc|malloc_usable_size|malloc_trim|malloc_stats|malloc_info'
allocation_functions+='|mallopt|mallinfo2?|__libc_\w+|__posix_memalign'

step() { printf '%s\n' "- $*"; }

step "build and install"
cmake -S "$root" -B "$work/build" -DBUILD_TESTING=OFF -DCMAKE_INSTALL_PREFIX=/nowhere >"$work/log" || { cat "$work/log"; exit 1; }
cmake --build "$work/build" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
cmake --install "$work/build" --prefix "$work/first" >"$work/log" || { cat "$work/log"; exit 1; }
# Nothing in an installed tree may depend on where it was installed first.
mv "$work/first" "$work/prefix"
library=$(find "$work/prefix" -name libhakmem.so -printf '%h')

step "print-flags names the compiler and the flags of c_src/flags.txt"
cmake --build "$work/build" --target print-flags >"$work/flags"
grep -q '^compiler: ' "$work/flags"
grep -v '^#' "$root/c_src/flags.txt" | while read -r flag; do
  [ "$(grep -c -- " $flag\b" "$work/flags")" -ge 2 ] || { echo "print-flags lacks $flag"; cat "$work/flags"; exit 1; }
done

step "libhakmem.so exports hak_*, the C library's allocation functions and C++'s, and nothing else"
nm -D --defined-only --format=just-symbols "$library/libhakmem.so" >"$work/symbols"
if grep -Evx "hak_\w+|$allocation_functions|_Z(n[aw]|d[la])\w+" "$work/symbols"; then
  echo "... is none of these"
  exit 1
fi
for name in malloc calloc realloc free posix_memalign aligned_alloc memalign malloc_usable_size; do
  grep -qx "$name" "$work/symbols" || { echo "libhakmem.so does not export $name"; exit 1; }
done
[ "$(grep -Ecx '_Z(n[aw]|d[la])\w+' "$work/symbols")" = 20 ] || { echo "libhakmem.so lacks some of the 20 operators"; exit 1; }

step "find_package"
cmake -S "$here" -B "$work/consumer" -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/log" || { cat "$work/log"; exit 1; }
cmake --build "$work/consumer" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
(cd "$work/consumer" && ctest --output-on-failure)

step "pkg-config, shared"
export PKG_CONFIG_PATH="$library/pkgconfig"
[ "$(pkg-config --modversion hakmem)" = "$(sed -n 's/^version: *//p' "$work/flags")" ]
# shellcheck disable=SC2046 # the words of pkg-config are meant to be split
$CC "$here/main.c" $(pkg-config --cflags --libs hakmem) -o "$work/shared"
LD_LIBRARY_PATH=$library "$work/shared"
LD_LIBRARY_PATH=$library ldd "$work/shared" | grep -q "$library/libhakmem.so"

step "pkg-config, static"
# shellcheck disable=SC2046
$CC "$here/main.c" -static $(pkg-config --static --cflags --libs hakmem) -o "$work/static"
"$work/static"

step "LD_PRELOAD"
LD_PRELOAD="$library/libhakmem.so" ls "$here" >/dev/null

step "done"
