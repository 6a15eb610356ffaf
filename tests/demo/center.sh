#!/bin/bash
# center.sh - what demo.sh shows of people of IAM Identity Center, on a host of their own
#
# usage: center.sh BUILD [nowhere]
#
# "nowhere" as for tour.sh.
set -u
build=$(realpath "$1")
place=${2:-host}
here=$(dirname "$(realpath "$0")")
# shellcheck source=tests/demo/show.sh
. "$here/show.sh"

caption 'Another host: its people are in IAM Identity Center, which holds no SSH keys'
indent <"$here/store.json"
emulate -store "$here/store.json"

config() {
	cat <<-END
		[source]
		kind = "identity-center"
		endpoint = "$url"
		region = "us-east-1"

		[login]
		groups = ["Developers"]

		[sudo]
		groups = ["Platform Admins"]

		[accounts]
		strip_domains = ["example.com"]
	END
}

if [ "$place" = nowhere ]; then
	refresher "$(config)"
	exit 0
fi

abilities
installed "$(config)"
run cat /etc/nss-iam/config.toml
run iam-cachefill refresh
run id erin
run getent group iam-sudo
[ "$sudo" = no ] || run sudo -l -U frank
[ "$sshd" = yes ] || exit 0

caption 'She logs in without a key in AWS: an authority of the company signs a certificate'
ssh-keygen -q -t ed25519 -N '' -C 'the authority' -f "$work/ca"
ssh-keygen -q -t ed25519 -N '' -C erin -f "$work/erin"
cd "$work" || exit 1
run ssh-keygen -q -s ca -I erin@example.com -n erin -V +1h erin.pub
cp ca.pub /etc/ssh/user_ca.pub
sshd_config 'TrustedUserCAKeys /etc/ssh/user_ca.pub' \
	'AuthorizedPrincipalsCommand /usr/libexec/nss-iam/authkeys --principals %u %U %k' \
	'AuthorizedPrincipalsCommandUser nss-iam'
run grep -E 'UserCA|Principals' /etc/ssh/sshd_config
serve
run ssh erin@web-2 'id -un; sudo id -un'

caption 'She is disabled in Identity Center: the certificate, good for an hour, opens nothing'
printf '%sIdentity Center:%s erin@example.com is DISABLED\n' "$blue" "$plain"
send 'PUT /admin/identity-store' '' "$(sed '/erin@/s/ENABLED/DISABLED/' "$here/store.json")"
soon_refused erin@web-2
