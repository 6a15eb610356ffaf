#!/bin/sh
# check.sh - check mapping.pml exhaustively, and that the check can fail
#
# usage: check.sh [DIR]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-$(mktemp -d)}
mkdir -p "$dir"
cd "$dir"

# run NAME DEFINE...: prints spin's count of errors and of states
run() {
	name=$1
	shift
	rm -rf "$name" && mkdir "$name"
	(
		cd "$name"
		spin -a "$@" "$here/mapping.pml" >spin.log || { cat spin.log >&2; exit 1; }
		gcc -O2 -DSAFETY -DCOLLAPSE -DVECTORSZ=2048 -w -o pan pan.c
		timeout "${SPIN_SECONDS:-900}" ./pan -m200000 -E >pan.log 2>&1 || true
		grep -q 'max search depth too small' pan.log && echo 'depth' && exit
		sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log
	)
}

states() { sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$1/pan.log"; }

fail=0
# check NAME DEFINE...: the model holds
check() {
	errors=$(run "$@")
	echo "mapping.pml, $1: $(states "$1") states, errors: $errors"
	[ "$errors" = 0 ] || { fail=1; cat "$1/pan.log"; }
}
# finds NAME DEFINE...: the model does not hold with a fault put in
finds() {
	errors=$(run "$@")
	case $errors in
	'' | 0 | depth) echo "mapping.pml, $1: the fault is not found" && fail=1 ;;
	*) echo "mapping.pml, $1: found after $(states "$1") states" ;;
	esac
}
check threads -DREPLACED=1 '-DA=1,1' '-DB=0,1'
check lost -DLOST '-DA=1,0' '-DB=0,2'
check fork -DFORK -DREPLACED=1 '-DA=0,1' '-DB=1,0' '-DC=0,1' '-DD=0,0'
finds no-recheck -DREPLACED=1 -DNO_RECHECK
finds no-count -DREPLACED=1 -DNO_COUNT
finds no-current -DREPLACED=1 -DNO_CURRENT
finds no-serial -DNO_SERIAL
finds no-giving-up -DLOST -DNO_GIVING_UP
finds no-giving-up-in-a-child -DFORK -DNO_GIVING_UP
finds no-looking-again -DNO_LOOKING_AGAIN
exit $fail
