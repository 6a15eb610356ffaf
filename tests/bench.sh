#!/bin/sh
# make bench: each program replaces its own section of docs/benchmarks.md.
# Nothing here fails because something is slow.
set -eu
cd "$(dirname "$0")/.."
go run ./tests/bench/refresh
go run ./tests/bench/calls
# Not a pipe: what fails on its left would not be seen.
measured=$(mktemp)
trap 'rm -f "$measured"' EXIT
go test -run '^$' -bench 'Build|Sign|Open|Publish' -benchmem ./internal/accounts ./internal/snapshot >"$measured" ||
	{ cat "$measured" >&2; exit 1; }
go run ./tests/bench/packages <"$measured"
NSS_IAM_BENCHMARKS=$PWD/docs/benchmarks.md go test -run '^$' -bench Logins -benchtime 1x -timeout 20m ./tests/bench/logins
tests/integration/nss/bench.sh build docs/benchmarks.md
