#!/bin/sh
# What a kernel would print; the harness reads no more than that.
echo "$1" > /dev/kmsg
echo "RIP: 0010:zap_pte_range+0x1/0x2" > /dev/kmsg
sleep 0.3
