#!/bin/sh
# user-data.sh - make a new EC2 instance one that IAM users log in to
#
# User data for cloud-init, which runs it once, as root, at the first boot. Put
# the package where instances can fetch it by https, and its address and
# checksum here. The instance needs the profile of direct-reader.yaml.
set -eu

package=https://packages.example.com/nss-iam.deb
sha256=0000000000000000000000000000000000000000000000000000000000000000

file=$(mktemp -d)/${package##*/}
curl -fsS --retry 5 -o "$file" "$package"
echo "$sha256  $file" | sha256sum -c -
case $package in
*.rpm) dnf install -y "$file" ;;
*) DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y "$file" ;;
esac

cat >/etc/nss-iam/config.toml <<'END'
[login]
groups = ["developers"]

[sudo]
groups = ["admins"]
END

# A failure here leaves the image's own ways in as they were.
iam-cachefill setup
systemctl restart nss-iam
