package importer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A LocalUser is a user that the old tool made.
type LocalUser struct {
	Name     string
	UID, GID uint32
	Home     string
}

// LocalUsers returns the members of the marker group, by the texts of
// /etc/passwd and /etc/group. System users are never among them.
func LocalUsers(passwd, group, marker string) []LocalUser {
	var members []string
	for line := range strings.Lines(group) {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) == 4 && f[0] == marker {
			members = strings.Split(f[3], ",")
		}
	}
	var users []LocalUser
	for line := range strings.Lines(passwd) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 7 || !slices.Contains(members, f[0]) {
			continue
		}
		uid, err1 := strconv.ParseUint(f[2], 10, 32)
		gid, err2 := strconv.ParseUint(f[3], 10, 32)
		if err1 != nil || err2 != nil || uid < 1000 {
			continue
		}
		users = append(users, LocalUser{f[0], uint32(uid), uint32(gid), f[5]})
	}
	return users
}

// A Move is one user's change of uid.
type Move struct {
	LocalUser
	IAM string // the IAM user's name, or "" where IAM has none
	ID  string // its UserId
	New uint32
	// Pin reports whether the old uid may be kept by a pin.
	Pin bool
}

// UnixName is the login name that the old tool gave an IAM user.
func UnixName(iam string) string {
	return strings.NewReplacer("+", ".plus.", "=", ".equal.", ",", ".comma.", "@", ".at.").Replace(iam)
}

// Plan writes the plan as a shell script that does nothing: every command in
// it is a comment, for a person to read and to run.
func Plan(moves []Move) string {
	var b strings.Builder
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, "# "+format+"\n", args...) }
	if len(moves) == 0 {
		line("aws-ec2-ssh made no user on this host.")
		return b.String()
	}
	line("Uids of the users that aws-ec2-ssh made. Nothing of this is run by itself.")
	line("A local account always wins over an IAM user of its name: take the old")
	line("account away (its home stays), then give its files to the new uid.")
	for _, m := range moves {
		_, _ = b.WriteString("#\n")
		if m.ID == "" {
			line("%s (uid %d): no IAM user of this name; the account stays as it is.", m.Name, m.UID)
			continue
		}
		line("%s: uid %d becomes %d", m.Name, m.UID, m.New)
		line("    userdel %s", m.Name)
		line("    find / -xdev -uid %d -exec chown -h %d {} +", m.UID, m.New)
		line("    find / -xdev -gid %d -exec chgrp -h %d {} +     # if no other account has this group", m.GID, m.New)
		if m.Pin {
			line("  or keep the uid on every host, by [ids] in the configuration:")
			line("    pin = { %s = %d }", strconv.Quote(m.ID), m.UID)
		}
	}
	return b.String()
}
