#!/usr/bin/env bash
# Builds a user's program (tests/rust/program) in the ways users do, and runs it: profiles of cargo, panics that abort, LTO,
# LTO together with the C code, another C compiler, for musl, for aarch64, with C++ code in one program; and checks that the build
# script takes CC, CFLAGS and AR from the environment, and that docs.rs needs no C compiler; with the oldest Rust that the crates
# say they need; and what takes unstable features: the standard Allocator, Miri, ThreadSanitizer over Rust and C together.
#
#   tests/rust/run.sh [NAME]...
#
# Builds in build/rust. The parts that need clang, rust-lld, compilers for aarch64 or musl, the oldest Rust, or a nightly one with
# rust-src and miri (rustup component add) say so where they are missing. For what rustup has not installed for aarch64, musl and
# ThreadSanitizer packages of Debian are fetched (debian.sh, 180 MB).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/build/rust
host=$(rustc -vV | sed -n 's/^host: //p')
mkdir -p "$work"
cd "$here/program"

has() { command -v "$1" >/dev/null; }

# build_and_run FOLDER PROFILE [ARGUMENT...]: what the program prints goes to $work/printed.
build_and_run() {
  local folder=$work/$1 profile=$2
  shift 2
  cargo build --quiet --target-dir "$folder" --profile "$profile" "$@"
  [ "$profile" != dev ] || profile=debug
  "$folder/${CARGO_BUILD_TARGET:-}/$profile/program" >"$work/printed"
  grep -qx fine "$work/printed"
}

try_dev() {
  build_and_run plain dev
  grep -q -- '-O3' "$work/printed" # the C code is for release in a debug build too
}

try_release() { build_and_run plain release; }

try_override() {
  build_and_run override release --features override
  grep -q 'malloc and free replaced: yes' "$work/printed"
}

# All features that are options of the C build at once, and each alone: they only add.
try_features() {
  local feature
  build_and_run features release --features background,debug,stats,local-dynamic-tls
  grep -q 'assertions: level 1$' "$work/printed"
  grep -q '^background: yes; counts hits: yes; local-dynamic TLS: yes; inlines hits: no; valgrind: no; secure: no; profile: no$' "$work/printed"
  grep -q '^HAKMEM_BACKGROUND=1 (default 1)' "$work/printed"
  build_and_run features release --features profile
  grep -q '; profile: yes$' "$work/printed"
  for feature in background debug stats; do build_and_run features release --features "$feature"; done
  grep -q '; profile: no$' "$work/printed"
  grep -q '^background: no; counts hits: yes; local-dynamic TLS: no;' "$work/printed"
}

# With the Rust that the manifest states, by the same lock file.
try_msrv() {
  local version
  version=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
  rustc "+$version" -V >/dev/null 2>&1 || version+=.0
  rustc "+$version" -V >/dev/null 2>&1 || { echo "  no Rust: rustup toolchain install $version --profile minimal"; return 0; }
  cargo "+$version" build --quiet --release --target-dir "$work/msrv"
  "$work/msrv/release/program" | grep -qx fine
  (cd "$root" && cargo "+$version" check --quiet --locked -p hakmem-rs -p hakmem-sys --target-dir "$work/msrv" \
    --features hakmem-rs/allocator-api2,hakmem-rs/serde,hakmem-rs/override,hakmem-rs/stats,hakmem-rs/pprof)
}

try_panic_abort() { CARGO_PROFILE_RELEASE_PANIC=abort build_and_run abort release; }

try_lto_fat() { CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1 build_and_run fat release; }

try_lto_fat_panic_abort_override() {
  CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_PANIC=abort build_and_run fat-abort release --features override
}

try_static() { RUSTFLAGS='-C target-feature=+crt-static -C relocation-model=static' CARGO_BUILD_TARGET=$host build_and_run static release --bin program; }

try_clang() {
  has clang || { echo "  no clang"; return 0; }
  CC=clang build_and_run clang release
  grep -qi '^compiler: .*clang' "$work/printed"
}

# The recipe of docs/decisions/rust-fast-path.md, in which the hits become part of the program.
try_cross_language_lto() {
  local lld
  lld=$(rustc --print sysroot)/lib/rustlib/$host/bin/gcc-ld
  { has clang && [ -e "$lld/ld.lld" ]; } || { echo "  no clang or no rust-lld"; return 0; }
  CC=clang CFLAGS=-flto=thin CARGO_BUILD_TARGET=$host \
    RUSTFLAGS="-Clinker-plugin-lto -Clinker=clang -Clink-arg=-fuse-ld=lld -Clink-arg=-B$lld" \
    build_and_run cross release
  grep -q 'HAK_INLINE_HITS' "$work/printed"
}

# A compiler and an archiver of the user's own, by their names only.
try_cc_cflags_ar() {
  local tools=$work/tools tool
  mkdir -p "$tools"
  for tool in gcc ar; do
    printf '#!/bin/sh\necho "%s $*" >>"%s/log"\nexec %s "$@"\n' "$tool" "$tools" "$tool" >"$tools/my-$tool"
    chmod +x "$tools/my-$tool"
  done
  rm -rf "$tools/log" "$work/wrapped"
  CC=$tools/my-gcc AR=$tools/my-ar CFLAGS='-O1 -DHAK_FROM_CFLAGS=1' build_and_run wrapped release
  grep -q '^gcc .*-DHAK_FROM_CFLAGS=1.*hakmem\.c' "$tools/log"
  grep -q '^ar .*libhakmem\.a' "$tools/log"
  # What CFLAGS says comes last, so it wins over c_src/flags.txt.
  grep -q '^flags: .*-O3.*-O1.*-DHAK_FROM_CFLAGS=1' "$work/printed"
}

# open_plugin FOLDER: by a program whose own allocator is the system's.
open_plugin() {
  python3 -c '
import ctypes, sys
plugin = ctypes.CDLL(sys.argv[1])
plugin.plugin_sum.restype = ctypes.c_uint64
assert plugin.plugin_sum(ctypes.c_uint64(100000)) == 5000050000, "not from hakmem"
' "$work/$1/release/libplugin.so"
}

try_plugin() {
  build_and_run plain release
  open_plugin plain
  readelf -d "$work/plain/release/libplugin.so" >"$work/log"
  grep -q STATIC_TLS "$work/log"
}

try_plugin_local_dynamic_tls() {
  build_and_run dynamic release --features local-dynamic-tls
  open_plugin dynamic
  readelf -d "$work/dynamic/release/libplugin.so" >"$work/log"
  ! grep -q STATIC_TLS "$work/log"
}

# malloc is replaced in a program that calls nothing of hakmem. By GNU's linker, which reads archives in their order: rustc's
# own, lld, would find malloc there in any case.
try_anchor() {
  (cd "$root" && RUSTFLAGS='-C link-arg=-fuse-ld=bfd' cargo test --quiet -p hakmem-sys --features override --test anchor \
    --target-dir "$work/anchor" >"$work/log" 2>&1) || { tail -20 "$work/log"; return 1; }
  grep -q 'test result: ok. 1 passed' "$work/log"
}

# A Rust program with C++ code in it, and a C++ program with Rust code: with the feature all blocks of the C++ code are
# hakmem's, also those from before main; without it none is.
try_mixed() {
  local feature expected
  for feature in override ''; do
    (cd "$here/mixed" && cargo build --quiet --release ${feature:+--features "$feature"} --target-dir "$work/mixed")
    g++ -o "$work/mixed/cpp" "$here/mixed/src/main.cpp" "$work/mixed/release/libmixed.a"
    expected=$([ -n "$feature" ] && echo '8 of 8' || echo '0 of 8')
    [ "$("$work/mixed/release/mixed")" = "$expected" ]
    [ "$("$work/mixed/cpp")" = "$expected" ]
  done
}

# has_std RUSTC TARGET
has_std() { [ -d "$("$1" --print sysroot)/lib/rustlib/$2/lib" ]; }

# For another machine: built here, run by qemu. By a rustc that has the standard library of it, which may be Debian's.
try_aarch64() {
  local target=aarch64-unknown-linux-gnu rustc=rustc
  has aarch64-linux-gnu-gcc && has qemu-aarch64 || { echo "  no compiler for aarch64, or no qemu"; return 0; }
  has_std rustc "$target" || rustc=$("$here/debian.sh" "$work/debian") || { echo "  no standard library for it"; return 0; }
  RUSTC=$rustc CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    cargo build --quiet --release --target "$target" --target-dir "$work/aarch64"
  readelf -h "$work/aarch64/$target/release/program" | grep -q 'Machine: *AArch64'
  qemu-aarch64 -L /usr/aarch64-linux-gnu "$work/aarch64/$target/release/program" >"$work/printed"
  grep -qx fine "$work/printed"
}

# For musl, statically linked. Where rustc has no standard library for it, Debian's rustc has the sources; they ask for
# libunwind, which gcc's unwinder replaces here, but for a function of glibc: so panics abort.
try_musl() {
  local target=x86_64-unknown-linux-musl rustc=rustc flags='-C target-feature=+crt-static -C relocation-model=static' std=()
  has musl-gcc || { echo "  no compiler for musl"; return 0; }
  if ! has_std rustc "$target"; then
    rustc=$("$here/debian.sh" "$work/debian") || { echo "  no standard library for it"; return 0; }
    mkdir -p "$work/unwind"
    echo 'int _dl_find_object(void *address, void *result) { (void)address, (void)result; return -1; }' \
      | musl-gcc -c -x c -o "$work/unwind/none.o" -
    cp "$(gcc -print-file-name=libgcc_eh.a)" "$work/unwind/libunwind.a"
    ar r "$work/unwind/libunwind.a" "$work/unwind/none.o"
    std=(-Zbuild-std=std,panic_abort)
    flags+=" -L $work/unwind -C link-self-contained=no"
  fi
  RUSTC=$rustc RUSTC_BOOTSTRAP=1 RUSTFLAGS=$flags CARGO_PROFILE_RELEASE_PANIC=abort CC_x86_64_unknown_linux_musl=musl-gcc \
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=musl-gcc \
    cargo build --quiet --release --bin program --target "$target" --target-dir "$work/musl" "${std[@]}"
  readelf -l "$work/musl/$target/release/program" >"$work/log"
  ! grep -q INTERP "$work/log"
  "$work/musl/$target/release/program" | grep -qx fine
}

try_docs_rs() {
  rm -rf "$work/docs"
  # On a machine where no C compiler is to be found; the linker of build scripts is told by its path.
  local linker
  linker=$(command -v cc)
  mkdir -p "$work/no-compiler"
  ln -sf "$(rustc --print sysroot)"/bin/* "$work/no-compiler/"
  (cd "$root" && PATH=$work/no-compiler DOCS_RS=1 CC= RUSTFLAGS="-C linker=$linker" \
    cargo doc --quiet --no-deps -p hakmem-rs -p hakmem-sys --features hakmem-rs/allocator-api2,hakmem-rs/serde,hakmem-rs/pprof \
    --target-dir "$work/docs")
  [ -e "$work/docs/doc/hakmem_rs/index.html" ]
  [ -z "$(find "$work/docs" -name libhakmem.a)" ]
}

# The trait of the standard library, which a stable compiler only knows under this variable. The crate itself does not set it.
try_allocator_api() {
  (cd "$root" && RUSTC_BOOTSTRAP=1 cargo test --quiet -p hakmem-rs --features allocator-api2,allocator_api \
    --test allocator --test allocator_std \
    --target-dir "$work/nightly" >"$work/log" 2>&1) || { tail -40 "$work/log"; return 1; }
  [ "$(grep -c 'test result: ok. [1-9]' "$work/log")" = 2 ]
}

# Whether there is a nightly compiler with a component.
nightly_has() { rustup component list --toolchain nightly --installed 2>/dev/null | grep -q "^$1"; }

# What programs do under Miri: the methods of both traits, which pass on to the system's allocator there.
try_miri() {
  RUSTFLAGS='--cfg miri' cargo check --quiet --target-dir "$work/miri"
  { nightly_has miri && nightly_has rust-src; } || { echo "  no nightly Rust with miri and rust-src"; return 0; }
  (cd "$root" && cargo +nightly miri test --quiet -p hakmem-rs --features allocator-api2 --test allocator \
    --target-dir "$work/miri" -- --exact collections_in_hakmem >"$work/log" 2>&1) || { tail -40 "$work/log"; return 1; }
  grep -q 'test result: ok. 1 passed' "$work/log"
}

# Threads of Rust that allocate, hand blocks on and meet the limit, with the C code and Rust's own libraries compiled for
# ThreadSanitizer. Debian's rustc has the sources of these, but not the sanitizer's own library: clang's is older, and catches
# the C functions where the newer calls functions of its own.
try_tsan() {
  local name rustc flags=-Zsanitizer=thread
  has clang || { echo "  no clang"; return 0; }
  if nightly_has rust-src; then
    rustc=$(rustup which --toolchain nightly rustc)
  else
    rustc=$("$here/debian.sh" "$work/debian") || { echo "  no nightly Rust with rust-src"; return 0; }
    for name in memcpy memmove memset; do
      printf 'void *%s(void *, long, unsigned long);\n' "$name"
      printf 'void *__tsan_%s(void *a, long b, unsigned long c) { return %s(a, b, c); }\n' "$name" "$name"
    done | clang -w -fno-builtin -O1 -c -x c -o "$work/tsan.o" -
    flags+=" -Zexternal-clangrt -Clinker=clang -Clink-arg=-fsanitize=thread -Clink-arg=$work/tsan.o"
  fi
  (cd "$root" && CC=clang CFLAGS=-fsanitize=thread RUSTC=$rustc RUSTC_BOOTSTRAP=1 RUSTFLAGS=$flags \
    cargo test --quiet -Zbuild-std --target "$host" \
    -p hakmem-rs --features allocator-api2 --test global --test limit --test allocator \
    --target-dir "$work/tsan" >"$work/log" 2>&1) || { tail -60 "$work/log"; return 1; }
  [ "$(grep -c 'test result: ok. [1-9]' "$work/log")" = 3 ]
  ! grep -q 'WARNING: ThreadSanitizer' "$work/log"
  # It did look: at the C side, too.
  nm "$(find "$work/tsan/$host" -name libhakmem.a | head -1)" >"$work/log"
  grep -q ' U __tsan_atomic64_' "$work/log"
}

all="dev release override panic_abort lto_fat lto_fat_panic_abort_override static clang cross_language_lto cc_cflags_ar anchor mixed aarch64 musl docs_rs"
all+=" plugin plugin_local_dynamic_tls allocator_api features msrv miri tsan"
for name in "${@:-$all}"; do
  for one in $name; do
    SECONDS=0
    echo "- $one"
    "try_$one"
    echo "  $SECONDS s"
  done
done
