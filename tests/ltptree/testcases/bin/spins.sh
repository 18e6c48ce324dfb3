#!/bin/sh
# Cannot be asked to end.
trap '' HUP INT QUIT TERM ALRM USR1 USR2
while :; do :; done
