package accounts

import (
	"cmp"
	"fmt"
	"sort"
	"strings"
)

// A Host is what a host's own files hold. What they define always wins: names,
// uids, and the gids of /etc/group. The gid field of a passwd line defines
// nothing, it only refers to a group. Package hostfiles reads a Host.
type Host struct {
	Users  []HostUser  // /etc/passwd
	Groups []HostGroup // /etc/group
	SubIDs []HostRange // /etc/subuid and /etc/subgid

	// SysGIDMax is the greatest gid of system groups, from login.defs(5); 0: 999.
	SysGIDMax uint32
}

// A HostUser is a local account.
type HostUser struct {
	Name     string
	UID, GID uint32
}

// A HostGroup is a local group.
type HostGroup struct {
	Name    string
	GID     uint32
	Members []string
}

// A HostRange is a range of sub-ids, inclusive.
type HostRange struct {
	Range
	Owner string // a name or uid, as the file has it
	File  string // "subuid" or "subgid"
}

// hostIndex answers whether a name or id is the host's own.
type hostIndex struct {
	names  map[string]string // folded name → `account "alice"`
	ids    map[uint32]string // id → `the uid of the local account "alice"`
	ranges []HostRange       // ascending by Low, none ends after a later one does
	users  map[string]HostUser
	groups map[string]HostGroup
	byGID  map[uint32][]string
}

func newHostIndex(h Host) *hostIndex {
	x := &hostIndex{
		names:  make(map[string]string, len(h.Users)+len(h.Groups)),
		ids:    make(map[uint32]string, len(h.Users)+len(h.Groups)),
		users:  make(map[string]HostUser, len(h.Users)),
		groups: make(map[string]HostGroup, len(h.Groups)),
		byGID:  make(map[uint32][]string, len(h.Groups)),
	}
	for _, g := range h.Groups {
		x.names[fold(g.Name)] = "group " + quoted(g.Name)
		x.ids[g.GID] = "the gid of the local group " + quoted(g.Name)
		// The first line of a name is the one that getgrnam finds.
		if _, known := x.groups[g.Name]; !known {
			x.groups[g.Name] = g
		}
		x.byGID[g.GID] = append(x.byGID[g.GID], g.Name)
	}
	for _, u := range h.Users {
		x.names[fold(u.Name)] = "account " + quoted(u.Name)
		x.ids[u.UID] = "the uid of the local account " + quoted(u.Name)
		if _, known := x.users[u.Name]; !known {
			x.users[u.Name] = u
		}
	}
	ranges := append([]HostRange(nil), h.SubIDs...)
	sort.SliceStable(ranges, func(i, j int) bool { return ranges[i].Low < ranges[j].Low })
	for _, r := range ranges {
		if n := len(x.ranges); n > 0 && r.High <= x.ranges[n-1].High {
			continue
		}
		x.ranges = append(x.ranges, r)
	}
	return x
}

func (x *hostIndex) isAccount(name string) bool { _, found := x.users[name]; return found }
func (x *hostIndex) isGroup(name string) bool   { _, found := x.groups[name]; return found }

// copyOf returns "account NAME" or "group NAME" if the host's files hold an
// exact copy of a principal, and "" otherwise.
func (x *hostIndex) copyOf(c *principal) string {
	if u, found := x.users[c.name]; found && c.kind == iamUser && u.UID == c.unixID {
		return "account " + c.name
	}
	if g, found := x.groups[c.name]; found && g.GID == c.unixID {
		return "group " + c.name
	}
	return ""
}

// removeCommand is how a person removes a local account or group and keeps its files.
func (x *hostIndex) removeCommand(what string) string {
	if name, isGroup := strings.CutPrefix(what, "group "); isGroup {
		return fmt.Sprintf("remove the line with \"groupdel %s\"", name)
	}
	return fmt.Sprintf("remove the line with \"userdel %s\" (without -r)", strings.TrimPrefix(what, "account "))
}

// system reports whether a gid is a system group's.
func (h Host) system(gid uint32) bool { return gid <= cmp.Or(h.SysGIDMax, 999) }

// ownerOfName returns `account "NAME"` or `group "NAME"`, or "" if the host has neither.
func (x *hostIndex) ownerOfName(name string) string { return x.names[fold(name)] }

// ownerOfID says what the id is on the host, or returns "".
func (x *hostIndex) ownerOfID(n uint32) string {
	if what := x.ids[n]; what != "" {
		return what
	}
	i := sort.Search(len(x.ranges), func(i int) bool { return x.ranges[i].Low > n })
	if i > 0 && x.ranges[i-1].Contains(n) {
		return "a sub-id of " + quoted(x.ranges[i-1].Owner) + " in /etc/" + x.ranges[i-1].File
	}
	return ""
}

// privileged says which root-equivalent group a local gid belongs to, or "".
func (x *hostIndex) privileged(gid uint32) string {
	if gid == 0 {
		return "root"
	}
	for _, name := range x.byGID[gid] {
		for _, p := range privilegedNames {
			if fold(name) == p {
				return name
			}
		}
	}
	return ""
}
