#!/bin/sh
# ends.sh CODE LINE: end as LTP's library does.
echo "ends.c:10: $2"
exit "$1"
