#!/bin/sh
# make bench: each program replaces its own section of docs/benchmarks.md.
# Nothing here fails because something is slow.
set -eu
cd "$(dirname "$0")/.."
go run ./tests/bench/refresh
go run ./tests/bench/calls
go test -run '^$' -bench 'Build|Sign|Open|Publish' -benchmem ./internal/accounts ./internal/snapshot | go run ./tests/bench/packages
NSS_IAM_BENCHMARKS=$PWD/docs/benchmarks.md go test -run '^$' -bench Logins -benchtime 1x -timeout 20m ./tests/bench/logins
tests/integration/nss/bench.sh build docs/benchmarks.md
