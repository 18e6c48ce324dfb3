#!/bin/sh
# 5 MB of output: more than anybody keeps.
head -c 5000000 /dev/zero | tr '\0' x
echo
echo "floods.c:1: TFAIL: said after the flood"
exit 1
