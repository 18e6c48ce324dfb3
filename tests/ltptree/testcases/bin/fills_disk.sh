#!/bin/sh
# Leaves next to nothing free on the root disk, and says that all is well.
fallocate -l "$(($(df -k --output=avail / | tail -1) - 1024))K" /var/full
df -k /
exit 0
