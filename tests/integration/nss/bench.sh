#!/bin/bash
# bench.sh - time lookups through glibc: this module, its peers and the floor
#
# usage: bench.sh [BUILD] [DOCUMENT]
#
# In one private host every service answers for the same 5,000 users and for
# 100,000. The services take turns, round by round, so that ratios are of one
# run whatever else the machine does. Peers that cannot be had are left out, and
# named. The tables take the place of the section "lookups" of DOCUMENT, and the
# picture is put beside it. ROUNDS (15) makes it longer or shorter.
set -eu
cd "$(dirname "$0")/../../.."
build=$(realpath "${1:-build}" 2>/dev/null || echo build)
document=${2:-docs/benchmarks.md}
dir=$build/nss-bench
sizes='5000 100000'
modes='first name uid initgroups fifty few missing threads short id-large id-small'

say() { echo "bench: $*" >&2; }

# fetch gets the packages of the peers that this machine lacks.
fetch() {
	mkdir -p "$dir/debs/partial"
	command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ] || return 0
	# shellcheck disable=SC2046 # package names are words
	apt-get -o DPkg::Lock::Timeout=600 -o Dir::Cache::archives="$dir/debs" install -qq -y --no-install-recommends \
		--download-only $(sed 's/#.*//' tests/bench-packages.txt) >"$dir/apt.log" 2>&1 </dev/null ||
		say "not all peers can be had: $(tail -n 1 "$dir/apt.log")"
}

make_all() {
	local c=tests/integration/nss/c users service
	mkdir -p "$dir"/{lib,5000,100000}
	for users in $sizes; do
		go run ./nss/mknss -users "$users" "$dir/$users"
		go run ./tests/integration/nss/cacheindex "$dir/$users/passwd" "$dir/$users/group" "$dir/$users"
	done
	gcc -O2 -o "$dir/lookups" $c/lookups.c -lpthread
	for service in empty array; do
		gcc -O2 -shared -fPIC -o "$dir/lib/libnss_$service.so.2" $c/$service.c
	done
	cp "$build/libnss_iam.so.2" "$dir/lib/"
	fetch
}

# serve USERS: what every service answers from now on
serve() {
	local name
	for name in passwd group; do
		ln -sfn "/bench/$1/$name" /var/lib/extrausers/$name
		ln -sfn "/bench/$1/$name" /etc/$name
		ln -sfn "/bench/$1/$name" /etc/$name.cache
		ln -sfn "/bench/$1/$name" /etc/oslogin_$name.cache
	done
	for name in passwd.cache.ixname passwd.cache.ixuid group.cache.ixname group.cache.ixgid; do
		ln -sfn "/bench/$1/$name" /etc/$name
	done
	ln -sfn "/bench/$1" /var/lib/nss-iam
}

# SSSD asks another module, this one as the quickest, and remembers: only its
# memory cache is timed.
start_sssd() {
	mkdir -p /etc/sssd /var/log/sssd /var/lib/sss/{db,mc,pipes/private,pubconf,gpo_cache,keytabs,secrets,deskprofile}
	rm -rf /var/lib/sss/{db,mc}/*
	cat >/etc/sssd/sssd.conf <<-END
		[sssd]
		services = nss
		domains = people
		[nss]
		memcache_timeout = 3600
		memcache_size_passwd = 200
		memcache_size_group = 200
		memcache_size_initgroups = 200
		[domain/people]
		id_provider = proxy
		proxy_lib_name = iam
		proxy_pam_target = other
		entry_cache_timeout = 14400
	END
	chmod 600 /etc/sssd/sssd.conf
	sssd -D
	for _ in $(seq 100); do
		[ -S /var/lib/sss/pipes/nss ] && sleep 1 && return
		sleep 0.1
	done
	return 1
}

lookups() { LD_LIBRARY_PATH=$dir/lib timeout "$1" "$dir/lookups" "${@:2}"; }

have() { ldconfig -p | grep -q "libnss_$1.so.2"; }

# unpack DEB: into this machine, where /lib and others are links to /usr/lib:
# "dpkg-deb -x" would put a folder in the link's place, and no program would run.
unpack() { (set -o pipefail; dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C /); }

# The rest is in the private host. Lines "ROUND USERS SERVICE MODE NANOSECONDS".
inside() {
	local services='empty array iam' libraries round users service list name deb times
	times=$(mktemp)
	for deb in "$dir"/debs/*.deb; do
		[ ! -e "$deb" ] || unpack "$deb"
	done
	libraries=$(dirname "$(ldd /bin/sh | sed -n 's/.*=> \(.*libc.so.6\).*/\1/p')")
	install -m 0644 "$build/libnss_iam.so.2" "$libraries/"
	ldconfig
	mkdir -p /var/lib/extrausers /bench
	rm -rf /var/lib/nss-iam
	cp -r "$dir/5000" "$dir/100000" /bench/
	serve 5000
	for name in cache extrausers cache_oslogin; do
		if have $name; then services="$services $name"; else say "without $name"; fi
	done
	services="$services files"
	# It takes SSSD a tenth of a second to learn the groups of one user, so it learns those of fifty.
	if command -v sssd >/dev/null && have sss && start_sssd && lookups 120 sss "/bench/5000/passwd" warm; then
		services="$services sss"
		# And a thousand of the 100,000, when the module in it has seen that the file is another.
		serve 100000
		sleep 1.5
		lookups 60 sss /bench/100000/passwd few >/dev/null || say 'sss does not learn the thousand'
	else
		say 'without sss'
	fi
	for round in $(seq "${ROUNDS:-15}"); do
		for users in $sizes; do
			serve "$users"
			for service in $services; do
				list=$modes
				case $users/$service in
				*/empty) list='first name uid initgroups few missing threads' ;;
				*/array) list='name few threads' ;;
				5000/sss) list='first name uid fifty few missing-fifty threads short id-large' ;;
				100000/sss) list=few ;;
				100000/cache) list='first name uid few missing threads short' ;;
				5000/cache | 5000/extrausers | 5000/cache_oslogin | 5000/files)
					[ "$round" -le 2 ] || continue ;;
				100000/extrausers | 100000/cache_oslogin | 100000/files) # they read 10 MB for each lookup
					[ "$round" = 1 ] || continue
					list='first name uid' ;;
				100000/iam) list='first name uid initgroups few missing threads short' ;;
				esac
				printf 'passwd: %s\ngroup: %s\n' "$service" "$service" >/etc/nsswitch.conf
				# Not a pipe: a program that fails on its left would not be seen.
				# shellcheck disable=SC2086 # modes are words
				if ! lookups 60 "$service" "/bench/$users/passwd" $list >"$times"; then
					say "round $round: $service fails at $users users"
					[ "$service" != iam ] || exit 1
				fi
				sed "s/^missing-fifty /missing /; s/^/$round $users $service /" "$times"
			done
		done
	done
}

case ${1-} in
--inside) build=$2 && dir=$build/nss-bench && inside ;;
*)
	make_all
	tests/private-host bash tests/integration/nss/bench.sh --inside "$build" >"$dir/results.txt"
	go run ./tests/integration/nss/benchtable "$dir/results.txt" "$document"
	;;
esac
