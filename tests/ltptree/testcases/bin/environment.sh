#!/bin/sh
# What a test may rely on.
[ "$2" = "two words" ] && [ -d "$LTPROOT/runtest" ] && [ "$LTP_TIMEOUT_MUL" -ge 1 ] &&
	[ "$(command -v passes.sh)" = "$LTPROOT/testcases/bin/passes.sh" ] &&
	[ -z "$(ls -A "$TMPDIR")" ] && touch "$TMPDIR/mine" && exit 0
echo "environment.c:1: TFAIL: $(env | tr '\n' ' ')"
exit 1
