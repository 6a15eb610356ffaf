#!/bin/bash
# ways.sh - try the ways into one person's account, on a host of the table
#
# usage: ways.sh prepare NAME UID              while the person is active: what each way needs
#        ways.sh sshd NAME UID PAM             the ways through sshd, with "UsePAM PAM"
#        ways.sh host NAME UID                 su, sudo in an open session
#        ways.sh jobs NAME UID SINCE           did cron and at run the person's jobs since then, and do the
#                                              person's systemd units start?
#        ways.sh ran NAME UID SINCE            have cron and at run jobs of the person since then?
#        ways.sh at UID...                     atd runs these people's jobs, a job of each person at a time
#        ways.sh odd NAME UID PAM              the key of an active person, at other names
#        ways.sh become NAME UID OTHER         what an active person may not do to others or to the person's own entry
#
# Each attempt prints "WAY VERDICT REASON". The verdict is the number as which
# the way led in, or "no"; the reason is what the program said.
# shellcheck disable=SC2016 # what is in single quotes is for another shell
set -u

place=/run/door
helper=/usr/libexec/nss-iam/authkeys
# The clients get no configuration and no other key than the one named.
client=(-F none -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=no
	-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=60)

say() { # say WAY VERDICT [FILE]: with the last line of a file as the reason
	local reason=''
	[ -z "${3-}" ] || reason=$(tail -n 1 "$3" 2>/dev/null | tr -c '[:print:]' ' ')
	printf '%s\t%s\t%s\n' "$1" "$2" "$reason"
}

# port PAM CREDENTIAL: of the sshd that has this UsePAM; another one for keys
# in the home, allowed by keys.own_file.
port() {
	case $2.$1 in
	allowed.yes) echo 2223 ;;
	allowed.no) echo 2224 ;;
	*.yes) echo 22 ;;
	*.no) echo 2222 ;;
	esac
}

# identity CREDENTIAL: the private key's file.
identity() {
	case $1 in
	iam) echo "$place/keys/iam-$name" ;;
	own | allowed) echo "$place/keys/own" ;;
	certificate) echo "$mine/certificate" ;;
	esac
}

as_person() {
	setpriv --reuid="$uid" --regid="$uid" --init-groups env HOME="$home" SHELL=/bin/bash "$@"
}

prepare() {
	mkdir -p "$mine"
	home=$(getent passwd "$name" | cut -d: -f6)
	as_person sh -ec '
		cd "$HOME"
		mkdir -m 0700 .ssh
		cat >.ssh/authorized_keys
		mkdir -p .config/systemd/user/default.target.wants
		printf "[Service]\nType=oneshot\nExecStart=/bin/sh -c \"id -u >>'"$place/units/$name"'\"\n" >.config/systemd/user/door.service
		ln -s ../door.service .config/systemd/user/default.target.wants/
		echo "touch '"$place/profile/$name"'" >.bash_profile
	' <"$place/keys/own.pub"
	printf '* * * * * echo "$(date +\\%%s) $(id -u)" >>%s\n' "$place/cron/$name" | crontab -u "$name" - || exit
	# Several, each of which is a way in: atd of Debian 11 and 12 collects ended
	# children itself, and sometimes the one that pam_exec waits for, which then says no
	# although the helper said yes, and that job does not run.
	local job
	for job in $(seq "$waves"); do
		echo "id -u >>$place/at/$name" | as_person at 'now + 5 hours' 2>/dev/null || exit
	done
	touch "/var/lib/systemd/linger/$name" && systemctl start "user@$uid.service" || exit
	cp "$place/keys/own" "$mine/certificate"
	cp "$place/keys/own.pub" "$mine/certificate.pub"
	ssh-keygen -q -s "$place/keys/ca" -I "$name" -n "$name" -V -1h:+1h "$mine/certificate.pub" || exit
	local pam
	for pam in yes no; do
		ssh "${client[@]}" -i "$(identity iam)" -p "$(port "$pam" iam)" -M -S "$mine/master-$pam" -N -f \
			"$name@127.0.0.1" >"$mine/log" 2>&1 </dev/null || { cat "$mine/log" >&2; exit 1; }
	done
	mkfifo "$mine/in"
	# Somebody keeps the pipe open: the session ends with its input.
	setsid sleep 7200 <>"$mine/in" >/dev/null 2>&1 &
	setsid ssh "${client[@]}" -i "$(identity iam)" -p 22 "$name@127.0.0.1" sh <"$mine/in" >"$mine/out" 2>&1 &
	echo $! >"$mine/session"
	in_session
}

# in_session: sudo, in the session that was opened at the beginning.
in_session() {
	local token=end-$BASHPID-$RANDOM
	# Nobody reads where the session has ended.
	echo "sudo -n id -u; echo $token" | timeout 10 tee "$mine/in" >/dev/null
	timeout 120 sh -c 'until grep -q "^$0" "$1" || ! kill -0 "$2"; do sleep 0.1; done' "$token" "$mine/out" "$(cat "$mine/session")"
	sed "/^$token/,\$d" "$mine/out" | tail -n 1 >"$mine/said"
	verdict session-sudo "$(cat "$mine/said")" "$mine/said"
	echo >>"$mine/out"
}

# verdict WAY ANSWER FILE: an answer that is a number is a way in.
verdict() {
	if [[ $2 =~ ^[0-9]+$ ]]; then
		say "$1" "$2"
	else
		say "$1" no "$3"
	fi
}

# through CREDENTIAL SOCKET PORT: what a connection that has been let in is good for.
through() {
	local mux=("${client[@]}" -o ControlMaster=no -o "ControlPath=$2" -o PreferredAuthentications=none)
	local log=$mine/log-$1-$pam file=$place/sftp/$name-$1-$pam as
	as=$(timeout 60 ssh "${mux[@]}" -p "$3" "$name@127.0.0.1" id -u 2>"$log" </dev/null)
	verdict "$1" "$as" "$log"
	echo "put /etc/hostname $file" | timeout 60 sftp "${mux[@]}" -P "$3" -b - "$name@127.0.0.1" >"$log" 2>&1
	verdict "$1-sftp" "$(stat -c %u "$file" 2>/dev/null)" "$log"
	# Port 22 answers everybody, with a banner.
	if [ "$(timeout 60 ssh "${mux[@]}" -p "$3" -W 127.0.0.1:22 "$name@127.0.0.1" 2>"$log" </dev/null | head -c 4)" = SSH- ]; then
		[[ $as =~ ^[0-9]+$ ]] || as=$uid # the shell has let nobody in
		say "$1-forwarding" "$as"
	else
		say "$1-forwarding" no "$log"
	fi
	as=$(timeout 60 ssh "${mux[@]}" -p "$3" "$name@127.0.0.1" sudo -n id -u 2>"$log" </dev/null)
	verdict "$1-sudo" "$as" "$log"
}

sshd() {
	local credential socket port log
	for credential in iam own allowed certificate; do
		socket=$mine/$credential-$pam port=$(port "$pam" "$credential") log=$mine/log-$credential-$pam
		rm -f "$socket"
		if timeout 90 ssh "${client[@]}" -i "$(identity "$credential")" -p "$port" -M -S "$socket" -N -f \
			"$name@127.0.0.1" >"$log" 2>&1 </dev/null; then
			through "$credential" "$socket" "$port"
			ssh "${client[@]}" -S "$socket" -O exit "$name@127.0.0.1" >/dev/null 2>&1
		else
			# Neither a command nor sftp nor a forwarding gets further than this.
			for way in '' -sftp -forwarding -sudo; do
				say "$credential$way" no "$log"
			done
		fi
	done
	through master "$mine/master-$pam" "$(port "$pam" iam)"
}

host() {
	verdict su "$(timeout 60 su - "$name" -c 'id -u' 2>"$mine/log-su" </dev/null)" "$mine/log-su"
	in_session
}

# by_cron is the number as which cron has run the person's job since then.
by_cron() {
	awk -v since="$since" '$1 >= since { as = $2 } END { print as }' "$place/cron/$name" 2>/dev/null
}

ran() {
	[ -n "$(by_cron)" ] && [ -s "$place/at/$name" ]
}

jobs() {
	local log=$mine/log-jobs
	journalctl -q -n 1000 -o cat -u cron -u atd | grep -w "$name" >"$log"
	verdict cron "$(by_cron)" "$log"
	verdict at "$(tail -n 1 "$place/at/$name" 2>/dev/null)" "$log"
	rm -f "$place/units/$name"
	systemctl stop "user@$uid.service" >/dev/null 2>&1
	systemctl start "user@$uid.service" >"$mine/log-units" 2>&1
	# The manager is ready before its units have run.
	systemctl is-active --quiet "user@$uid.service" &&
		timeout 90 sh -c 'until [ -s "$0" ]; do sleep 0.1; done' "$place/units/$name"
	verdict units "$(tail -n 1 "$place/units/$name" 2>/dev/null)" "$mine/log-units"
}

# at makes one waiting job of each of these people due and has atd run it, then the next:
# "a", five hexadecimal digits of a job's number and eight of the minute in which it is
# due. A wave keeps the machine busy for a moment, and the busier it is, the more often
# atd takes the end of a helper from pam_exec. atd loses a signal that comes between its
# look at the folder and its sleep, and then sleeps for as long as an hour: so it is
# signaled again and again.
at() {
	local now owner job
	cd /var/spool/cron/atjobs || exit
	for _ in $(seq "$waves"); do
		now=$(($(date +%s) / 60))
		for owner in "$@"; do
			for job in $(find . -name 'a*' -uid "$owner" -printf '%f\n' | sort); do
				[ $((16#${job: -8})) -gt $now ] || continue
				mv "$job" "${job%????????}$(printf %08x "$now")"
				break
			done
		done
		for _ in 1 2 3 4; do
			kill -HUP "$(cat /run/atd.pid)"
			sleep 1
		done
	done
}

odd() {
	local other
	for other in root "${name^^}" "${name^}" "../$name" "./$name" "$name." "$name/" '%u' "%h/$name" '$(id)' '`id`' "-o$name" '-oProxyCommand=true' \
		"$uid" "+$uid" 0 nobody nss-iam iam-users '*' ''; do
		if timeout 90 ssh "${client[@]}" -i "$(identity iam)" -p "$(port "$pam" iam)" -o "User=$other" 127.0.0.1 id -u >"$mine/said" 2>"$mine/log" </dev/null; then
			say "\"$other\"" "$(cat "$mine/said")"
		else
			say "\"$other\"" no "$mine/log"
		fi
	done
}

become() {
	local attempt before
	home=$(getent passwd "$name" | cut -d: -f6)
	before=$(cat /etc/passwd /etc/shadow /etc/group | sha256sum)
	for attempt in "su $other -c true" 'su -c true' 'su root -c true' 'passwd' "passwd $other" 'chsh -s /bin/sh' 'chfn -r 1' \
		'cat /var/lib/nss-iam/keys.db' 'cat /var/lib/nss-iam/state.db'; do
		# shellcheck disable=SC2086 # a command and its arguments
		if yes '' | as_person timeout 20 $attempt >"$mine/log" 2>&1; then
			say "\"$attempt\"" "$uid" "$mine/log"
		else
			say "\"$attempt\"" no "$mine/log"
		fi
	done
	# The key helper ends well where it has nothing to say.
	as_person "$helper" "$name" "$uid" >"$mine/log" 2>/dev/null
	[ ! -s "$mine/log" ] || say 'the key helper' "$uid" "$mine/log"
	[ "$before" = "$(cat /etc/passwd /etc/shadow /etc/group | sha256sum)" ] || say "the host's own files" changed "$mine/log"
}

waves=6 # of jobs of at
verb=$1 name=${2-} uid=${3-} since=${4-} pam=${4-} other=${4-} mine=$place/people/${2-}
case $verb in
at) shift && at "$@" ;;
prepare | sshd | host | ran | jobs | odd | become) "$verb" ;;
esac
