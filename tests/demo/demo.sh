#!/bin/bash
# demo.sh - nss-iam at work, on this machine and without changing it
#
# Everything happens in a private copy-on-write image of the machine (see
# tests/private-host), except that missing Debian packages are installed when
# root runs this. There is no AWS in it: the project's own emulator speaks
# IAM's protocol, and the real refresher reads it through the real AWS SDK.
#
# usage: demo.sh [--build COMMAND [ARG…]]
#
# COMMAND makes the artifacts, while the missing packages are installed. What it
# says is shown where it fails.
set -u
cd "$(dirname "$0")/../.." || exit 1
here=tests/demo
build=${NSS_IAM_BUILD:-build}

packages() { tests/setup.sh util-linux iproute2 passwd make openssh-server openssh-client sudo || true; }

if [ "${1-}" = --build ]; then
	shift
	echo 'demo: building; the first time takes a minute or two'
	log=$(mktemp) || exit 1
	trap 'rm -f "$log"' EXIT
	packages &
	"$@" >"$log" 2>&1
	status=$?
	# An installation is never cut off, whatever became of the build.
	wait "$!"
	[ "$status" -eq 0 ] || {
		cat "$log" >&2
		exit "$status"
	}
	rm -f "$log"
	trap - EXIT
else
	packages
fi

for artifact in libnss_iam.so.2 iam-cachefill authkeys account iam-emulator; do
	[ -e "$build/$artifact" ] || {
		echo "demo: no $build/$artifact; the command that makes it: make build" >&2
		exit 1
	}
done

# What is left out is said at the end; the demo goes on with the rest.
left_out=
command -v /usr/sbin/sshd >/dev/null || left_out+='the ssh logins (no sshd)|apt-get install openssh-server openssh-client
'
command -v sudo >/dev/null || left_out+='sudo (not installed)|apt-get install sudo
'
if [ "$(id -u)" -ne 0 ]; then
	left_out+="ssh logins, sudo and other people's files (only root can become another user)|sudo env \"PATH=\$PATH\" make demo
"
fi

start=$SECONDS
if why=$(tests/private-host true 2>&1); then
	mortal=()
	! setpriv --pdeathsig TERM true 2>/dev/null || mortal=(setpriv --pdeathsig TERM)
	"${mortal[@]}" tests/private-host --hostname web-1 "$BASH" "$here/tour.sh" "$build" &&
		"${mortal[@]}" tests/private-host --hostname web-2 "$BASH" "$here/center.sh" "$build"
	status=$?
else
	left_out+="everything on a real host: id, getent, ls, sudo and ssh (${why#private-host: })|a machine, or a container started with --privileged, and in it: make demo
"
	"$BASH" "$here/tour.sh" "$build" nowhere && "$BASH" "$here/center.sh" "$build" nowhere
	status=$?
fi

[ "$status" -ne 0 ] || printf '\nDone in %d s. Everything that was started here has ended.\n' $((SECONDS - start))

if [ -n "$left_out" ]; then
	printf '\nLeft out here, and what supplies it:\n'
	while IFS='|' read -r what command; do
		[ -z "$what" ] || printf '  %s\n      %s\n' "$what" "$command"
	done <<<"$left_out"
fi
exit "$status"
