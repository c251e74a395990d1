# sqlite, redis under redis-benchmark, PostgreSQL under pgbench.

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

program_redis() {
  local port requests=50000 keys=60000 i
  [ "$short" = 0 ] || { requests=20000; keys=20000; }
  port=$(free_port) || return
  # Two threads serve connections, and saving forks. They wait for each other by spinning, which is not to be measured.
  local threads=(--io-threads 2 --io-threads-do-reads yes)
  [ "${HAK_PROGRAMS_MEASURED-0}" = 0 ] || threads=()
  redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$PWD" --logfile server.log \
    --daemonize no --enable-debug-command local "${threads[@]}" &
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


find_postgres() {
  local folder
  for folder in /usr/lib/postgresql/*/bin "$(command -v initdb >/dev/null && dirname "$(command -v initdb)")"; do
    [ -x "$folder/initdb" ] && [ -x "$folder/pgbench" ] && echo "$folder" && return
  done
  return 1
}
needs_postgres() {
  find_postgres >/dev/null || missing "initdb and pgbench (postgresql)"
  # It does not run as root.
  [ "$(id -u)" != 0 ] || { id postgres >/dev/null 2>&1 && need setpriv; } || missing "the user postgres"
}
prepare_postgres() { note "$("$(find_postgres)/postgres" --version)"; }

as_postgres() {
  if [ "$(id -u)" = 0 ]; then
    setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
  else
    "$@"
  fi
}

program_postgres() {
  local bin port scale=10 transactions=3000 i
  bin=$(find_postgres)
  [ "$short" = 0 ] || { scale=1; transactions=200; }
  port=$(free_port) || return
  chmod 777 . || return
  as_postgres "$bin/initdb" -A trust -U postgres --no-sync -D "$PWD/db" >initdb.log 2>&1 || { cat initdb.log && return 1; }
  # What runs when a clock says so would make the tables differ.
  as_postgres "$bin/postgres" -D "$PWD/db" -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
    -c fsync=off -c autovacuum=off -c shared_buffers=64MB -c work_mem=16MB >server.log 2>&1 &
  local server=$!
  for i in $(seq 200); do
    "$bin/pg_isready" -q -h 127.0.0.1 -p "$port" -U postgres && break
    sleep 0.1
  done
  local to=(-h 127.0.0.1 -p "$port" -U postgres)
  "$bin/pgbench" "${to[@]}" -i -q -s $scale postgres >pgbench.log 2>&1 || cat pgbench.log
  # Each client has its own sequence of random numbers, and what they do can be done in any order.
  "$bin/pgbench" "${to[@]}" -n -c 4 -j 2 -t $transactions --random-seed=7 postgres >pgbench.log 2>&1 || cat pgbench.log
  grep -E 'processed|failed' pgbench.log
  "$bin/psql" "${to[@]}" -X -q -t postgres <<'END' 2>&1
SELECT sum(abalance), count(*) FROM pgbench_accounts;
SELECT count(*), sum(delta), sum(aid::bigint * bid) FROM pgbench_history;
SELECT tid % 7, sum(tbalance) FROM pgbench_tellers GROUP BY 1 ORDER BY 1;
SELECT md5(string_agg(aid || ':' || abalance, ',' ORDER BY abalance, aid)) FROM pgbench_accounts;
SELECT a.aid % 100 AS g, count(*), sum(h.delta) FROM pgbench_accounts a JOIN pgbench_history h USING (aid)
  GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10;
CREATE TABLE doc AS SELECT i, jsonb_build_object('n', i, 'list', array(SELECT j * i FROM generate_series(1, 9) j)) AS body
  FROM generate_series(1, 20000) i;
CREATE INDEX ON doc USING gin (body);
SELECT count(*), sum((body->'list'->>3)::int) FROM doc WHERE body @> '{"n": 77}' OR (body->>'n')::int % 3 = 0;
SELECT count(*) FROM (SELECT regexp_matches(body::text, '(\d+), (\d+)', 'g') FROM doc) AS found;
DO $$ BEGIN FOR i IN 1 .. 20000 LOOP PERFORM repeat('x', i % 3000) || i; END LOOP; END $$;
END
  "$bin/pg_dump" "${to[@]}" -t doc postgres 2>&1 | grep -v '^\\' | cksum
  kill -INT "$(head -1 db/postmaster.pid)" # the server in the background is a shell's
  wait $server
  echo "postgres: $?"
  grep -E 'PANIC|terminated by signal' server.log
  return 0
}
