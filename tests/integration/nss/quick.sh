#!/bin/bash
# quick.sh - the module under its entry points and under bad files, in a few
# seconds and without root: the part of run.sh that make check runs
#
# usage: quick.sh
#
# The module is compiled as it is, by the C compiler alone ($CC, cc), with
# warnings as errors, and looked at in a private host, where /var/lib/nss-iam
# belongs to the test.
set -eu
cd "$(dirname "$0")/../../.."
cc=${CC:-cc}

make_all() {
	local c=tests/integration/nss/c program
	local flags=(-std=gnu11 -O2 -g -Wall -Wextra -Werror)
	local often=(-DNSS_IAM_CHECK_NS=50000000 -DNEXT_CHECK_MS=150)
	"$cc" "${flags[@]}" -D_GNU_SOURCE -Wconversion -fPIC -shared -Wl,-soname,libnss_iam.so.2 "${often[@]}" -o "$dir/libnss_iam.so.2" nss/*.c
	for program in entries bad; do
		"$cc" "${flags[@]}" "${often[@]}" -o "$dir/$program" $c/$program.c -ldl -lpthread
	done
	go run ./nss/mknss "$dir/people"
	go run ./nss/mknss -variant 1 "$dir/variant"
}

# The rest runs in the private host, as its root.
inside() {
	local program
	for program in entries bad; do
		rm -rf /var/lib/nss-iam
		mkdir -p /var/lib/nss-iam
		cp "$dir/people/nss.db" /var/lib/nss-iam/nss.db
		cp "$dir/variant/nss.db" /var/lib/nss-iam/variant.db
		case $program in
		entries) set -- "$dir/people/passwd" "$dir/people/group" /var/lib/nss-iam /var/lib/nss-iam/variant.db ;;
		bad) set -- /var/lib/nss-iam "$dir/people/nss.db" "$dir/variant/nss.db" ;;
		esac
		LD_LIBRARY_PATH=$dir timeout 60 "$dir/$program" "$@" || {
			echo "quick.sh: exit status $? (124: not done after 60 s): $program" >&2
			exit 1
		}
	done
}

if [ "${1-}" = --inside ]; then
	dir=$2
	inside
	exit
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/people" "$dir/variant"
make_all
tests/private-host "$BASH" tests/integration/nss/quick.sh --inside "$dir"
