# ImageMagick on a large picture, stress-ng's malloc, npm, headless Chromium, and our own example.

# Debian's name for it comes first: there may be something else under the usual one.
find_convert() { command -v convert-im6 || command -v convert; }
needs_imagemagick() { find_convert >/dev/null || missing "convert (imagemagick)"; }
prepare_imagemagick() { note "$("$(find_convert)" -version | head -1 | cut -d' ' -f2-3)"; }
program_imagemagick() {
  local convert size=4000x3000
  convert=$(find_convert)
  [ "$short" = 0 ] || size=1000x800
  export MAGICK_THREAD_LIMIT=2
  "$convert" -size $size -seed 7 plasma:red-blue -depth 8 start.png || return
  "$convert" start.png -resize 70% -rotate 7 -blur 0x2 -colorspace Lab -level 5%,95% -colorspace sRGB changed.miff || return
  "$convert" changed.miff +repage -crop 300x300 +repage tile-%03d.png || return
  # Half as large: Debian allows no picture of more than 16 000 lines.
  "$convert" tile-*.png -resize 50% -append -quality 90 all.jpg || return
  "$convert" start.png -colors 64 few.gif || return
  "$convert" start.png changed.miff all.jpg few.gif -format '%m %wx%h %#\n' info:
}

needs_stress() { need stress-ng; }
prepare_stress() { note "$(stress-ng --version | cut -d, -f1,2 | cut -d' ' -f1-3)"; }
program_stress() {
  local operations=1500000
  [ "$short" = 0 ] || operations=200000
  local options
  for options in '' '--malloc-pthreads 4' '--malloc-bytes 4096 --malloc-max 20000 --malloc-touch'; do
    # shellcheck disable=SC2086
    stress-ng --malloc 2 --malloc-ops $operations $options --verify --no-rand-seed --temp-path "$PWD" >log 2>&1
    echo "status $?"
    grep -ciE 'fail|error' log
  done
  return 0
}

# What is installed is in npm's cache before: what is measured is npm, not the network.
node_packages=(express@4.19.2 lodash@4.17.21 typescript@5.4.5 prettier@3.2.5)
needs_node() {
  need node npm
  [ "$short" = 1 ] && node_packages=(express@4.19.2 lodash@4.17.21)
  return 0
}
prepare_node() {
  mkdir "$shared/project" && cd "$shared/project" || return
  npm init -y >/dev/null 2>&1
  # The second time it asks for what the first one did not need to.
  npm install --cache "$shared/cache" --no-audit --no-fund --ignore-scripts "${node_packages[@]}" >"$shared/log" 2>&1 &&
    npm ci --cache "$shared/cache" --no-audit --no-fund --ignore-scripts >>"$shared/log" 2>&1 ||
    { tail -5 "$shared/log" && return 1; }
  note "node $(node --version), npm $(npm --version), $(find node_modules -type f | wc -l) files of ${node_packages[*]}"
}
program_node() {
  cp "$shared"/project/package*.json . || return
  npm ci --offline --cache "$shared/cache" --no-audit --no-fund --ignore-scripts >log 2>&1 || { cat log && return 1; }
  find node_modules -type f ! -name .package-lock.json | sort | xargs -d '\n' cksum | cksum
  node -e '
    const lodash = require("lodash"), zlib = require("zlib"), crypto = require("crypto");
    let text = lodash.range(200000).map((i) => "line " + (i * 7919) % 10007).join("\n");
    const packed = zlib.gzipSync(text);
    console.log(zlib.gunzipSync(packed).toString() === text);
    console.log(crypto.createHash("sha256").update(text).digest("hex"));
    const buffers = [];
    for (let i = 0; i < 20000; i++) buffers[i % 500] = Buffer.alloc(1 + (i * 37) % 70000, i);
    console.log(buffers.reduce((sum, buffer) => sum + buffer[buffer.length - 1], 0));
    console.log(Object.keys(require("express")).length);
  ' || return
  if [ -x node_modules/.bin/tsc ]; then
    node_modules/.bin/tsc --noEmit --allowJs --checkJs false --lib es2020 node_modules/lodash/lodash.js
    cp node_modules/typescript/lib/lib.dom.d.ts . || return # it passes over what is in node_modules
    node_modules/.bin/prettier lib.dom.d.ts >pretty && cksum <pretty
  fi
}

# Chromium's executable has a malloc of its own in its table of symbols, which comes before that of a preloaded library: hakmem
# is loaded and not called, other than by libraries that ask it by its own names. This only shows that it is not in the way.
find_chromium() { command -v chromium-headless-shell || command -v chromium; }
needs_chromium() { find_chromium >/dev/null || missing "chromium-headless-shell"; }
prepare_chromium() { note "$("$(find_chromium)" --version 2>/dev/null | head -1)"; }
program_chromium() {
  cat >page.html <<'END'
<html><body><script>
let list = []; for (let i = 0; i < 300000; i++) list.push({ i, text: 'x' + i });
for (let i = 0; i < 3000; i++) { let p = document.createElement('p'); p.textContent = list[i * 7].text; document.body.append(p); }
</script></body></html>
END
  HOME=$PWD "$(find_chromium)" --no-sandbox --disable-gpu --dump-dom "file://$PWD/page.html" 2>/dev/null | cksum
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

