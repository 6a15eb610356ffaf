#!/bin/bash
# run.sh - the built module in real processes: every entry point, every bad
# file, limits, stress, glibc's own "files" as the expectation
#
# usage: run.sh [BUILD]
#
# Builds programs and test modules in BUILD/nss-test and runs them in a private
# host, where /var/lib/nss-iam is theirs, and then in trees of the Debian
# releases. STRESS is the seconds of the stress test (60), in which the file is
# replaced 10,000 times in a minute.
set -eu
cd "$(dirname "$0")/../../.."
build=$(realpath "${1:-build}" 2>/dev/null || echo build)
dir=$build/nss-test
stress=${STRESS:-60}

releases='bullseye bookworm trixie' # glibc 2.31, 2.36, 2.41; the oldest first

step() { printf -- '-- %s\n' "$*"; }

make_all() {
	mkdir -p "$dir"/{asan,tsan,often,arm64,old,people,variant,few,few-variant,some}
	go build -o "$dir/mknss" ./nss/mknss
	"$dir/mknss" "$dir/people"
	"$dir/mknss" -variant 1 "$dir/variant"
	"$dir/mknss" -users 40 "$dir/few"
	"$dir/mknss" -users 40 -variant 1 "$dir/few-variant"
	"$dir/mknss" -users 1000 "$dir/some"
	local c=tests/integration/nss/c flags='-std=gnu11 -g -Wall -Wextra -Werror' module
	module='-D_GNU_SOURCE -fPIC -shared -Wl,-soname,libnss_iam.so.2 nss/*.c'
	local san='-fsanitize=address,undefined -fno-sanitize-recover=all'
	# Modules that look at the path every 50 ms, and programs that know it.
	local often='-DNSS_IAM_CHECK_NS=50000000 -DNEXT_CHECK_MS=150'
	# shellcheck disable=SC2086 # flags and file names are words
	{
		gcc $flags -O1 $san $often -o "$dir/asan/libnss_iam.so.2" $module
		gcc $flags -O1 -fsanitize=thread $often -Wno-error=tsan -o "$dir/tsan/libnss_iam.so.2" $module
		gcc $flags -O2 $often -o "$dir/often/libnss_iam.so.2" $module
		for program in entries bad limits lifetime stress dump peers; do
			gcc $flags -O2 -o "$dir/$program" $c/$program.c -ldl -lpthread
			gcc $flags -O2 $often -o "$dir/$program-often" $c/$program.c -ldl -lpthread
			aarch64-linux-gnu-gcc $flags -O2 $often -o "$dir/arm64/$program" $c/$program.c -ldl -lpthread
		done
		for program in entries bad; do
			gcc $flags -O1 $san $often -o "$dir/$program-asan" $c/$program.c -ldl -lpthread
		done
		gcc $flags -O1 -fsanitize=thread $often -Wno-error=tsan -o "$dir/stress-tsan" $c/stress.c -ldl -lpthread
	}
	gcc -O2 -static -Wall -Wextra -o "$dir/static" $c/static.c 2>"$dir/static.log" || { cat "$dir/static.log" >&2; exit 1; }
	GOARCH=arm64 make --no-print-directory -s CC=aarch64-linux-gnu-gcc BUILD="$dir/arm64" "$dir/arm64/libnss_iam.so.2"
	GOARCH=arm64 make --no-print-directory -s CC=aarch64-linux-gnu-gcc BUILD="$dir/arm64-often" \
		NSS_DEFINES=-DNSS_IAM_CHECK_NS=50000000 "$dir/arm64-often/libnss_iam.so.2"
}

# make_old TREE: the programs for the oldest release, which all later ones run:
# linked with that release's own library, so that they ask for its symbols.
make_old() {
	local libraries program
	libraries=$1/lib/$(gcc -print-multiarch)
	for program in entries bad limits lifetime stress dump peers; do
		gcc -std=gnu11 -g -O2 -Wall -Wextra -Werror -DNSS_IAM_CHECK_NS=50000000 -DNEXT_CHECK_MS=150 \
			-nodefaultlibs -Wl,--allow-shlib-undefined -o "$dir/old/$program" tests/integration/nss/c/$program.c \
			"$libraries/libc.so.6" "$libraries/libpthread.so.0" "$libraries/libdl.so.2" -l:libc_nonshared.a -lgcc
	done
}

# with MODULE-FOLDER COMMAND...: with a fresh file served
with() {
	local module=$1
	shift
	rm -rf /var/lib/nss-iam /tmp/nss-root
	mkdir -p /var/lib/nss-iam /tmp/nss-root
	cp "$dir/people/nss.db" /var/lib/nss-iam/nss.db
	cp "$dir/variant/nss.db" /var/lib/nss-iam/variant.db
	LD_LIBRARY_PATH=$module timeout 300 "$@" || {
		local status=$?
		echo "run.sh: exit status $status (124: not done after 300 s): $*" >&2
		exit "$status"
	}
}

# The rest runs in the private host.
inside() {
	local people=$dir/people folder=/var/lib/nss-iam
	local pair=("$dir/people/nss.db" "$dir/variant/nss.db") few=("$dir/few/nss.db" "$dir/few-variant/nss.db")
	step 'entry points'
	with "$build" "$dir/entries" "$people/passwd" "$people/group" $folder $folder/variant.db
	with "$dir/asan" "$dir/entries-asan" "$people/passwd" "$people/group" $folder $folder/variant.db
	step 'what the tests of other projects assert'
	with "$build" "$dir/peers" "$people/passwd"
	step 'bad files'
	with "$build" "$dir/bad" $folder "${pair[@]}"
	with "$dir/asan" "$dir/bad-asan" $folder "${pair[@]}"
	step 'limits'
	with "$build" "$dir/limits" $folder "${pair[@]}" /tmp/nss-root
	with "$build" "$dir/lifetime" $folder "${pair[@]}"
	step 'arm64'
	local qemu=(qemu-aarch64-static -L /usr/aarch64-linux-gnu -E "LD_LIBRARY_PATH=$dir/arm64-often")
	with '' "${qemu[@]}" "$dir/arm64/entries" "$people/passwd" "$people/group" $folder $folder/variant.db
	with '' "${qemu[@]}" "$dir/arm64/bad" $folder "${pair[@]}"
	with '' "${qemu[@]}" "$dir/arm64/stress" 3 100 4 $folder "${few[@]}"
	step "stress for $stress seconds"
	with "$dir/often" "$dir/stress-often" "$stress" $((stress * 10000 / 60)) 16 $folder "${few[@]}"
	step 'stress, as it is shipped'
	with "$build" "$dir/stress" 5 800 16 $folder "${few[@]}"
	step 'stress, ThreadSanitizer'
	TSAN_OPTIONS='halt_on_error=1 die_after_fork=0' \
		with "$dir/tsan" "$dir/stress-tsan" 6 300 6 $folder "${few[@]}"
	step 'valgrind'
	# Threads that never sleep keep valgrind's one lock from the thread that
	# replaces the file, for minutes at times, unless turns are taken.
	with "$dir/often" valgrind -q --fair-sched=yes --error-exitcode=9 "$dir/stress-often" 4 20 4 $folder "${few[@]}"
	cp "$dir/few/nss.db" $folder/nss.db
	LD_LIBRARY_PATH=$build valgrind -q --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
		"$dir/dump" iam "$dir/few/passwd" "$dir/few/group" >/dev/null
	step 'instructions of a lookup'
	tests/integration/nss/instructions.sh "$build" "$people"
	step 'setuid with a hostile environment'
	install -m 0755 "$build/libnss_iam.so.2" "$(dirname "$(ldd /bin/sh | sed -n 's/.*=> \(.*libc.so.6\).*/\1/p')")"/
	install -m 4755 "$(command -v getent)" /usr/bin/getent-suid
	mkdir -p /tmp/evil
	cp "$dir/variant/nss.db" /tmp/evil/nss.db
	with '' true
	got=$(cd /tmp/evil && setpriv --reuid 65534 --regid 65534 --clear-groups env -i NSS_IAM_DIR=/tmp/evil HOME=/tmp/evil \
		LD_LIBRARY_PATH=/tmp/evil TMPDIR=/tmp/evil MALLOC_PERTURB_=165 LANG=../../evil \
		getent-suid -s passwd:iam passwd alice.smith)
	case $got in
	alice.smith:\*:*'variant 0'*) echo "setuid: $got" ;;
	*) echo "setuid: got \"$got\"" >&2 && exit 1 ;;
	esac
	step 'linked statically with glibc'
	sed -i -e 's/^\(passwd\|group\):.*/\1: files iam/' -e '/^initgroups:/d' /etc/nsswitch.conf
	got=$("$dir/static" jan.rossi1009 64; "$dir/static" aa 600; "$dir/static" aa 64 2>&1 || echo "ends with $?")
	case $(tr '\n' ' ' <<<"$got") in
	'3 502 '*'ends with 134 '*) ;; # README: a list that has to grow aborts the program
	*) echo "static: got \"$got\"" >&2 && exit 1 ;;
	esac
	step 'the same answers as glibc gives from files'
	cp "$people/passwd" /etc/passwd
	cp "$people/group" /etc/group
	with "$build" "$dir/dump" iam "$people/passwd" "$people/group" |
		sed 's/^\(groups [^ ]*\) 998/\1/' >"$dir/iam.txt" # a local group that map_groups gave, in no file
	with "$build" "$dir/dump" files "$people/passwd" "$people/group" >"$dir/files.txt"
	cmp "$dir/iam.txt" "$dir/files.txt"
	[ "$(grep -c ^enumerated "$dir/iam.txt")" -gt 10000 ]
	echo "$(wc -l <"$dir/iam.txt") answers are the same"
}

# In a release's tree.
inside_release() {
	local old=$dir/old people=$dir/people folder=/var/lib/nss-iam
	local pair=("$dir/people/nss.db" "$dir/variant/nss.db") few=("$dir/few/nss.db" "$dir/few-variant/nss.db")
	getconf GNU_LIBC_VERSION
	with "$dir/often" "$old/entries" "$people/passwd" "$people/group" $folder $folder/variant.db
	with "$dir/often" "$old/peers" "$people/passwd"
	with "$dir/often" "$old/bad" $folder "${pair[@]}"
	with "$dir/often" "$old/limits" $folder "${pair[@]}" /tmp/nss-root
	with "$dir/often" "$old/lifetime" $folder "${pair[@]}"
	with "$dir/often" "$old/stress" 3 300 8 $folder "${few[@]}"
	cp "$dir/some/passwd" /etc/passwd
	cp "$dir/some/group" /etc/group
	with "$build" true
	cp "$dir/some/nss.db" $folder/nss.db
	LD_LIBRARY_PATH=$build "$old/dump" iam "$dir/some/passwd" "$dir/some/group" |
		sed 's/^\(groups [^ ]*\) 998/\1/' >/tmp/iam.txt
	"$old/dump" files "$dir/some/passwd" "$dir/some/group" >/tmp/files.txt
	cmp /tmp/iam.txt /tmp/files.txt
	[ "$(grep -c ^enumerated /tmp/iam.txt)" -gt 2000 ]
	echo "$(wc -l </tmp/iam.txt) answers are the same"
}

in_releases() {
	local trees release fail=0
	# shellcheck disable=SC2086 # names of releases are words
	trees=$(tests/integration/debian-tree $releases)
	make_old "$(head -n 1 <<<"$trees")"
	declare -A running=()
	for release in $trees; do
		tests/private-host --root "$release" --bind "$PWD" --bind "$build" \
			bash tests/integration/nss/run.sh --release "$build" >"$dir/$(basename "$release").log" 2>&1 &
		running[$release]=$!
	done
	for release in $trees; do
		step "Debian, $(basename "$release")"
		wait "${running[$release]}" || fail=1
		cat "$dir/$(basename "$release").log"
	done
	return $fail
}

case ${1-} in
--release) build=$2 && dir=$build/nss-test && inside_release ;;
--inside) build=$(realpath "$2") && dir=$build/nss-test && inside ;;
*)
	make_all
	tests/private-host bash tests/integration/nss/run.sh --inside "$build"
	in_releases
	;;
esac
