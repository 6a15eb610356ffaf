#!/bin/bash
# tour.sh - what demo.sh shows, inside the private image of the machine
#
# usage: tour.sh BUILD [nowhere]
#
# "nowhere": there is no private image, so nothing may be installed, and only
# the refresher is shown.
set -u
build=$(realpath "$1")
place=${2:-host}
here=$(dirname "$(realpath "$0")")
start=$SECONDS

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

# refused COMMAND…: the same, and it must fail.
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

encode() {
	local text=$1 i c
	for ((i = 0; i < ${#text}; i++)); do
		c=${text:i:1}
		case $c in
		[a-zA-Z0-9.~_-]) printf %s "$c" ;;
		*) printf '%%%02X' "'$c" ;;
		esac
	done
}

# iam ACTION Key=Value…: one call of the IAM API, as "aws iam" would make it.
# What is shown leaves long values out. The answer is in $answer.
iam() {
	local body="Action=$1&Version=2010-05-08" shown=$1 pair address=${url#http://}
	shift
	for pair in "$@"; do
		body+="&${pair%%=*}=$(encode "${pair#*=}")"
		[ ${#pair} -gt 60 ] && pair=${pair:0:56}…
		shown+=" $pair"
	done
	printf '%sIAM:%s %s\n' "$blue" "$plain" "$shown"
	exec 3<>"/dev/tcp/${address%:*}/${address#*:}" || fault 'the emulator does not answer'
	printf 'POST / HTTP/1.0\r\nHost: %s\r\nAuthorization: AWS4-HMAC-SHA256 Credential=%s/20261122/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s' \
		"$address" "$AWS_ACCESS_KEY_ID" "${#body}" "$body" >&3
	answer=$(cat <&3)
	exec 3>&-
	[[ $answer == HTTP/1.?\ 200* ]] || fault "IAM answers: $answer"
}

element() { # element NAME: its text in $answer
	local rest=${answer#*<"$1">}
	printf '%s' "${rest%%</"$1">*}"
}

# People.

caption 'A small company in IAM'
note "An emulator of the project's own speaks IAM's protocol; no AWS is asked. In it:"
sed -n '/^groups/,$p' "$here/company.toml" | indent
export AWS_ACCESS_KEY_ID=AKIAEMULATOREXAMPLE1 AWS_SECRET_ACCESS_KEY=emulator/secret/EXAMPLEKEY
"$build/iam-emulator" -company "$here/company.toml" -address-file "$work/url" >"$work/emulator.log" 2>&1 &
emulator=$!
pids+=("$emulator")
wait_for 'the emulator does not start' test -s "$work/url"
url=$(cat "$work/url")

config() {
	cat <<-END
		[source]
		endpoint = "$url"   # the emulator; AWS's own when left out
		region = "us-east-1"

		[login]
		groups = ["developers"]   # members of these IAM groups may log in

		[sudo]
		groups = ["admins"]

		[accounts]
		strip_domains = ["example.com"]   # carol@example.com is carol
		publish_groups = ["team-*"]       # further groups to serve
	END
}

if [ "$place" = nowhere ]; then
	config >"$work/config.toml"
	printf '\n[cache]\ndir = "%s/cache"\n' "$work" >>"$work/config.toml"
	mkdir "$work/cache"
	caption 'The refresher computes who is who on every host'
	as 'iam-cachefill refresh' "$build/iam-cachefill" refresh --config "$work/config.toml"
	as 'iam-cachefill status' "$build/iam-cachefill" status --config "$work/config.toml"
	exit 0
fi

many=yes # other users than one
[ "$(awk '{ print $3; exit }' /proc/self/uid_map)" != 1 ] || many=no
sshd=no sudo=no
[ "$many" = no ] || {
	[ ! -x /usr/sbin/sshd ] || sshd=yes
	! command -v sudo >/dev/null || sudo=yes
}

caption 'Installed and configured'
note "On a private copy of this machine ($(cat /run/private-host)). The machine itself is not touched."
as 'make install' make --no-print-directory -s -o build install BUILD="$build"
rm -f /etc/nss-iam/config.toml
config >/etc/nss-iam/config.toml
sed -i -E 's/^(passwd|group):.*/& iam/' /etc/nsswitch.conf
run grep -E '^(passwd|group):' /etc/nsswitch.conf
run cat /etc/nss-iam/config.toml
if [ "$many" = yes ] && ! getent passwd nss-iam >/dev/null; then
	useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin nss-iam 2>/dev/null ||
		fault 'useradd cannot make the key helper its user'
fi

declare -A key=()
if command -v ssh-keygen >/dev/null; then
	caption 'People upload their SSH public keys to IAM'
	for who in alice bob root; do
		ssh-keygen -q -t rsa -b 2048 -N '' -C "$who" -f "$work/$who"
		iam UploadSSHPublicKey UserName="$who" SSHPublicKeyBody="$(cat "$work/$who.pub")"
		key[$who]=$(element SSHPublicKeyId)
	done
fi

caption 'One refresh: the real refresher asks IAM through the real AWS SDK'
run iam-cachefill refresh

caption 'IAM users are users of this host; nothing was written to /etc/passwd'
run getent passwd alice
run id alice
note 'The number comes from the immutable IAM user id: it is the same on every host.'
refused id mallory
note '  … who is in no group that may log in.'

caption 'IAM groups are groups'
run getent group developers team-web iam-users

if [ "$many" = yes ]; then
	caption 'Files have names'
	mkdir -p /srv/shared
	chgrp team-web /srv/shared
	chmod 2775 /srv/shared
	for who in alice bob carol; do
		install -o "$who" -g team-web -m 0664 /dev/null "/srv/shared/notes-of-$who"
	done
	run ls -l /srv/shared
fi

caption 'Members of the IAM group "admins" may use sudo'
run getent group iam-sudo
if [ "$sudo" = yes ]; then
	echo '%iam-sudo ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/nss-iam
	chmod 0440 /etc/sudoers.d/nss-iam
	run sudo -l -U carol
	run sudo -l -U alice
fi

if [ "$many" = yes ] && [ ${#key[@]} -gt 0 ]; then
	caption 'sshd asks the key helper for her keys'
	prompt "/usr/libexec/nss-iam/authkeys alice $(id -u alice)"
	setpriv --reuid=nss-iam --regid=nss-iam --init-groups /usr/libexec/nss-iam/authkeys alice "$(id -u alice)" >"$work/keys" ||
		fault 'the key helper failed'
	[ -s "$work/keys" ] || fault 'no key'
	sed -E 's/(AAAA.{24})[^ ]*/\1…/' "$work/keys" | indent
fi

if [ "$sshd" = no ]; then
	caption 'A user is renamed in IAM'
	before=$(id -u bob)
	iam UpdateUser UserName=bob NewUserName=robert
	run iam-cachefill refresh
	run id robert
	[ "$(id -u robert)" = "$before" ] || fault "bob was $before"
	note "The same number as before: what bob owned, robert owns."
	iam-cachefill run >"$work/iam-cachefill.log" 2>&1 &
	pids+=($!)
	wait_for 'the daemon does not open its socket' test -S /run/nss-iam/cachefill.sock
	caption 'AWS is down'
	kill "$emulator"
	wait "$emulator" 2>/dev/null
	run iam-cachefill status
	run id alice
	exit 0
fi

# Logins.

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
	AuthorizedKeysCommand /usr/libexec/nss-iam/authkeys %u %U %f %k %t
	AuthorizedKeysCommandUser nss-iam
END
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

caption 'A real login, through a real sshd'
run grep AuthorizedKeysCommand /etc/ssh/sshd_config
mkdir -p /run/sshd
/usr/sbin/sshd -D -e -f /etc/ssh/sshd_config >"$work/sshd.log" 2>&1 &
pids+=($!)
iam-cachefill run >"$work/iam-cachefill.log" 2>&1 &
daemon=$!
pids+=("$daemon")
wait_for 'the daemon does not open its socket' test -S /run/nss-iam/cachefill.sock
wait_for 'sshd does not listen' eval "exec 3<>/dev/tcp/127.0.0.1/$port"
run ssh alice@web-1 'whoami; umask 002; echo hello >/srv/shared/hello; ls -l /srv/shared/hello'
note 'An IAM user called "root", with a key, opens nothing: root is somebody else here.'
refused ssh root@web-1 id

caption 'A key is deleted in IAM: it opens nothing from then on'
iam DeleteSSHPublicKey UserName=alice SSHPublicKeyId="${key[alice]}"
note "(the daemon reuses IAM's last answer for a few seconds: sshd asks several times a login)"
tries=0
while ssh alice@web-1 true 2>/dev/null; do
	tries=$((tries + 1))
	[ "$tries" -lt 40 ] || fault 'the deleted key still opens the login'
	sleep 0.5
done
refused ssh alice@web-1 id

caption 'A user is renamed in IAM: the number stays, and with it the files'
before=$(id -u bob)
iam UpdateUser UserName=bob NewUserName=robert
run iam-cachefill refresh
run id robert
[ "$(id -u robert)" = "$before" ] || fault "bob was $before"
run ls -l /srv/shared/notes-of-bob
run ssh robert@web-1 whoami

caption 'AWS is down: everything goes on, from the cache'
kill "$emulator"
wait "$emulator" 2>/dev/null
note '(the emulator is stopped)'
run iam-cachefill status
run id robert
run ssh robert@web-1 'id -un; id -Gn'

printf '\n%sDone in %d s. Everything that was started here ends now.%s\n' "$bold" $((SECONDS - start)) "$plain"
