#!/usr/bin/env bash
# Debian's rustc into a folder, with its standard library for this machine and for aarch64 and with the sources of it. For
# machines where rustup has no such targets: what packages contain is unpacked, nothing is installed.
#
#   tests/rust/debian.sh FOLDER        prints the path of a rustc that runs
set -euo pipefail

folder=$(realpath -m "$1")
mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
if [ ! -x "$folder/rustc" ]; then
  cat >"$folder/apt.conf" <<END
APT::Architectures { "amd64"; "arm64"; };
APT::Sandbox::User "";
Acquire::Languages "none";
Dir::State::lists "$folder/lists";
Dir::Cache "$folder/cache";
END
  export APT_CONFIG=$folder/apt.conf
  cd "$folder"
  apt-get update -qq >&2
  depends() { apt-cache depends "$1" | sed -n "s/^ *Depends: \($2\)$/\1/p" | head -1; }
  std=$(depends libstd-rust-web-dev 'libstd-rust-web-[0-9.]*')
  llvm=$(depends "$std" 'libllvm[0-9.]*')
  apt-get download -qq rustc-web rust-web-src "$std" "${llvm:-libllvm22}" libstd-rust-web-dev libstd-rust-web-dev:arm64 >&2
  for package in *.deb; do dpkg -x "$package" root; done
  rm -r -- *.deb root/usr/src/*/{compiler,src}
  printf '#!/bin/sh\nexport LD_LIBRARY_PATH=%s\nexec %s "$@"\n' \
    "$folder/root/usr/lib/x86_64-linux-gnu" "$folder/root/usr/bin/rustc" >rustc
  chmod +x rustc
fi
echo "$folder/rustc"
