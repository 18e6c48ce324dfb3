#!/bin/sh
echo "passes.c:1: TPASS: it does"
