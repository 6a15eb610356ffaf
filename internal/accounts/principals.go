package accounts

import (
	"fmt"
	"path"
	"strconv"
	"time"
)

// A principal is what claims one uid or gid: a user for account and private
// group, a directory group, or a fixed group.
type principal struct {
	kind          kind
	id            string
	directoryName string
	created       time.Time

	unixID  uint32  // what it claims, by its pin or its hash
	pinned  bool    // the id is a pin
	badPin  verdict // why its pin is refused; it then claims nothing
	name    string  // the Unix name; "" for a name that no directory gives
	badName verdict // why the name cannot be served
	invalid string  // why the directory name is none; "" for most

	disabled bool // users: the directory suspends them

	idOwner   *principal // who has the id: itself, or a senior
	nameOwner *principal
	rival     *principal // users: another who maps to the same login name

	login    string    // the login group it is in, or "every user"; "" for none
	memberOf []int32   // users: the indices of relevant groups, ascending
	wanted   bool      // groups: served if no rule refuses it
	sudo     bool      // groups: its members are in iam-sudo
	local    string    // groups: the local group its members get; "" for none
	served   bool      // is in the tables, live
	expires  time.Time // users: the end by the tag; zero for none
	badTag   string
}

type kind uint8

const (
	fixedGroup kind = iota
	iamGroup
	iamUser
)

func (k kind) String() string {
	if k == iamUser {
		return "user"
	}
	return "group"
}

// senior orders principals that want the same thing. It depends on nothing
// that changes in a principal's life, so that every host agrees.
func senior(a, b *principal) bool {
	if (a.kind == fixedGroup) != (b.kind == fixedGroup) {
		return a.kind == fixedGroup
	}
	if !a.created.Equal(b.created) {
		return a.created.Before(b.created)
	}
	return a.id < b.id
}

// seniorClaim orders claims to one id. A pin never takes what another has
// by hash: a mistyped pin harms only the pinned.
func seniorClaim(a, b *principal) bool {
	if a.pinned != b.pinned {
		return b.pinned
	}
	return senior(a, b)
}

// gather makes the principals of the directory, who owns which id and
// name, and who is in which relevant group.
func (p *plan) gather() {
	d := p.in.Directory
	invalid := make(map[string]string, len(p.refused))
	for _, r := range p.refused {
		invalid[r.ID] = r.Reason
	}
	p.fixed = []principal{
		{kind: fixedGroup, id: UsersGroup, directoryName: UsersGroup, name: UsersGroup, wanted: true},
		{kind: fixedGroup, id: SudoGroup, directoryName: SudoGroup, name: SudoGroup, wanted: true},
	}
	p.groups = make([]principal, len(d.Groups))
	for id := range p.unclear {
		invalid[id] = "has a name that another group has as well, but for letter case"
	}
	for i := range d.Groups {
		g := &d.Groups[i]
		p.groups[i] = principal{kind: iamGroup, id: g.ID, directoryName: g.Name, created: g.Created, invalid: invalid[g.ID]}
	}
	p.users = make([]principal, len(d.Users))
	for i := range d.Users {
		u := &d.Users[i]
		p.users[i] = principal{kind: iamUser, id: u.ID, directoryName: u.Name, created: u.Created, invalid: invalid[u.ID],
			disabled: u.Disabled}
		if p.in.Policy.ExpiresTag != "" {
			p.users[i].expires, p.users[i].badTag = expiry(u.Tags, p.in.Policy.ExpiresTag)
		}
	}
	p.others = make([]principal, len(d.Others))
	for i, c := range d.Others {
		p.others[i] = principal{kind: iamUser, id: c.ID, directoryName: c.Name, created: c.Created}
		if c.Group {
			p.others[i].kind = iamGroup
		}
	}
	p.claimIDs()
	p.relevantGroups()
	p.claimNames()
}

func (p *plan) every(each func(*principal)) {
	for i := range p.fixed {
		each(&p.fixed[i])
	}
	for i := range p.groups {
		each(&p.groups[i])
	}
	for i := range p.users {
		each(&p.users[i])
	}
}

// claimIDs decides who owns which id, among everybody in the answer: an id does
// not depend on which groups a host serves.
func (p *plan) claimIDs() {
	pinnedBy := make(map[uint32]int, len(p.in.Policy.Pins))
	for _, n := range p.in.Policy.Pins {
		pinnedBy[n]++
	}
	p.byUnixID = make(map[uint32]*principal, len(p.users)+len(p.groups)+len(p.others)+2)
	claim := func(c *principal) {
		p.claimID(c, pinnedBy)
		if c.badPin.reason != "" {
			return
		}
		if holder := p.byUnixID[c.unixID]; holder == nil || seniorClaim(c, holder) {
			p.byUnixID[c.unixID] = c
		}
	}
	p.every(claim)
	for i := range p.others {
		claim(&p.others[i])
	}
	p.every(func(c *principal) {
		if c.badPin.reason == "" {
			c.idOwner = p.byUnixID[c.unixID]
		}
	})
}

// claimID gives a principal the id that it claims. pinnedBy counts the pins of
// each id.
func (p *plan) claimID(c *principal, pinnedBy map[uint32]int) {
	if n, pinned := p.in.Policy.Pins[c.id]; pinned {
		c.unixID, c.pinned = n, true
		switch {
		case !p.in.Policy.Range.Contains(n):
			c.badPin = reject(PinRefused, "its pin "+strconv.FormatUint(uint64(n), 10)+" is outside ids.range",
				"pin an id of the range")
		case pinnedBy[n] > 1:
			c.badPin = reject(PinRefused, "the id "+strconv.FormatUint(uint64(n), 10)+" is pinned to another as well",
				"give each an id of its own")
		}
		return
	}
	switch c.kind {
	case fixedGroup:
		c.unixID = FixedGID(c.id, p.in.Policy.Range)
	case iamGroup:
		c.unixID = GroupGID(c.id, p.in.Policy.Range)
	case iamUser:
		c.unixID = UserUID(c.id, p.in.Policy.Range)
	}
}

// relevantGroups finds out which groups are served and who is in them.
func (p *plan) relevantGroups() {
	const usualGroups = 10 // IAM's quota for one user
	pol := &p.in.Policy
	var index map[string]int32
	for i := range p.groups {
		g := &p.groups[i]
		if _, recreated := p.recreated[g.id]; recreated || g.invalid != "" {
			continue
		}
		key := fold(g.directoryName)
		g.sudo, g.local = p.sudoGroups[key], p.mapped[key]
		g.wanted = p.loginGroups[key] || g.sudo
		for _, pattern := range pol.Publish {
			if !g.wanted {
				g.wanted, _ = path.Match(pattern, g.directoryName)
			}
		}
		if !g.wanted && g.local == "" {
			continue
		}
		if index == nil {
			index = make(map[string]int32, len(p.users))
			for i := range p.users {
				index[p.users[i].id] = int32(i)
			}
		}
		for _, id := range p.in.Directory.Groups[i].Members {
			u := &p.users[index[id]]
			if u.memberOf == nil {
				u.memberOf = make([]int32, 0, usualGroups)
			}
			u.memberOf = append(u.memberOf, int32(i))
			if u.login == "" && p.loginGroups[key] {
				u.login = g.directoryName
			}
		}
	}
	if pol.AllUsers {
		for i := range p.users {
			if p.users[i].login == "" {
				p.users[i].login = "every user"
			}
		}
	}
}

// claimNames decides names among all users, whether or not they may log in: a
// change of groups must not hand a name from one person to another. A login
// name that two people map to is nobody's: neither is let in by what was meant
// for the other. A name of a served group is never a user's, because sudoers
// rules name groups, and sudo makes no difference between capitals and small letters
// there (case_insensitive_group of sudoers(5), which is on by default). Nor is the
// name of a group of the configuration that is missing: rules outlive it.
func (p *plan) claimNames() {
	p.groupNames = make(map[string]*principal, len(p.fixed)+len(p.groups))
	for i := range p.fixed {
		p.groupNames[fold(p.fixed[i].name)] = &p.fixed[i]
		p.fixed[i].nameOwner = &p.fixed[i]
	}
	for i := range p.groups {
		if g := &p.groups[i]; g.wanted {
			name, bad, ok := p.in.Policy.groupName(g.directoryName)
			g.name, g.badName = name, bad
			if holder := p.groupNames[fold(name)]; ok && (holder == nil || senior(g, holder)) {
				p.groupNames[fold(name)] = g
			}
		}
	}
	configured := p.in.Policy.configuredGroups()
	p.userNames = make(map[string]*principal, len(p.users))
	for i := range p.users {
		if u := &p.users[i]; u.invalid == "" {
			name, bad, ok := p.in.Policy.userName(u.directoryName)
			u.name, u.badName = name, bad
			switch folded := fold(name); {
			case !ok:
			case configured[folded] && p.groupNames[folded] == nil:
				u.badName = reject(NameReserved, fmt.Sprintf("the Unix name %q is reserved: the configuration names a group "+
					"so, and a private group of that name would pass for it", name), "rename the user in the directory; the id stays")
			default:
				p.claimLogin(folded, u)
			}
		}
	}
	for i := range p.groups {
		if g := &p.groups[i]; g.wanted && g.badName.reason == "" {
			g.nameOwner = p.groupNames[fold(g.name)]
		}
	}
	for i := range p.users {
		if u := &p.users[i]; u.invalid == "" && u.badName.reason == "" {
			u.nameOwner = u
			if u.rival != nil {
				u.nameOwner = u.rival
			}
			if g := p.groupNames[fold(u.name)]; g != nil {
				u.nameOwner = g
			}
		}
	}
}

func (p *plan) claimLogin(key string, u *principal) {
	other := p.userNames[key]
	if other == nil {
		p.userNames[key] = u
		return
	}
	u.rival = other
	if other.rival == nil {
		other.rival = u
	}
}
