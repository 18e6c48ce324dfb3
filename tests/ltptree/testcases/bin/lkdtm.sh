#!/bin/sh
# A real oops, where the kernel can make one on demand (ltp.config).
knob=/sys/kernel/debug/provoke-crash/DIRECT
[ -w $knob ] || { echo "lkdtm.c:1: TCONF: no $knob"; exit 32; }
echo "$1" > $knob
