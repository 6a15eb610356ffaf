#!/bin/sh
# buildcost.sh - what a first build takes: wall time, processor time, and the peak of the
# memory of all its processes together
#
# usage: buildcost.sh build|demo [make's variables…]
#
#   build  "make build" with nothing compiled before; the modules are there
#   demo   from a clone to the demo's last line, with no modules either
#
# All that is compiled or downloaded goes into a new folder, which is removed again. The
# memory is the sum of the resident sizes of the whole process tree, looked at ten times a
# second: what processes share counts more than once. It and the processor time depend
# little on what else the machine does; the wall time does, so the load is printed too.
#
# shellcheck disable=SC2016,SC2317 # the inner shell expands its text; the trap calls leave
set -eu
cd "$(dirname "$0")/.."

case ${1-} in
build | demo) what=$1; shift ;;
*) echo 'usage: buildcost.sh build|demo [VARIABLE=VALUE…]' >&2; exit 2 ;;
esac

work=$(mktemp -d) tree=''
leave() {
	[ -z "$tree" ] || kill -TERM -- "-$tree" 2>/dev/null || :
	rm -rf "$work"
}
trap leave EXIT
trap 'exit 130' HUP INT TERM
export GOCACHE="$work/cache"

if [ "$what" = build ]; then
	go mod download
	run='make --no-print-directory BUILD="$work/build" build "$@"'
else
	export GOMODCACHE="$work/modules" GOFLAGS="${GOFLAGS-} -modcacherw"
	run='git clone -q . "$work/clone" && make --no-print-directory -C "$work/clone" demo "$@"'
fi

# The shell that builds leads a session, and so it ends whole. It says what the build took.
export work
setsid sh -c "$run"' >"$work/log" 2>&1; status=$?; times >"$work/times"; exit $status' buildcost "$@" &
tree=$! start=$(date +%s%N) peak=0

# sizes prints the resident size of each process of the tree in kB, and what it is.
sizes() {
	# shellcheck disable=SC2009 # every process is wanted
	ps -e -o pid=,ppid=,rss=,args= | awk -v root="$tree" '
		{ pid[NR] = $1; parent[$1] = $2; line[$1] = $0 }
		END {
			for (i = 1; i <= NR; i++) {
				p = pid[i]
				for (n = 0; p in parent && p != root && n < 100; n++) p = parent[p]
				if (p == root) print line[pid[i]]
			}
		}' | sed -E 's/^ *[0-9]+ +[0-9]+ +//'
}

while kill -0 "$tree" 2>/dev/null; do
	sizes >"$work/now"
	now=$(awk '{ sum += $1 } END { print sum + 0 }' "$work/now")
	if [ "$now" -gt "$peak" ]; then
		peak=$now
		sort -rn "$work/now" | head -n 4 >"$work/peak"
	fi
	sleep 0.1
done
status=0
wait "$tree" || status=$?
end=$(date +%s%N)
if [ "$status" -ne 0 ]; then cat "$work/log" >&2; else tail -n 1 "$work/log"; fi
read -r load _ </proc/loadavg
echo "$what: $(((end - start) / 1000000000)) s, peak $((peak / 1024)) MB, load at the end $load on $(nproc) cores"
echo "processor time, user and system: $(sed -n 2p "$work/times")"
echo 'the largest processes at the peak, in kB:'
sed -E 's,-o [^ ]* -trimpath [^ ]* ,,; s/^(.{150}).*/\1/' "$work/peak"
exit "$status"
