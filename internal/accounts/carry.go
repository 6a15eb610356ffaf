package accounts

import "strings"

// This file decides where a pin hands a uid or gid over at once. It is for a
// host that moves from one kind of directory to another. The new directory never
// names the principals of the old one, so its answers cannot confirm that they
// are gone. A pin says in their place that the new id is the same principal, who
// keeps uid, name and home.

// otherForm reports whether two ids are of two kinds of directory: those of an
// Identity Store are UUIDs, and IAM's have no hyphen.
func otherForm(a, b string) bool { return strings.Contains(a, "-") != strings.Contains(b, "-") }

// carries reports whether c takes an entry over: the id is pinned to c, c
// owns it, and the entry is of another kind of directory.
func (p *plan) carries(c *principal, e *Entry) bool {
	if c.kind == fixedGroup || e.ID == UsersGroup || e.ID == SudoGroup {
		return false
	}
	return c.pinned && c.badPin.reason == "" && c.idOwner == c && c.unixID == e.UnixID &&
		otherForm(c.id, e.ID) && !e.Former() && e.Group == (c.kind != iamUser)
}

// carriedBy returns the user who takes an entry over, or nil. Only a user who
// may log in does; otherwise the holder of the entry is removed as usual.
func (p *plan) carriedBy(e *Entry) *principal {
	c := p.byUnixID[e.UnixID]
	if c == nil || c.kind != iamUser || !p.carries(c, e) {
		return nil
	}
	if i, found := p.userIndex(c.id); !found || p.verdicts[i].reason != "" {
		return nil
	}
	return c
}

// carriesGroup reports whether a pin gives a group the gid of was, the group
// that another kind of directory had under the same name.
func (p *plan) carriesGroup(id string, was KnownGroup) bool {
	n, pinned := p.in.Policy.Pins[id]
	return pinned && otherForm(id, was.ID) && n == p.gidBefore(was.ID)
}

// gidBefore is the gid of a group of an earlier answer.
func (p *plan) gidBefore(id string) uint32 {
	for _, e := range p.in.History.Entries {
		if e.Group && e.ID == id {
			return e.UnixID
		}
	}
	if n, pinned := p.in.Policy.Pins[id]; pinned {
		return n
	}
	return GroupGID(id, p.in.Policy.Range)
}
