// Package accounts is the policy: from what the directory says, what the
// configuration wants and what the host has already, it computes the Unix users and groups
// to serve. Its functions are pure: no file, no network, no clock.
package accounts

import "time"

// Tables is what a host serves: the contents of the passwd and group
// databases, and each user's supplementary groups.
type Tables struct {
	Range  Range   // every served uid, and every gid in Groups, lies in it
	Users  []User  // ascending by UID; names and UIDs are unique
	Groups []Group // ascending by GID; names and GIDs are unique; private groups included
}

// A Range is an inclusive range of uids and gids.
type Range struct{ Low, High uint32 }

// Contains reports whether id lies in r.
func (r Range) Contains(id uint32) bool { return r.Low <= id && id <= r.High }

// A User is a passwd(5) entry with its supplementary groups. Its primary
// group has the user's uid as its gid, and the user's name.
type User struct {
	ID      string // the UserId
	Name    string // the Unix login name
	UID     uint32 // also the gid of the private group
	Gecos   string
	Home    string
	Shell   string
	Former  bool      // the uid keeps its name, and no login is possible
	Pending bool      // no rights: pending removal, or denied. Not part of passwd(5)
	Expires time.Time // when the account ends, by its tag; zero: never. Not part of passwd(5)
	Groups  []uint32  // supplementary gids, ascending, without the private one; may hold local gids
}

// A Group is a group(5) entry.
type Group struct {
	ID      string // the GroupId; "" for private groups, iam-users and iam-sudo
	Name    string
	GID     uint32
	Members []string // login names, ascending; empty for private groups
}
