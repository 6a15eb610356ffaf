#!/bin/bash
# instructions.sh - instructions that a lookup takes in the built module, counted
#
# usage: instructions.sh [--record] BUILD PEOPLE
#
# Looks 1,000 users of PEOPLE up through glibc under callgrind and counts the
# instructions from the module's entry point to its return, the C library's that
# it calls included. Time depends on the machine and on what else it does; this
# does not, but for the compiler's version and memcpy's for the processor. So
# the count of each kind of lookup must be within a tenth of the one in
# instructions.txt: more is a regression, less is a figure to be recorded.
# --record prints that file as it would have to be ("make nss-instructions").
# /var/lib/nss-iam has PEOPLE's file afterwards: run it in a private host.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
record=''
[ "$1" != --record ] || { record=yes; shift; }
build=$1 people=$2
recorded=$here/instructions.txt

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
gcc -std=gnu11 -O2 -Wall -Wextra -Werror -o "$dir/instructions" "$here/c/instructions.c"
mkdir -p /var/lib/nss-iam
cp "$people/nss.db" /var/lib/nss-iam/nss.db

# count KIND ROUNDS: instructions in the module, in all
count() {
	LD_LIBRARY_PATH=$build valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='_nss_iam_*' \
		"$dir/instructions" "$people/passwd" "$1" "$2" 2>"$dir/log" || { cat "$dir/log" >&2; exit 1; }
	sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$dir/log"
}

fail=0
[ -z "$record" ] || echo "# Instructions a lookup, recorded by \"make nss-instructions\" with $(gcc --version | head -n 1)."
for kind in name uid groups missing; do
	once=$(count $kind 1) thrice=$(count $kind 3)
	n=$(((thrice - once) / 2000)) # the first lookup, which maps the file, is in neither
	want=$(sed -n "s/^$kind //p" "$recorded")
	if [ -n "$record" ]; then
		echo "$kind $n"
		continue
	fi
	echo "instructions: $kind: $n a lookup ($want recorded)"
	if [ $((n * 10)) -gt $((want * 11)) ] || [ $((n * 10)) -lt $((want * 9)) ]; then
		echo "instructions.sh: $kind: $n instructions are not within a tenth of $want; if that is meant: make nss-instructions" >&2
		fail=1
	fi
done
exit $fail
