# Interpreters of other languages: perl, ruby, lua, and CPython with its own tests.

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

needs_ruby() { need ruby; }
prepare_ruby() { note "$(ruby --version | cut -d' ' -f1-2)"; }
program_ruby() {
  local rounds=40
  [ "$short" = 0 ] || rounds=6
  ruby -rjson -rset -e '
    srand 42
    kept = []
    total = 0
    ARGV[0].to_i.times do |round|
      words = Array.new(20_000) { |i| "word-#{rand(5000)}-#{i % 7}" }
      count = Hash.new(0)
      words.each { |word| count[word] += 1 }
      text = words.join(" ").gsub(/word-(\d+)/) { "w#{$1.to_i * 3}" }
      records = count.map { |word, n| { "word" => word, "n" => n, "letters" => word.chars } }
      copy = JSON.parse(JSON.generate(records))
      raise "JSON" unless copy == records
      kept.push(text.split(" ").sort.each_slice(50).map { |slice| slice.to_set }).shift(kept.size > 5 ? 1 : 0)
      threads = Array.new(4) { |i| Thread.new { Array.new(2000) { |j| "#{i}:#{j}" * (j % 40) }.sum(&:size) } }
      total += threads.sum(&:value)
      puts "#{round}: #{count.size} #{text.size} #{text.sum} #{total}"
    end
    GC.compact if GC.respond_to?(:compact)
    puts kept.sum { |slices| slices.sum(&:size) }
    puts IO.popen("echo from a child", &:read)
  ' "$rounds"
}

needs_lua() { need lua5.4; }
prepare_lua() { note "$(lua5.4 -v | cut -d' ' -f1-2)"; }
program_lua() {
  local rounds=60
  [ "$short" = 0 ] || rounds=10
  lua5.4 - "$rounds" <<'END'
local state = 42
local function random(n)
  state = (state * 1103515245 + 12345) & 0x7fffffff
  return (state >> 8) % n + 1
end
local kept = {}
for round = 1, tonumber(arg[1]) do
  local count, list = {}, {}
  for i = 1, 30000 do
    local word = string.format("word-%d-%s", random(5000), string.rep("x", i % 50))
    count[word] = (count[word] or 0) + 1
    list[#list + 1] = { word = word, next = list[random(#list + 1)], numbers = { i, i + 1, i + 2 } }
  end
  table.sort(list, function(a, b) return a.word < b.word end)
  local text, words = {}, 0
  for word in pairs(count) do words = words + #word end
  for i = 1, #list, 10 do text[#text + 1] = list[i].word:upper():gsub("X+", "y") end
  kept[round % 4] = table.concat(text, ",")
  print(round, words, #kept[round % 4], kept[round % 4]:sub(1, 40))
  local fibers = {}
  for i = 1, 500 do
    fibers[i] = coroutine.wrap(function() for j = 1, 5 do coroutine.yield(string.rep("z", i * j % 300)) end end)
  end
  for _ = 1, 5 do for i = 1, 500 do words = words + #fibers[i]() end end
  print(words)
end
END
}

# CPython's own tests. What measures memory by its address space, counts on glibc's malloc, or mostly sleeps is left out.
python_tests=(
  test_array test_ast test_bigmem test_bytes test_bz2 test_codecs test_collections test_compile test_copy
  test_csv test_ctypes test_decimal test_deque test_dict test_email test_exceptions test_format test_fractions test_functools
  test_gc test_generators test_heapq test_io test_itertools test_json test_list test_long test_lzma test_marshal
  test_memoryview test_mmap test_pickle test_pyexpat test_re test_set test_struct test_threading
  test_traceback test_unicode test_weakref test_xml_etree_c test_zlib
)

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
  local tests=("${python_tests[@]}") python
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
