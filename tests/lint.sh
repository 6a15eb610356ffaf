#!/bin/sh
# Every linter over everything: Go, shell, man pages. The C has its own in
# nss/build.mk (gcc and clang, warnings as errors).
set -eu
cd "$(dirname "$0")/.."

fail=0
check() { # check NAME COMMAND...: prints what it finds, goes on to the next
	name=$1
	shift
	if ! "$@"; then
		echo "lint: $name found faults" >&2
		fail=1
	fi
}

# shell_files prints every tracked file whose first line names a shell. What
# somebody else's script looks like, as a test reads it, is none of ours.
shell_files() {
	git ls-files -- ':!*/testdata/*' | while read -r f; do
		case $(head -c 64 "$f" 2>/dev/null | head -n 1 | tr -d '\0') in
		'#!'*sh | '#!'*'sh -'*) echo "$f" ;;
		esac
	done
}

# shellcheck disable=SC2046 # file names in this repository hold no spaces
unformatted=$(gofmt -l $(git ls-files '*.go'))
[ -z "$unformatted" ] || echo "$unformatted" >&2 # tee /dev/stderr would cut off a log in a file
check gofmt test -z "$unformatted"
check 'go vet' go vet ./...
check staticcheck go tool -modfile=tools/go.mod staticcheck ./...
check 'the linter of make check' go test -C tools ./lint
# shellcheck disable=SC2046
check shellcheck shellcheck $(shell_files)
check words tests/words.sh
# Style messages are left out: they are about manuals that this machine lacks.
# shellcheck disable=SC2046
check mandoc mandoc -Tlint -Wwarning $(git ls-files 'docs/man/*')
exit $fail
