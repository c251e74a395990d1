# nginx under wrk: files, compressed ones, and what one worker fetches from another.

needs_nginx() { PATH=$PATH:/usr/sbin need nginx wrk; }
prepare_nginx() {
  note "$(PATH=$PATH:/usr/sbin nginx -v 2>&1), $(wrk -v 2>&1 | head -1 | cut -d' ' -f1-2)"
  mkdir "$shared/files" && cp "$root"/docs/*.md "$shared/files/" || return
  local source
  for source in "$root"/c_src/*/*.c; do # some have the same name in two folders
    cp "$source" "$shared/files/$(basename "$(dirname "$source")")-$(basename "$source")" || return
  done
  # wrk knows only how long to run. It is interrupted after so many responses, to do the same work each time.
  cat >"$shared/count.lua" <<'END'
local ffi = require("ffi")
ffi.cdef("int getpid(void); int kill(int, int);")
local left = tonumber(os.getenv("RESPONSES"))
function response()
  left = left - 1
  if left == 0 then ffi.C.kill(ffi.C.getpid(), 2) end
end
END
}
program_nginx() {
  local port responses=40000 path i
  PATH=$PATH:/usr/sbin
  [ "$short" = 0 ] || responses=3000
  port=$(free_port) || return
  cat >nginx.conf <<END
daemon off;
worker_processes 2;
$([ "$(id -u)" = 0 ] && echo "user root;")
pid $PWD/nginx.pid;
events { worker_connections 512; }
http {
  access_log $PWD/access.log;
  client_body_temp_path $PWD/body; proxy_temp_path $PWD/proxy; fastcgi_temp_path $PWD/fastcgi;
  uwsgi_temp_path $PWD/uwsgi; scgi_temp_path $PWD/scgi;
  types { text/plain md c; }
  server {
    listen 127.0.0.1:$port;
    root $shared/files;
    location / { }
    location /packed/ { gzip on; gzip_min_length 1; gzip_types text/plain; alias $shared/files/; }
    location /passed/ { proxy_pass http://127.0.0.1:$port/packed/; proxy_set_header X-Long $(printf 'x%.0s' {1..500}); }
    location /list/ { autoindex on; alias $shared/files/; }
  }
}
END
  nginx -p "$PWD" -e "$PWD/error.log" -c "$PWD/nginx.conf" &
  local server=$!
  for i in $(seq 100); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    sleep 0.1
  done
  for path in design.md packed/design.md passed/design.md list/; do
    RESPONSES=$responses wrk -t 1 -c 40 -d 120s -H 'Accept-Encoding: gzip' -s "$shared/count.lua" \
      "http://127.0.0.1:$port/$path" >wrk.log 2>&1 || cat wrk.log
    grep -E 'Non-2xx|Socket errors' wrk.log
    perl -MHTTP::Tiny -e 'my $answer = HTTP::Tiny->new->get($ARGV[0]); print "$answer->{status} ", unpack("%32C*", $answer->{content}), "\n"' \
      "http://127.0.0.1:$port/$path"
  done
  kill -HUP $server # other workers take over
  sleep 0.3
  perl -MHTTP::Tiny -e 'print HTTP::Tiny->new->get($ARGV[0])->{status}, "\n"' "http://127.0.0.1:$port/design.md"
  kill -QUIT $server
  wait $server
  echo "nginx: $?"
  grep -E 'alert|emerg|signal' error.log
  return 0
}
