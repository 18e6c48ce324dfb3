#!/bin/sh
# runtime-life: a runtime of Debian's whose load comes, goes, comes and goes again.
#
# runtime-life go|java|postgres MIB KEEP IDLE_MS SEED
#
# go, java: compiles life.go or Life.java, which lie beside this script, and runs it.
# postgres: a server with one client, whose query sorts about MIB of text in work_mem; then IDLE ms
# of nothing, and once more. The pid is that of the process that serves the client. KEEP and SEED
# mean nothing to it.
#
# Prints what the programs print: a pid, lines on the way, {"mark":"emptied"}, after which it waits
# for a line of standard input, then "done"; and lives until standard input ends.
set -eu

usage() { echo "usage: runtime-life go|java|postgres MIB KEEP IDLE_MS SEED" >&2; exit 2; }
[ $# -eq 5 ] || usage
runtime=$1 mib=$2 keep=$3 idle=$4 seed=$5
for word in "$mib" "$keep" "$idle" "$seed"; do
	case $word in '' | *[!0-9]*) usage ;; esac
done
here=$(dirname "$(readlink -f "$0")")

dir=$(mktemp -d /var/tmp/runtime-life.XXXXXX)
server=
finish() {
	if [ -n "$server" ]; then kill -INT "$server" 2>/dev/null || :; wait "$server" || :; fi
	rm -rf "$dir"
}
trap finish EXIT
trap "exit 129" HUP INT PIPE TERM	# dash leaves EXIT out when a signal ends it
fail() { echo "runtime-life: $*" >&2; exit 1; }

# The compiler and the linker alone, where there is a compiled library (until Go 1.19): `go build`
# would first look for all that is out of date.
run_go() {
	(
		cd "$dir"
		export GOROOT="$(go env GOROOT)" GOCACHE="$dir/cache" GO111MODULE=off
		if [ -e "$GOROOT/pkg/$(go env GOOS)_$(go env GOARCH)/fmt.a" ]; then
			go tool compile -p main -o life.o "$here/life.go"
			go tool link -o life life.o
		else
			go build -o life "$here/life.go"
		fi
	) >&2 || fail "life.go was not compiled"
	"$dir/life" "$mib" "$keep" "$idle" "$seed"
}

run_java() {
	javac -J-XX:TieredStopAtLevel=1 -d "$dir" "$here/Life.java" >&2 || fail "Life.java was not compiled"
	# A heap is never smaller than at its start, which is else a share of the computer's memory.
	java -Xms8m -XX:+UseG1GC -XX:-UsePerfData "-Xmx$((3 * mib + 64))m" -cp "$dir" Life \
		"$mib" "$keep" "$idle" "$seed"
}

# The server refuses to be run by root.
unprivileged="setpriv --reuid=postgres --regid=postgres --clear-groups"

run_postgres() {
	for at in /usr/lib/postgresql/*/bin/initdb; do bin=${at%/*}; done
	chown postgres "$dir"
	$unprivileged "$bin/initdb" -D "$dir/data" -A trust --no-sync --locale=C >&2 || fail "no database"
	$unprivileged "$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c fsync=off \
		-c jit=off -c autovacuum=off >"$dir/log" 2>&1 &
	server=$!
	until [ -S "$dir/.s.PGSQL.5432" ] && "$bin/pg_isready" -q -h "$dir" -U postgres; do
		kill -0 "$server" 2>/dev/null || fail "the server ended: $(tail -3 "$dir/log")"
		sleep 0.2
	done
	mkfifo "$dir/ask"
	"$bin/psql" -h "$dir" -U postgres -d postgres -XqAt <"$dir/ask" >"$dir/answers" 2>&1 &
	exec 3>"$dir/ask"
	answers=0
	ask "select pg_backend_pid()"
	echo "{\"pid\":$answer,\"program\":\"postgres\"}"
	ask "set work_mem = '$((4 * mib))MB'; select 1"
	for life in 1 2; do
		# A row of 128 characters takes about 200 bytes of the sort.
		ask "select count(*) from (select repeat(md5(g::text), 4) r
			from generate_series(1, $((mib * 5000))) g order by r offset 0) s"
		[ "$answer" = $((mib * 5000)) ] || fail "the query said $answer"
		for _ in $(seq $((idle / 100))); do
			sleep 0.1
			echo '{"phase":"idle"}'
		done
		if [ "$life" = 1 ]; then
			echo '{"mark":"emptied"}'
			read -r _ || :	# whoever watches has looked
		fi
	done
	echo "{\"done\":$((2 * mib * 5000))}"
	read -r _ || :
	exec 3>&-
}

# A query, and the last line of its answer; a line while it runs, for whoever watches.
ask() {
	echo "$1;" | tr '\n\t' '  ' >&3
	echo >&3
	answers=$((answers + 1))
	until [ "$(wc -l <"$dir/answers")" -ge "$answers" ]; do
		[ "$answers" -eq 1 ] || echo '{"phase":"query"}'
		kill -0 "$server" 2>/dev/null || fail "the server ended: $(tail -3 "$dir/log")"
		sleep 0.1
	done
	answer=$(tail -1 "$dir/answers")
}

case $runtime in
go | java | postgres) "run_$runtime" ;;
*) usage ;;
esac
