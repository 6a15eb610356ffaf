#!/bin/bash
# show.sh - what the demo's two tours share: captions, commands shown as they are typed, a
# host, an emulator, a real sshd
#
# It is sourced with $build set, the folder of the artifacts. A command that does not end
# as it should ends the tour, with the logs.
: "${build:?}"

bold='' dim='' blue='' red='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$'\e[1m' dim=$'\e[2m' blue=$'\e[34m' red=$'\e[31m' plain=$'\e[0m'
fi

work=$(mktemp -d)
pids=()
finish() {
	[ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null
	wait 2>/dev/null
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

caption() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
note() { printf '%s%s%s\n' "$dim" "$*" "$plain"; }
indent() { sed -u 's/^/  /'; }

fault() {
	printf '%s  this is not what should have come: %s%s\n' "$red" "$*" "$plain"
	for log in "$work"/*.log; do
		[ -s "$log" ] && printf '%s:\n%s\n' "${log##*/}" "$(tail -n 20 "$log")"
	done
	exit 1
}

# run COMMAND…: shown as a person would type it, and it must succeed.
run() {
	prompt "$(typed "$@")"
	"$@" 2>&1 | indent
	[ "${PIPESTATUS[0]}" -eq 0 ] || fault "\"$*\" failed"
}

# look COMMAND…: the same, whatever its exit status: status ends with 1 once a refresh has failed.
look() {
	prompt "$(typed "$@")"
	"$@" 2>&1 | indent
}

# refused COMMAND…: the same as run, and it must fail.
refused() {
	prompt "$(typed "$@")"
	"$@" 2>&1 | indent
	[ "${PIPESTATUS[0]}" -ne 0 ] || fault "\"$*\" succeeded"
}

# typed WORD…: the words as they would be typed, quoted where they have to be.
typed() {
	local word line=
	for word in "$@"; do
		[[ $word =~ ^[a-zA-Z0-9_./:@%+=-]+$ ]] || word=${word@Q}
		line+=" $word"
	done
	printf '%s' "${line# }"
}

prompt() { printf '%s$%s %s\n' "$blue" "$plain" "$*"; }

# as SHOWN COMMAND…: run COMMAND, and show SHOWN in its place.
as() {
	prompt "$1"
	shift
	"$@" 2>&1 | indent
	[ "${PIPESTATUS[0]}" -eq 0 ] || fault "\"$*\" failed"
}

# wait_for WHAT COMMAND…: until COMMAND succeeds, at most 20 seconds.
wait_for() {
	local what=$1 tries=0
	shift
	until "$@" 2>/dev/null; do
		tries=$((tries + 1))
		[ "$tries" -lt 400 ] || fault "$what"
		sleep 0.05
	done
}

# emulate ARG…: starts the emulator. Its address is in $url, its process in $emulator.
emulate() {
	export AWS_ACCESS_KEY_ID=AKIAEMULATOREXAMPLE1 AWS_SECRET_ACCESS_KEY=emulator/secret/EXAMPLEKEY
	"$build/iam-emulator" "$@" -address-file "$work/url" >"$work/emulator.log" 2>&1 &
	emulator=$!
	pids+=("$emulator")
	wait_for 'the emulator does not start' test -s "$work/url"
	url=$(cat "$work/url")
}

# send REQUEST-LINE HEADERS BODY: one request to the emulator. What it says is in $answer.
send() {
	local address=${url#http://}
	exec 3<>"/dev/tcp/${address%:*}/${address#*:}" || fault 'the emulator does not answer'
	printf '%s HTTP/1.0\r\nHost: %s\r\n%sContent-Length: %d\r\n\r\n%s' "$1" "$address" "$2" "${#3}" "$3" >&3
	answer=$(cat <&3)
	exec 3>&-
	[[ $answer == HTTP/1.?\ 20* ]] || fault "the emulator answers: $answer"
}

# What can be shown here: other users than one, sudo, sshd.
# shellcheck disable=SC2034 # the tours read them
abilities() {
	many=yes sshd=no sudo=no
	[ "$(awk '{ print $3; exit }' /proc/self/uid_map)" != 1 ] || many=no
	[ "$many" = no ] || {
		[ ! -x /usr/sbin/sshd ] || sshd=yes
		! command -v sudo >/dev/null || sudo=yes
	}
}

# refresher CONFIG: what can be shown without a host.
refresher() {
	mkdir "$work/cache"
	printf '%s\n\n[cache]\ndir = "%s/cache"\n' "$1" "$work" >"$work/config.toml"
	as 'iam-cachefill refresh' "$build/iam-cachefill" refresh --config "$work/config.toml"
	as 'iam-cachefill status' "$build/iam-cachefill" status --config "$work/config.toml"
}

# installed CONFIG: nss-iam is installed and configured.
installed() {
	as 'make install' make --no-print-directory -s -o build install BUILD="$build"
	rm -f /etc/nss-iam/config.toml
	printf '%s\n' "$1" >/etc/nss-iam/config.toml
	sed -i -E 's/^(passwd|group):.*/& iam/' /etc/nsswitch.conf
	[ "$sudo" = no ] || {
		echo '%iam-sudo ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/nss-iam
		chmod 0440 /etc/sudoers.d/nss-iam
	}
	[ "$many" = no ] || getent passwd nss-iam >/dev/null ||
		useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin nss-iam 2>/dev/null ||
		fault 'useradd cannot make the key helper its user'
}

# sshd_config LINE…: what sshd and ssh go by. A host of any name is this one.
sshd_config() {
	port=22
	[[ $(cat /run/private-host) != *'shared net'* ]] || {
		port=2222
		while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
	}
	ssh-keygen -q -t ed25519 -N '' -f "$work/host"
	cat >/etc/ssh/sshd_config <<-END
		Port $port
		ListenAddress 127.0.0.1
		HostKey $work/host
		PidFile none
		LogLevel VERBOSE
		UsePAM yes
		PasswordAuthentication no
		KbdInteractiveAuthentication no
	END
	printf '%s\n' "$@" >>/etc/ssh/sshd_config
	cat >/etc/ssh/ssh_config <<-END
		HostName 127.0.0.1
		Port $port
		BatchMode yes
		LogLevel ERROR
		IdentitiesOnly yes
		PreferredAuthentications publickey
		StrictHostKeyChecking no
		UserKnownHostsFile /dev/null
		Match originalhost web-1 user robert
		IdentityFile $work/bob
		Match all
		IdentityFile $work/%r
	END
	echo 'session optional pam_mkhomedir.so silent' >>/etc/pam.d/sshd # makes homes at the first login
}

# serve: the daemon and sshd run.
serve() {
	mkdir -p /run/sshd
	/usr/sbin/sshd -D -e -f /etc/ssh/sshd_config >"$work/sshd.log" 2>&1 &
	pids+=($!)
	iam-cachefill run >"$work/iam-cachefill.log" 2>&1 &
	pids+=($!)
	wait_for 'the daemon does not open its socket' test -S /run/nss-iam/cachefill.sock
	wait_for 'sshd does not listen' eval "exec 3<>/dev/tcp/127.0.0.1/$port"
}

# soon_refused USER@HOST: the login is refused, within some seconds.
soon_refused() {
	local tries=0
	note '(the daemon reuses the last answer for a few seconds: sshd asks several times a login)'
	while ssh "$1" true 2>/dev/null; do
		tries=$((tries + 1))
		[ "$tries" -lt 40 ] || fault "\"ssh $1\" still opens the login"
		sleep 0.5
	done
	refused ssh "$1" id
}
