# gcc and clang, on the core and on a source as large as sqlite's amalgamation: that one itself where cargo can get it.

# A source of many functions of some length, to compile where there is no better one: made_up_source FUNCTIONS
made_up_source() {
  perl -e '
    my ($functions, $state) = ($ARGV[0], 1);
    sub pick { $state = ($state * 1103515245 + 12345) & 0x7fffffff; return ($state >> 8) % $_[0] }
    print "typedef struct node { struct node *next; long value; char name[16]; } node_t;\nlong table[4096];\n";
    for my $n (0 .. $functions - 1) {
      printf "static long f%d(node_t *list, long a, unsigned b) {\n  long sum = %d;\n", $n, pick(1000);
      for (1 .. 6 + pick(20)) {
        my $what = pick(5);
        printf "  for (node_t *n = list; n; n = n->next) sum += n->value * %d + n->name[%d];\n", pick(99), pick(16) if $what == 0;
        printf "  if (a > %d) sum ^= table[(b + %du) %% 4096]; else table[b %% 64 + %d] -= a;\n", pick(99), pick(99), pick(99) if $what == 1;
        printf "  switch (b %% %d) { case 0: sum++; break; case 1: sum = a; break; default: sum -= %d; }\n", 3 + pick(9), pick(99) if $what == 2;
        printf "  while (sum > %d) sum = sum / %d - a;\n", 9 + pick(99), 2 + pick(9) if $what == 3;
        printf "  sum += f%d(list, sum, b >> %d);\n", pick($n), 1 + pick(9) if $what == 4 and $n > 0;
      }
      print "  return sum;\n}\n";
    }
    print "long use(node_t *list, long a, unsigned b) {\n  long sum = 0;\n";
    printf "  sum += f%d(list, a, b);\n", $_ for 0 .. $functions - 1;
    print "  return sum;\n}\n";' "$1"
}

# sqlite3.c out of the crate that brings it.
find_amalgamation() {
  mkdir -p "$shared/fetch/src" && : >"$shared/fetch/src/lib.rs" || return
  printf '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n[dependencies]\nlibsqlite3-sys = "=0.28.0"\n' \
    >"$shared/fetch/Cargo.toml"
  cargo fetch -q --manifest-path "$shared/fetch/Cargo.toml" || return
  local source
  for source in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/libsqlite3-sys-0.28.0/sqlite3/sqlite3.c; do
    [ -f "$source" ] && cp "$source" "$shared/large.c" && return
  done
  return 1
}

prepare_compiler() {
  cp -r "$root/c_src" "$root/include" "$shared/" || return
  if [ "$short" = 0 ] && find_amalgamation 2>/dev/null; then
    note "sqlite3.c of $(wc -l <"$shared/large.c") lines"
  else
    made_up_source "$([ "$short" = 0 ] && echo 6000 || echo 200)" >"$shared/large.c"
    note "a made-up source of $(wc -l <"$shared/large.c") lines"
  fi
}

# compile COMPILER
compile() {
  local compiler=$1 level i
  local levels=(-O0 "-O2 -g" -O3)
  [ "$short" = 0 ] || levels=("-O1 -g")
  for level in "${levels[@]}"; do
    # shellcheck disable=SC2086
    "$compiler" -std=c11 $level -I "$shared/include" -I "$shared/c_src" -c "$shared/c_src/hakmem.c" -o core.o || return
    cksum core.o
  done
  "$compiler" -O1 -g -w -c "$shared/large.c" -o large.o || return
  cksum large.o
  # Several at once, as make does.
  for i in 1 2 3 4; do
    "$compiler" -std=c11 -O2 -I "$shared/include" -I "$shared/c_src" -S "$shared/c_src/hakmem.c" -o "core$i.s" &
  done
  wait
  cat core?.s | cksum
}

needs_gcc() { need gcc; }
prepare_gcc() { note "$(gcc --version | head -1)" && prepare_compiler; }
program_gcc() { compile gcc; }

needs_clang() { need clang; }
prepare_clang() { note "$(clang --version | head -1)" && prepare_compiler; }
program_clang() { compile clang; }
