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
		./pan -m200000 -E >pan.log 2>&1 || true
		grep -q 'max search depth too small' pan.log && echo 'depth' && exit
		sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log
	)
}

states() { sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$1/pan.log"; }

fail=0
errors=$(run right)
echo "mapping.pml: $(states right) states, errors: $errors"
[ "$errors" = 0 ] || { fail=1; cat right/pan.log; }
for fault in NO_RECHECK NO_RETIRED NO_SERIAL NO_WIPE NO_ORPHANS; do
	errors=$(run "$fault" "-D$fault")
	case $errors in
	'' | 0 | depth) echo "mapping.pml with $fault: the fault is not found" && fail=1 ;;
	*) echo "mapping.pml with $fault: found after $(states "$fault") states" ;;
	esac
done
exit $fail
