#!/bin/bash
# tour.sh - what demo.sh shows of IAM users, inside the private image of the machine
#
# usage: tour.sh BUILD [nowhere]
#
# "nowhere": there is no private image, so nothing may be installed, and only
# the refresher is shown.
set -u
build=$(realpath "$1")
place=${2:-host}
here=$(dirname "$(realpath "$0")")
# shellcheck source=tests/demo/show.sh
. "$here/show.sh"

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
	local body="Action=$1&Version=2010-05-08" shown=$1 pair
	shift
	for pair in "$@"; do
		body+="&${pair%%=*}=$(encode "${pair#*=}")"
		[ ${#pair} -gt 60 ] && pair=${pair:0:56}…
		shown+=" $pair"
	done
	printf '%sIAM:%s %s\n' "$blue" "$plain" "$shown"
	send 'POST /' "Authorization: AWS4-HMAC-SHA256 Credential=$AWS_ACCESS_KEY_ID/20261122/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0"$'\r\n'"Content-Type: application/x-www-form-urlencoded"$'\r\n' "$body"
}

element() { # element NAME: its text in $answer
	local rest=${answer#*<"$1">}
	printf '%s' "${rest%%</"$1">*}"
}

# People.

caption 'A small company in IAM'
note "An emulator of the project's own speaks IAM's protocol; no AWS is asked. In it:"
sed -n '/^groups/,$p' "$here/company.toml" | indent
emulate -company "$here/company.toml"

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
	caption 'The refresher computes who is who on every host'
	refresher "$(config)"
	exit 0
fi

abilities
caption 'Installed and configured'
note "On a private copy of this machine ($(cat /run/private-host)). The machine itself is not touched."
installed "$(config)"
run grep -E '^(passwd|group):' /etc/nsswitch.conf
run cat /etc/nss-iam/config.toml

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
note 'The uid comes from the immutable IAM user id: it is the same on every host.'
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
	note "The same uid as before: what bob owned, robert owns."
	iam-cachefill run >"$work/iam-cachefill.log" 2>&1 &
	pids+=($!)
	wait_for 'the daemon does not open its socket' test -S /run/nss-iam/cachefill.sock
	caption 'AWS is down'
	kill "$emulator"
	wait "$emulator" 2>/dev/null
	look iam-cachefill status
	run id alice
	exit 0
fi

# Logins.

sshd_config 'AuthorizedKeysCommand /usr/libexec/nss-iam/authkeys %u %U %f %k %t' \
	'AuthorizedKeysCommandUser nss-iam'

caption 'A real login, through a real sshd'
run grep AuthorizedKeysCommand /etc/ssh/sshd_config
serve
run ssh alice@web-1 'whoami; umask 002; echo hello >/srv/shared/hello; ls -l /srv/shared/hello'
note 'An IAM user called "root", with a key, opens nothing: root is somebody else here.'
refused ssh root@web-1 id

caption 'A key is deleted in IAM: it opens nothing from then on'
iam DeleteSSHPublicKey UserName=alice SSHPublicKeyId="${key[alice]}"
soon_refused alice@web-1

caption 'A user is renamed in IAM: the uid stays, and with it the files'
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
look iam-cachefill status
run id robert
run ssh robert@web-1 'id -un; id -Gn'
