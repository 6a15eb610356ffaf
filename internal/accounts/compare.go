package accounts

import (
	"maps"
	"slices"
)

// Changes says what it means for people that a host's tables become others.
// Users are ascending by uid, groups by gid, memberships by group and user.
type Changes struct {
	Added        []User // who may be looked up as new users
	Returned     []User // former users who are users again
	BecameFormer []User // users who became former, as they were before
	Expired      []User // users whose uid no longer resolves, as they were before
	Renamed      []Renamed
	Changed      []User // users with another home, shell or gecos, as they are after

	GroupsAdded    []Group
	GroupsRemoved  []Group
	GroupsRenamed  []Renamed
	MembersAdded   []Membership // of new users too
	MembersRemoved []Membership
}

// Renamed is one uid under two names.
type Renamed struct {
	UnixID   uint32
	Old, New string
}

// A Membership is one login name in one group, both as they are named after.
type Membership struct{ Group, User string }

// Empty reports whether nothing changes.
func (c Changes) Empty() bool {
	return len(c.Added)+len(c.Returned)+len(c.BecameFormer)+len(c.Expired)+len(c.Renamed)+len(c.Changed)+
		len(c.GroupsAdded)+len(c.GroupsRemoved)+len(c.GroupsRenamed)+len(c.MembersAdded)+len(c.MembersRemoved) == 0
}

// Compare tells how the tables before became those after. Private groups are left
// out. A uid that went from one principal to another is both expired and added.
func Compare(before, after Tables) Changes {
	var c Changes
	was := make(map[uint32]*User, len(before.Users))
	for i := range before.Users {
		was[before.Users[i].UID] = &before.Users[i]
	}
	is := make(map[uint32]*User, len(after.Users))
	for i := range after.Users {
		u := &after.Users[i]
		is[u.UID] = u
		switch old := was[u.UID]; {
		case old == nil || !old.is(*u):
			if !u.Former {
				c.Added = append(c.Added, *u)
			}
		case !old.Former && u.Former:
			c.BecameFormer = append(c.BecameFormer, *old)
		case old.Former && !u.Former:
			c.Returned = append(c.Returned, *u)
		case old.Name != u.Name:
			c.Renamed = append(c.Renamed, Renamed{u.UID, old.Name, u.Name})
		case old.Gecos != u.Gecos || old.Home != u.Home || old.Shell != u.Shell:
			c.Changed = append(c.Changed, *u)
		}
	}
	for i := range before.Users {
		old := &before.Users[i]
		if u := is[old.UID]; u == nil || !old.is(*u) {
			c.Expired = append(c.Expired, *old)
		}
	}
	c.compareGroups(before, after, was, is)
	return c
}

// is reports whether a uid is the same user's as before. Where the history was lost nobody
// knows whose it was, and the name tells.
func (u User) is(now User) bool { return u.ID == now.ID || u.ID == "" && u.Name == now.Name }

func (c *Changes) compareGroups(before, after Tables, wasUser, isUser map[uint32]*User) {
	was := map[uint32]*Group{}
	for i := range before.Groups {
		if g := &before.Groups[i]; wasUser[g.GID] == nil {
			was[g.GID] = g
		}
	}
	// Members are known by name; a renamed user has not changed groups.
	newName := map[string]string{}
	for uid, old := range wasUser {
		if u := isUser[uid]; u != nil && old.is(*u) {
			newName[old.Name] = u.Name
		}
	}
	for i := range after.Groups {
		g := &after.Groups[i]
		if isUser[g.GID] != nil {
			continue
		}
		old := was[g.GID]
		delete(was, g.GID)
		members := map[string]bool{}
		switch {
		case old == nil:
			c.GroupsAdded = append(c.GroupsAdded, *g)
		case old.Name != g.Name:
			c.GroupsRenamed = append(c.GroupsRenamed, Renamed{g.GID, old.Name, g.Name})
		}
		if old != nil {
			for _, name := range old.Members {
				if now, still := newName[name]; still {
					name = now
				}
				members[name] = true
			}
		}
		for _, name := range g.Members {
			if !members[name] {
				c.MembersAdded = append(c.MembersAdded, Membership{g.Name, name})
			}
			delete(members, name)
		}
		for _, name := range slices.Sorted(maps.Keys(members)) {
			c.MembersRemoved = append(c.MembersRemoved, Membership{g.Name, name})
		}
	}
	for _, gid := range slices.Sorted(maps.Keys(was)) {
		c.GroupsRemoved = append(c.GroupsRemoved, *was[gid])
	}
}
