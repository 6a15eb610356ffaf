#!/bin/sh
# make bench: each program replaces its own section of docs/benchmarks.md.
# Nothing here fails because something is slow.
set -eu
cd "$(dirname "$0")/.."
go run ./tests/bench/refresh
