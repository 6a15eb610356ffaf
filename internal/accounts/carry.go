package accounts

import "strings"

// This file decides where a pin hands an id over at once. When a host's
// directory is another one, its answer cannot name anybody of the one before: to
// wait for a confirmation of their removal would confirm nothing. A pin of such a
// uid or gid is a person's word that another id goes on as the same principal, so
// that no id, name or home changes hands by the move.

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

// carriedBy returns who takes a user's entry over, or nil. It is somebody who
// may log in: else the removal goes its usual way.
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

// carriesGroup reports whether a pin gives a group the gid of the group that
// was known by its name in another kind of directory.
func (p *plan) carriesGroup(id string, was KnownGroup) bool {
	n, pinned := p.in.Policy.Pins[id]
	return pinned && otherForm(id, was.ID) && n == p.numberBefore(was.ID)
}

// numberBefore is the gid of a group of an earlier answer.
func (p *plan) numberBefore(id string) uint32 {
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
