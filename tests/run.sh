#!/bin/sh
# make test: linters, unit tests with the race detector, the C tests under
# sanitizers, the built artifacts against the real glibc and sshd, and emulated
# machines with kernels of their own.
#
# On a fresh machine it installs what it needs (as root on Debian or Ubuntu) or
# says what is missing. With CI=true a test that cannot run has failed.
set -eu
cd "$(dirname "$0")/.."

start=$(date +%s)
cores=$(nproc)
step() { printf '\n== %s (after %s s)\n' "$*" "$(($(date +%s) - start))"; }

step 'set-up'
tests/setup.sh
step 'build'
make --no-print-directory build
step 'lint'
make --no-print-directory lint
step 'unit tests, race detector on'
# A program with the detector sleeps for a second at its end, and tests start thousands.
# The longest tests, in cachefill, wait for most of their time.
# shellcheck disable=SC2046 # package paths hold no spaces
GORACE=atexit_sleep_ms=0 go test -race -parallel $((2 * cores)) -timeout 25m \
	$(go list ./... | grep -v -e /tests/integration -e /tests/vm)
step 'who is who: a million events in a fleet'
go test -count=1 -timeout 15m -run TestAFleet ./internal/accounts
step 'nss module'
make --no-print-directory nss-test
step 'integration'
# Much of their time is waiting for time limits.
go test -count=1 -p $((cores + 1)) -parallel 9 -timeout 30m ./tests/integration/...
step 'kernels of their own'
go test -count=1 -timeout 30m ./tests/vm
step 'all passed'
