#!/bin/bash
# check.sh - make check: what can be known of a change in under a minute
#
# Without root, without a network (once the Go modules are there), and with
# nothing installed but Go and a C compiler. What the machine lacks is named at
# the end, with what supplies it. Slow tests are left out by -short; each says
# why where it is left out. "make test" runs everything.
#
# Exit status: 0 nothing found, 1 something is wrong.
set -u
cd "$(dirname "$0")/.." || exit 1

start=$(date +%s)
step() { printf '== %s (after %s s)\n' "$*" "$(($(date +%s) - start))"; }
fail=0
found() { # found NAME: says that this step found something, and goes on
	echo "check: $1 found faults" >&2
	fail=1
}
missing=
lacks() { missing+="  $1"$'\n'; } # lacks "WHAT: what supplies it"

# A copy without git's data, as a released tarball is, has only these files.
files() { git ls-files "$@" 2>/dev/null || find . -path ./build -prune -o -name "${1##*/}" -print; }

step 'gofmt'
mapfile -t sources < <(files '*.go')
unformatted=$(gofmt -l "${sources[@]}") || unformatted=${unformatted:-gofmt itself failed}
[ -z "$unformatted" ] || { echo "$unformatted" >&2; found gofmt; }

step 'go vet'
go vet ./... || found 'go vet'

step 'staticcheck'
go tool -modfile=tools/go.mod staticcheck ./... || found staticcheck

step 'unit tests, without the slow ones'
# Integration tests and benchmarks are programs on whole hosts: make test.
mapfile -t packages < <(go list ./... | grep -v -e /tests/integration -e /tests/bench)
CI='' go test -short -timeout 5m "${packages[@]}" | grep -v 'no test files'
[ "${PIPESTATUS[0]}" -eq 0 ] || found 'a unit test'

step 'the module in a real process'
compiler=${CC:-cc}
if ! command -v "$compiler" >/dev/null; then
	lacks 'the C tests (no C compiler): gcc or clang'
elif why=$(tests/private-host true 2>&1); then
	tests/integration/nss/quick.sh || found 'a C test'
else
	lacks "the C tests (${why#private-host: })"
fi

[ -z "$missing" ] || printf 'Left out here, and what supplies it:\n%s' "$missing"
step 'done'
exit $fail
