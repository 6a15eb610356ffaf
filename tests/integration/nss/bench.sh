#!/bin/bash
# bench.sh - time lookups through glibc: this module, its peers and the floor
#
# usage: bench.sh [BUILD] [DOCUMENT]
#
# Every service answers for the same 5,000 users and again for 100,000, in a
# private host. Peers that are not installed are left out, and named. The table
# goes into DOCUMENT between its markers, the picture beside it.
set -eu
cd "$(dirname "$0")/../../.."
build=$(realpath "${1:-build}" 2>/dev/null || echo build)
document=${2:-docs/benchmarks.md}
dir=$build/nss-bench
modes='name uid initgroups missing threads first short'

make_all() {
	mkdir -p "$dir"/{lib,5000,100000}
	for users in 5000 100000; do
		[ -e "$dir/$users/group" ] || go run ./nss/mknss -users $users "$dir/$users"
	done
	gcc -O2 -o "$dir/lookups" tests/integration/nss/c/lookups.c -lpthread
	gcc -O2 -shared -fPIC -o "$dir/lib/libnss_empty.so.2" tests/integration/nss/c/empty.c
	cp "$build/libnss_iam.so.2" "$dir/lib/"
}

# sssd serves the people through its proxy provider, memory cache on.
start_sssd() {
	mkdir -p /etc/sssd /var/log/sssd /var/lib/sss/{db,mc,pipes/private,pubconf,gpo_cache,keytabs,secrets,deskprofile}
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
		proxy_lib_name = extrausers
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

# inside USERS: lines "USERS SERVICE MODE NANOSECONDS"
inside() {
	local users=$1 services='empty iam' people=$dir/$1 service mode
	mkdir -p /var/lib/nss-iam /var/lib/extrausers
	cp "$people/nss.db" /var/lib/nss-iam/
	cp "$people/passwd" "$people/group" /var/lib/extrausers/
	ldconfig -p | grep -q libnss_cache.so && services="$services cache"
	ldconfig -p | grep -q libnss_extrausers.so && services="$services extrausers"
	services="$services files"
	if command -v sssd >/dev/null && start_sssd; then services="$services sss"; fi
	cp "$people/passwd" /etc/passwd
	cp "$people/group" /etc/group
	cp "$people/passwd" /etc/passwd.cache && cp "$people/group" /etc/group.cache
	for service in $services; do
		for mode in $modes; do
			case $users/$service/$mode in
			*/empty/short) continue ;;
			100000/extrausers/* | 100000/files/* | 100000/sss/*) continue ;; # minutes a sample
			esac
			ns=$(LD_LIBRARY_PATH=$dir/lib timeout 120 "$dir/lookups" "$service" "$people/passwd" "$mode" 2>/dev/null) || continue
			echo "$users $service $mode $ns"
		done
	done
}

case ${1-} in
--inside) build=$3 && dir=$build/nss-bench && inside "$2" ;;
*)
	make_all
	for users in 5000 100000; do
		tests/private-host bash tests/integration/nss/bench.sh --inside $users "$build"
	done | tee "$dir/results.txt"
	go run ./tests/integration/nss/benchtable "$dir/results.txt" "$document"
	;;
esac
