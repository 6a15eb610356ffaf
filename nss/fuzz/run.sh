#!/bin/sh
# run.sh - fuzz the reader: all targets at once, on from what was learned before
#
# usage: run.sh BUILD SECONDS
#
# SECONDS 0 is until stopped. Inputs that once showed a fault are in found/ and
# run first; new ones are written to BUILD/nss-fuzz/TARGET-*, and those of the
# target "agree", which compares the reader with bbolt, to nss/testdata.
set -eu
cd "$(dirname "$0")/../.."
dir=$1/nss-fuzz
seconds=$2
mkdir -p "$dir"
go run ./nss/mknss -users 20 "$dir"
mv "$dir/nss.db" "$dir/small.db"
go run ./nss/mknss -users 260 -sparse "$dir"
mv "$dir/nss.db" "$dir/sparse.db"

reader='nss/bolt.c nss/index.c nss/place.c nss/file.c nss/record.c nss/call.c nss/lookup.c nss/passwd.c nss/group.c nss/initgroups.c'
flags='-std=c11 -D_GNU_SOURCE -g -O2 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all'
# shellcheck disable=SC2086 # flags and file names are words
{
	clang $flags -o "$dir/bytes" nss/fuzz/bytes.c nss/fuzz/harness.c $reader
	clang $flags -o "$dir/patch" nss/fuzz/patch.c nss/fuzz/harness.c $reader
	clang $flags -o "$dir/record" nss/fuzz/record.c nss/record.c
}
export NSS_IAM_FUZZ_FILES="$dir/small.db:$dir/sparse.db" ASAN_OPTIONS=quarantine_size_mb=1

pids=
for target in bytes patch record; do
	corpus=$dir/corpus-$target
	mkdir -p "$corpus"
	[ $target != bytes ] || cp "$dir/small.db" "$corpus/"
	longest=400
	[ $target != bytes ] || longest=40960
	nice "$dir/$target" -max_total_time="$seconds" -max_len=$longest -print_final_stats=1 \
		-artifact_prefix="$dir/$target-" "$corpus" nss/fuzz/found/$target >"$dir/$target.log" 2>&1 &
	pids="$pids $!"
done
# Go ends a fuzzing that has a time with "context deadline exceeded" now and then, which
# counts as a failure: so it has a number of inputs, about as many as the time allows beside
# the other targets on two cores.
limit=
[ "$seconds" = 0 ] || limit=-fuzztime=$((seconds * 333))x
# bbolt syncs a new file, which takes no time in memory.
[ ! -w /dev/shm ] || temporary=/dev/shm
# shellcheck disable=SC2086 # no limit is no word
TMPDIR=${temporary:-${TMPDIR:-/tmp}} nice go test -run '^$' -fuzz FuzzTheReaderAgreesWithBbolt -parallel 1 $limit ./nss >"$dir/agree.log" 2>&1 &
pids="$pids $!"
# shellcheck disable=SC2064 # the processes of now
trap "kill $pids 2>/dev/null" INT TERM
fail=0
for pid in $pids; do
	wait "$pid" || fail=1
done
for target in bytes patch record; do
	echo "fuzz $target: $(sed -n 's/stat::number_of_executed_units: *//p' "$dir/$target.log") executions"
done
echo "fuzz agree: $(sed -n 's/.*execs: \([0-9]*\) .*/\1/p' "$dir/agree.log" | tail -n 1) executions"
[ $fail = 0 ] || tail -n 20 "$dir/agree.log"
[ $fail = 0 ] || grep -h -B2 -A20 'ERROR\|broken:' "$dir"/*.log
exit $fail
