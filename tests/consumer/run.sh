#!/usr/bin/env bash
# Installs hakmem into a temporary folder, moves it, and builds programs against it: through find_package, through
# pkg-config (shared and static), and by LD_PRELOAD. Usage: tests/consumer/run.sh
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
CC=${CC:-cc}

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
