#!/bin/sh
dd if=/dev/zero of="$TMPDIR/file" bs=1M count=20 2>&1 || { echo "TFAIL: no room"; exit 1; }
