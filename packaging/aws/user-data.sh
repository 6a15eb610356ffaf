#!/bin/sh
# user-data.sh - make a new EC2 instance one that IAM users log in to
#
# User data for cloud-init, which runs it once, as root, at the first boot. Publish
# what "make repo" makes where instances can fetch it by https, and put its address
# and the checksum of its key here. The instance needs the profile of
# direct-reader.yaml.
set -eu

repository=https://packages.example.com
sha256=0000000000000000000000000000000000000000000000000000000000000000

cd "$(mktemp -d)"
curl -fsS --retry 5 -o nss-iam.asc "$repository/nss-iam.asc"
echo "$sha256  nss-iam.asc" | sha256sum -c -
if command -v apt-get >/dev/null; then
	install -D -m 0644 nss-iam.asc /etc/apt/keyrings/nss-iam.asc
	curl -fsS --retry 5 -o /etc/apt/sources.list.d/nss-iam.sources "$repository/apt/nss-iam.sources"
	apt-get -q update
	DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 install -y nss-iam
else
	install -m 0644 nss-iam.asc /etc/pki/rpm-gpg/RPM-GPG-KEY-nss-iam
	curl -fsS --retry 5 -o /etc/yum.repos.d/nss-iam.repo "$repository/yum/nss-iam.repo"
	dnf install -y nss-iam
fi

cat >/etc/nss-iam/config.toml <<'END'
[login]
groups = ["developers"]

[sudo]
groups = ["admins"]
END

# A failure here leaves the image's own ways in as they were.
iam-cachefill setup
systemctl restart nss-iam
