#!/bin/sh
# redis-life: a redis-server that fills, empties, fills and empties again, with forks.
#
# Models: a cache or a store whose keys come and go. Twice over: KEYS keys are
# set, BGSAVE forks the server, and while the child writes all but the newest
# KEEP per cent are deleted; then IDLE ms of nothing. Between the two lives the
# emptied server is forked once more. Values are of BYTES/2 to BYTES*3/2, by SEED.
# Debian's redis-server allocates with jemalloc; MALLOC_CONF is the caller's.
#
# Prints the server's pid first, a line for each fifth of a phase and for each fork,
# {"mark":"emptied"} after the first life, when it waits for a line of standard input, then "done",
# and keeps the server alive until standard input ends.
# The commands lie in files beforehand; a phase's time is that of redis-cli --pipe.
#
# Cannot show: real traffic (one client, one pipe), or the lifetimes of real keys.
set -eu
PARTS=5

usage() { echo "usage: redis-life KEYS BYTES KEEP IDLE_MS SEED" >&2; exit 2; }
[ $# -eq 5 ] || usage
for word; do case $word in '' | *[!0-9]*) usage ;; esac; done
keys=$1 bytes=$2 keep=$3 idle=$4 seed=$5

disk=$(mktemp -d /var/tmp/redis-life.XXXXXX)	# where BGSAVE writes
dir=$(mktemp -d /tmp/redis-life.XXXXXX)
server=
finish() {
	if [ -n "$server" ]; then kill "$server" 2>/dev/null || :; wait "$server" || :; fi
	rm -rf "$dir" "$disk"
}
trap finish EXIT
fail() { echo "redis-life: $*" >&2; exit 1; }

# Each part is a range of keys, oldest first.
awk -v keys="$keys" -v bytes="$bytes" -v keep="$keep" -v seed="$seed" -v parts=$PARTS -v dir="$dir" '
BEGIN {
	srand(seed)
	for (value = "v"; length(value) < 2 * bytes; value = value value);
	gone = keys - int(keys * keep / 100)
	for (i = 0; i < keys; i++) {
		size = int(bytes / 2 + bytes * rand()) + 1
		name = sprintf("key:%08d", i)	# 12 bytes
		# Not "SET key value": redis takes such a line apart byte by byte.
		printf "*3\r\n$3\r\nSET\r\n$12\r\n%s\r\n$%d\r\n%s\r\n", name, size, \
			substr(value, 1, size) >(dir "/fill." int(i * parts / keys))
		if (i < gone)
			printf "*2\r\n$3\r\nDEL\r\n$12\r\n%s\r\n", name \
				>(dir "/delete." int(i * parts / gone))
	}
}'

# As arguments, not as a file: the package's redis.conf saves and listens.
redis-server --port 0 --unixsocket "$dir/sock" --dir "$disk" --save '' --appendonly no \
	--daemonize no --logfile "$dir/log" --loglevel warning >&2 &
server=$!
cli() { redis-cli -s "$dir/sock" "$@"; }
until [ "$(cli ping 2>/dev/null || :)" = PONG ]; do
	kill -0 "$server" 2>/dev/null || fail "redis-server ended: $(tail -3 "$dir/log")"
	sleep 0.1
done
echo "{\"pid\":$server,\"program\":\"redis-life\",\"keys\":$keys,\"bytes\":$bytes,\"keep\":$keep}"

total=0
phase() {	# fill or delete
	for part in $(seq 0 $((PARTS - 1))); do
		file=$dir/$1.$part
		[ -e "$file" ] || continue
		ops=$(grep -c "^\*" "$file")
		start=$(date +%s%N)
		cli --pipe <"$file" >"$dir/answer" || :
		took=$(($(date +%s%N) - start))
		grep -q "errors: 0, replies: $ops\$" "$dir/answer" || fail "$1: $(tail -3 "$dir/answer")"
		total=$((total + ops))
		echo "{\"phase\":\"$1\",\"ops\":$ops,\"elapsed_ns\":$took}"
	done
}

info() { cli info | tr -d '\r' | sed -n "s/^$1://p"; }

fork_now() {	# the name under which its time is printed
	cli bgsave >"$dir/answer"
	grep -q '^Background saving started' "$dir/answer" || fail "BGSAVE: $(cat "$dir/answer")"
	echo "{\"fork\":\"$1\",\"fork_us\":$(info latest_fork_usec)}"
}

settle() {
	while [ "$(info rdb_bgsave_in_progress)" != 0 ]; do
		echo '{"phase":"settle"}'
		sleep 0.1
	done
	[ "$(info rdb_last_bgsave_status)" = ok ] || fail "BGSAVE failed: $(tail -3 "$dir/log")"
	for _ in $(seq $((idle / 100))); do
		sleep 0.1
		echo '{"phase":"idle"}'
	done
}

phase fill
fork_now full
phase delete
settle
echo '{"mark":"emptied"}'
read -r _ || :	# whoever watches has looked
fork_now emptied
settle
phase fill
fork_now refilled
phase delete
settle
echo "{\"done\":$total}"
# A line or the end of the input, whichever comes first.
read -r _ || :
