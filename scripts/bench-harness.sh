#!/bin/sh
# How fast the harness itself is, with wall-clock seconds; quiet machine wanted.
# The figures it is held to (2 cores, no KVM) stand behind each line.
set -eu
cd "$(dirname "$0")/.."
H=.venv/bin/harness

timed() {  # label, target, command...
	label=$1 target=$2
	shift 2
	best=
	for _ in 1 2 3; do
		start=$(date +%s%N)
		"$@" >/dev/null 2>&1 || { echo "$label: failed: $*"; return; }
		took=$((($(date +%s%N) - start) / 10000000))
		if [ -z "$best" ] || [ "$took" -lt "$best" ]; then best=$took; fi
	done
	printf '%-44s %4d.%02d s   (aim %s)\n' "$label" $((best / 100)) $((best % 100)) "$target"
}

$H build -q >/dev/null 2>&1 || $H build -q --variant before
$H run -q -- true
timed "warm build of the default variants" "<= 2 s" $H build -q
timed "boot, uname -r, power off" "<= 4 s" $H run -q -- uname -r
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
$H bench -v --variants before --boots 1 --repeat 1 --duration 1 --threads 1 --out "$out/run" 2>&1 |
	grep 'peak memory of the harness'
