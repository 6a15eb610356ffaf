#!/bin/bash
# lib.sh - what tours share. A check prints "ok NAME" or "not ok NAME: why".
# shellcheck shell=bash
tour=/opt/tour
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C HOME=/root
count=$tour/count # of the checks that passed, through reboots

ok() {
	echo "ok $1"
	echo . >>"$count"
}
bad() { printf 'not ok %s: %s\n' "$1" "$(printf '%s' "${2:-}" | tr '\n' '|' | tail -c 900)"; }
end() { echo "end $(wc -l <"$count")"; }

# check NAME COMMAND…: the command succeeds.
check() {
	local name=$1 said
	shift
	if said=$("$@" 2>&1); then ok "$name"; else bad "$name" "$? $said"; fi
}

# refuse NAME COMMAND…: the command fails.
refuse() {
	local name=$1 said
	shift
	if said=$("$@" 2>&1); then bad "$name" "succeeded: $said"; else ok "$name"; fi
}

# prints NAME TEXT COMMAND…: the command succeeds and prints a text.
prints() {
	local name=$1 want=$2 said status=0
	shift 2
	said=$("$@" 2>&1) || status=$?
	if [ $status -eq 0 ] && [[ $said == *"$want"* ]]; then ok "$name"; else bad "$name" "$status $said"; fi
}

# wait_for SECONDS COMMAND…
wait_for() {
	local until=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $until ] || return 1
		sleep 0.5
	done
}

# as USER COMMAND…: a login by that person's key.
as() {
	local user=$1
	shift
	ssh -F none -i "$tour/key-$user" -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no \
		-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=60 "$user@127.0.0.1" "$@"
}

# directory ADDRESS: start the emulated account of this machine.
directory() {
	install -m 0755 "$tour/iam-emulator" /usr/local/sbin/iam-emulator
	! command -v restorecon >/dev/null || restorecon /usr/local/sbin/iam-emulator 2>/dev/null
	systemd-run -q --unit=directory /usr/local/sbin/iam-emulator -company "$tour/company.json" -listen "$1"
}

# configure FOLDER-MAKER [ENDPOINT]: what a person writes before setup.
configure() {
	mkdir -p /etc/nss-iam
	cat >/etc/nss-iam/config.toml <<-END
		[source]
		region = "us-east-1"
		endpoint = "${2:-http://127.0.0.1:8000}"
		[login]
		groups = ["developers"]
		[sudo]
		groups = ["admins"]
		[accounts]
		homes = "$1"
	END
	printf 'AWS_ACCESS_KEY_ID=AKIAEMULATOREXAMPLE1\nAWS_SECRET_ACCESS_KEY=emulator/secret/EXAMPLEKEY\n' >/etc/nss-iam/environment
	chmod 0600 /etc/nss-iam/environment
}
