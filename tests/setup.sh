#!/bin/sh
# setup.sh - install the Debian packages that tests and demo need
#
# usage: setup.sh [PACKAGE…]
#
# Without PACKAGE, all of apt-packages.txt. Nothing happens, and nothing is
# printed, where all are there. Otherwise root's apt-get installs the missing
# ones without starting their services; anybody else is told the command.
# Exit status: 0 all there, 1 something is missing.
set -u

list=$(dirname "$0")/apt-packages.txt
[ $# -gt 0 ] || {
	# shellcheck disable=SC2046 # package names are words
	set -- $(sed 's/#.*//' "$list")
}

missing=
for package in "$@"; do
	status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) || status=
	case $status in
	'install ok installed') ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "setup: this is not Debian or Ubuntu; please install what these packages hold:$missing" >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "setup: missing packages; the command that supplies them: sudo apt-get install --no-install-recommends$missing" >&2
	exit 1
fi

log=$(mktemp)
policy=/usr/sbin/policy-rc.d
trap 'rm -f "$log"' EXIT
if [ ! -e "$policy" ]; then
	trap 'rm -f "$log" "$policy"' EXIT
	trap 'exit 1' HUP INT TERM
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 0755 "$policy"
fi

install() {
	# shellcheck disable=SC2086 # package names are words
	DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold \
		install -qq -y --no-install-recommends $missing >>"$log" 2>&1 </dev/null
}

echo "setup: installing$missing" >&2
# The package lists may be absent, as in container images, or too old to be true.
install || { apt-get -o DPkg::Lock::Timeout=600 update -qq >>"$log" 2>&1 && install; } || {
	cat "$log" >&2
	echo "setup: cannot install; the command to try by hand: apt-get update && apt-get install --no-install-recommends$missing" >&2
	exit 1
}
