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

# shell_files prints every tracked file whose first line names a shell.
shell_files() {
	git ls-files | while read -r f; do
		case $(head -c 64 "$f" 2>/dev/null | head -n 1 | tr -d '\0') in
		'#!'*sh | '#!'*'sh -'*) echo "$f" ;;
		esac
	done
}

# shellcheck disable=SC2046 # file names in this repository hold no spaces
check gofmt test -z "$(gofmt -l $(git ls-files '*.go') | tee /dev/stderr)"
check 'go vet' go vet ./...
check staticcheck go tool -modfile=tools/go.mod staticcheck ./...
# shellcheck disable=SC2046
check shellcheck shellcheck $(shell_files)
if [ -n "$(git ls-files 'docs/man/*')" ]; then
	# Our pages refer to each other and are not installed: a manual of our own.
	manual=$(mktemp -d)
	trap 'rm -rf "$manual"' EXIT
	mkdir "$manual/man5" "$manual/man8"
	for f in $(git ls-files 'docs/man/*'); do
		cp "$f" "$manual/man${f##*.}/"
	done
	# shellcheck disable=SC2046
	MANPATH=$manual: check mandoc mandoc -Tlint -Wstyle $(git ls-files 'docs/man/*')
fi
exit $fail
