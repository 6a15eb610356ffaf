#!/bin/bash
# check.sh - make check: what can be known of a change in under a minute
#
# Without root, without a network (once the Go modules are there), and with
# nothing installed but Go and a C compiler. What the machine lacks is named at
# the end, with what supplies it. Slow tests are left out by -short; each says
# why where it is left out. "make test" runs everything.
#
# The steps need nothing of each other and run side by side: the linters and the
# C compiler use the processor while the unit tests wait for time limits.
#
# Exit status: 0 nothing found, 1 something is wrong.
# shellcheck disable=SC2317 # begin calls the steps by their names
set -u
cd "$(dirname "$0")/.." || exit 1

out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT

# A copy without git's data, as a released tarball is, has only these files.
files() { git ls-files "$@" 2>/dev/null || find . -path ./build -prune -o -name "${1##*/}" -print; }

lacks() { echo "  $1" >>"$out/missing"; } # lacks "WHAT: what supplies it"

formatted() {
	local sources unformatted
	mapfile -t sources < <(files '*.go')
	unformatted=$(gofmt -l "${sources[@]}") || return 1
	[ -z "$unformatted" ] || { echo "$unformatted"; return 1; }
}

compiler() { command -v "${CC:-cc}" >/dev/null; }

# The packages without cgo are compiled as "make build" compiles them, so that nothing is
# compiled twice. The module is the one with cgo.
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS-} -trimpath"
pure() { go list ./... | grep -v '/nss$'; }

on_all() { # on_all COMMAND...: runs a linter on every package
	local packages status=0
	mapfile -t packages < <(pure)
	"$@" "${packages[@]}" || status=1
	! compiler || CGO_ENABLED=1 "$@" ./nss || status=1
	return "$status"
}

# Integration tests and benchmarks are programs on whole hosts: make test.
unit_tests() {
	local packages
	mapfile -t packages < <(pure | grep -v -e /tests/integration -e /tests/bench)
	# go vet is in a step of its own. Most tests wait rather than compute, so more
	# packages than cores run at a time.
	CI='' go test -short -vet=off -p 4 -timeout 5m "${packages[@]}" | grep -v 'no test files'
	[ "${PIPESTATUS[0]}" -eq 0 ] || return 1
	! compiler || CGO_ENABLED=1 go test -short -vet=off ./nss
}

module() {
	local why
	if ! compiler; then
		lacks 'the C tests (no C compiler): gcc or clang'
	elif why=$(tests/private-host true 2>&1); then
		tests/integration/nss/quick.sh
	else
		lacks "the C tests (${why#private-host: })"
	fi
}

start=$(date +%s)
names=() jobs=()
begin() { # begin NAME COMMAND: starts a step, whose output is shown when it has ended
	"$2" >"$out/$2" 2>&1 &
	jobs+=($!)
	names+=("$1:$2")
}
words() { tests/words.sh; }
# go vet and staticcheck in one program, which loads and type-checks each package once. Without the
# state of git in it: what it found before is cached under its checksum. It lives for some seconds,
# and collects its garbage only where it would need more memory than the limit.
lint() {
	go build -C tools -buildvcs=false -ldflags=-w -o "$PWD/build/lint" ./lint &&
		GOGC=off GOMEMLIMIT=500MiB on_all build/lint
}

begin 'unit tests, without the slow ones' unit_tests
begin 'gofmt' formatted
begin 'words and widths' words
begin 'the module in a real process' module
begin 'go vet and staticcheck' lint

fail=0
# In the order in which they end, but the unit tests last.
for i in 1 2 3 4 0; do
	wait "${jobs[$i]}"
	status=$?
	printf '== %s (after %s s)\n' "${names[$i]%%:*}" "$(($(date +%s) - start))"
	cat "$out/${names[$i]#*:}"
	[ "$status" -eq 0 ] || { echo "check: ${names[$i]%%:*} found faults" >&2; fail=1; }
done
[ ! -s "$out/missing" ] || { echo 'Left out here, and what supplies it:'; cat "$out/missing"; }
printf '== done (after %s s)\n' "$(($(date +%s) - start))"
exit $fail
