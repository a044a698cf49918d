#!/bin/bash
# spoord and spoor on the command line: options, exit codes, reload, and every command of the client against a server.
# Run by make check in the build directory; SPOORD and SPOOR name other binaries.
set -u
spoord=${SPOORD:-./spoord} spoor=${SPOOR:-./spoor}
dir=$(mktemp -d) pid=
unset SPOOR_ADDR SPOOR_ORG_ID SPOOR_USER SPOOR_PASSWORD SPOOR_TOKEN NOTIFY_SOCKET
trap '[ -n "$pid" ] && kill -9 "$pid" 2>/dev/null; rm -rf "$dir"' EXIT
failed=0

fail() { echo "FAIL: $*" >&2; failed=1; }
is() { [ "$2" = "$3" ] || fail "$1: got '$2', expected '$3'"; }
holds() { case $2 in *"$3"*) ;; *) fail "$1: '$3' is not in '$2'" ;; esac; }

start() { # options...; sets pid and port
	: >"$dir/log" # the last start's port must not be found
	"$spoord" --data "$dir/data" --listen 127.0.0.1:0 --config "$dir/c.yaml" "$@" 2>"$dir/log" &
	pid=$!
	for _ in $(seq 600); do
		port=$(sed -n 's/.*msg=listening .*port=\([0-9]*\).*/\1/p' "$dir/log")
		[ -n "$port" ] && break
		kill -0 "$pid" 2>/dev/null || { fail "spoord did not start"; cat "$dir/log" >&2; exit 1; }
		sleep 0.05
	done
	export SPOOR_ADDR=http://127.0.0.1:$port
}
stop() { # signal; sets rc
	kill "-$1" "$pid"
	wait "$pid"
	rc=$?
	pid=
}
get() { # path: status and body
	exec 3<>"/dev/tcp/127.0.0.1/$port"
	printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$1" >&3
	cat <&3
	exec 3<&-
}
wait_log() { # text: until the log holds it
	for _ in $(seq 200); do
		grep -q "$1" "$dir/log" && return
		sleep 0.05
	done
	fail "the log never said: $1"
}

# ---- options and configuration
: >"$dir/c.yaml"
"$spoord" --nonsense 2>/dev/null; is "unknown option" $? 64
"$spoord" extra 2>/dev/null; is "argument" $? 64
"$spoord" 2>/dev/null; is "no data directory" $? 78
"$spoord" --set nosuch=1 --check-config 2>"$dir/err"; is "unknown setting" $? 78
"$spoord" --set max_line_sizes=1 --check-config 2>"$dir/err"
holds "suggestion" "$(cat "$dir/err")" "did you mean max_line_size?"
"$spoord" --check-config --set max_line_size=1MB >/dev/null; is "--check-config" $? 0
holds "--help" "$("$spoord" --help)" "max_query_series (number, default 500)"
holds "--version" "$("$spoord" --version)" "spoord "

# ---- start, lock, push and ask
start
holds "ready" "$(get /ready)" "ready"
holds "metrics" "$(get /metrics)" "spoor_build_info{"
holds "config" "$(get '/config?mode=diffs')" "data: $dir/data  # command line"
"$spoord" --data "$dir/data" --listen 127.0.0.1:0 2>/dev/null; is "second process" $? 75
is "mode of the data directory" "$(stat -c %a "$dir/data")" 700

seq -f 'line %g trace_id=4bf92f3577b34da6a3ce929d0e0e4736' 1 3000 | "$spoor" push --quiet --label app=web; is "push" $? 0
is "query" "$("$spoor" query --limit 0 --output raw '{app="web"}' | sort -u | wc -l)" 3000
is "newest first" "$("$spoor" query --limit 2 --output raw '{app="web"}' | cut -d' ' -f2 | tr '\n' ' ')" "3000 2999 "
is "oldest first" "$("$spoor" query --limit 2 --forward --output raw '{app="web"}' | cut -d' ' -f2 | tr '\n' ' ')" "1 2 "
is "paged" "$("$spoor" query --limit 2500 --batch 700 --output raw '{app="web"}' | sort -u | wc -l)" 2500
holds "labels" "$("$spoor" labels)" "app"
is "label values" "$("$spoor" labels app)" "web"
holds "series" "$("$spoor" series '{app="web"}')" 'app="web"'
is "trace" "$("$spoor" trace --output raw --limit 5000 4bf92f3577b34da6a3ce929d0e0e4736 | wc -l)" 3000
holds "count" "$("$spoor" query --instant --output raw 'sum(count_over_time({app="web"}[1h]))')" "3000"
"$spoor" query '{app="nosuch"}' >/dev/null; is "nothing found" $? 1
"$spoor" query '{app=' >/dev/null 2>"$dir/err"; is "bad query" $? 65
holds "its message" "$(cat "$dir/err")" "parse error"
"$spoor" --addr http://127.0.0.1:1 labels 2>/dev/null; is "no server" $? 69
"$spoor" check "$dir/data" >/dev/null 2>&1; is "check beside a daemon" $? 75
echo '{"msg":"hello","service":"cart"}' | "$spoor" push --quiet --json --label-fields service; is "push --json" $? 0
is "its line" "$("$spoor" query --output raw '{service="cart"}')" '{"msg":"hello","service":"cart"}'


# ---- how much there is, how it looks, new lines as they come, deletes
holds "stats" "$("$spoor" stats '{app="web"}')" "entries  3000"
is "volume" "$("$spoor" volume --by app --output raw '{app="web"}' | grep -c '^[0-9][0-9]*$')" 1
[ "$("$spoor" volume --step 1m --output raw '{app="web"}' | wc -l)" -ge 1 ] || fail "volume --step"
"$spoor" stats '{app="nosuch"}' >/dev/null; is "stats of nothing" $? 1
holds "patterns" "$("$spoor" patterns '{app="web"}')" "line <_> trace_id="
"$spoor" patterns '{app="web"} |= "x"' 2>/dev/null; is "patterns of a query" $? 65

"$spoor" tail --quiet --limit 2 --output raw '{app="web"} |= "line"' >"$dir/tail" 2>"$dir/tail.err" &
tail=$!
lines() { for _ in $(seq 200); do [ "$(wc -l <"$dir/tail")" -ge "$1" ] && return; sleep 0.05; done; fail "tail: $1 lines"; }
lines 2
is "tail starts with the newest" "$(cut -d' ' -f2 "$dir/tail" | tr '\n' ' ')" "2999 3000 "
for i in 1 2 3; do echo "line live$i" | "$spoor" push --quiet --label app=web; done
lines 5
is "tail goes on" "$(tail -n 3 "$dir/tail" | tr '\n' ' ')" "line live1 line live2 line live3 "
kill "$tail"; wait "$tail" 2>/dev/null
"$spoor" tail '{app=' 2>"$dir/err"; is "tail of a bad query" $? 65
holds "its message" "$(cat "$dir/err")" "parse error"

"$spoor" delete list; is "no deletes" $? 1
"$spoor" delete create '{app="web"} |= "live2"' 2>/dev/null; is "delete without --from" $? 2
"$spoor" delete create '{app="web"} |= "live2"' --from 1h --to "$(($(date +%s) + 1))" 2>/dev/null ||
	"$spoor" delete create '{app="web"} |= "live2"' --from 1h; is "delete create" $? 0
holds "delete list" "$("$spoor" delete list)" '{app="web"} |= "live2"'
"$spoor" delete cancel nosuch 2>/dev/null; is "cancel of an unknown id" $? 66
"$spoor" delete cancel "$("$spoor" delete list --output raw | head -n 1)" --force; is "delete cancel" $? 0
holds "grafana-config" "$("$spoor" grafana-config --trace-url http://tempo:3200)" 'customQuery: true'

# ---- reload: all or nothing
printf 'max_line_size: 100\nlisten: 127.0.0.1:1\n' >"$dir/c.yaml"
kill -HUP "$pid"
wait_log "configuration reloaded"
holds "reloaded" "$(get /config)" "max_line_size: 100  # configuration file, line 1"
printf '%200d\n' 1 | "$spoor" push --quiet --label app=long 2>/dev/null; is "line over the new limit" $? 65
printf 'max_line_size: 200\nnosuch: 1\n' >"$dir/c.yaml"
kill -HUP "$pid"
wait_log "configuration not reloaded"
holds "kept" "$(get /config)" "max_line_size: 100 "

# ---- stop, start again, check
stop TERM; is "SIGTERM" "$rc" 0
: >"$dir/c.yaml"
start
is "after a restart" "$("$spoor" query --limit 0 --output raw '{app="web"} |= "trace_id"' | sort -u | wc -l)" 3000
stop INT; is "SIGINT" "$rc" 0
"$spoor" check "$dir/data" >/dev/null; is "check" $? 0
"$spoord" --data "$dir/data" --rebuild-index 2>/dev/null; is "--rebuild-index" $? 0
start
is "after a rebuild" "$("$spoor" trace --output raw --limit 5000 4bf92f3577b34da6a3ce929d0e0e4736 | wc -l)" 3000
stop TERM; is "last SIGTERM" "$rc" 0
grep -q "Sanitizer\|runtime error" "$dir/log" && { fail "sanitizer"; cat "$dir/log" >&2; }
exit $failed
