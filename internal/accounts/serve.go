package accounts

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// formerHome is the home of former users: without one sshd finds no
// authorized_keys, so that neither sftp nor forwarding is left to them.
const formerHome = "/nonexistent"

// A row is a user on the way into the tables.
type row struct {
	User
	groups []int32 // indices of relevant groups
	sudo   bool
	live   bool // active or pending removal: in iam-users
}

// serve turns a finished plan into tables, history and report.
func (p *plan) serve() Result {
	result := Result{Tables: Tables{Range: p.in.Policy.Range}, HeldBack: p.heldBack, EmptyAnswers: p.emptyAnswers}
	groupVerdicts := p.judgeGroups()
	rows := p.liveRows(&result)
	p.recordLive(groupVerdicts)
	rows = p.formerRows(rows)

	tables := &result.Tables
	locals := p.localGroups(&result)
	tables.Groups = p.servedGroups()
	p.join(tables, rows, locals, &result)
	tables.Users = make([]User, len(rows))
	for i := range rows {
		tables.Users[i] = rows[i].User
		tables.Groups = append(tables.Groups, Group{Name: rows[i].Name, GID: rows[i].UID})
	}
	slices.SortFunc(tables.Users, func(a, b User) int { return int(int64(a.UID) - int64(b.UID)) })
	tables.Groups = append(tables.Groups, p.formerGroups(rows, tables.Groups)...)
	slices.SortFunc(tables.Groups, func(a, b Group) int { return int(int64(a.GID) - int64(b.GID)) })

	p.localUses(&result)
	result.Shared = p.shared(&result)
	result.History = p.history()
	for _, e := range p.newFormer {
		result.NewFormer = append(result.NewFormer, User{ID: e.ID, Name: e.UnixName, UID: e.UnixID})
	}
	slices.SortFunc(result.NewFormer, func(a, b User) int { return int(int64(a.UID) - int64(b.UID)) })
	result.Findings = append(append(p.findings(groupVerdicts), p.homeFindings...), result.Findings...)
	return result
}

// history is what the next Build is given.
func (p *plan) history() History {
	h := History{Groups: p.believed}
	if len(p.entries) > 0 {
		h.Entries = make([]Entry, 0, len(p.entries))
	}
	for _, n := range slices.Sorted(maps.Keys(p.entries)) {
		if e := p.entries[n]; !p.expired(e) {
			h.Entries = append(h.Entries, *e)
		}
	}
	return h
}

// judgeGroups decides which groups are served; fixed ones come first.
func (p *plan) judgeGroups() []verdict {
	verdicts := make([]verdict, 0, len(p.fixed)+len(p.groups))
	judge := func(g *principal) {
		found := p.judge(groupRules, g)
		if found.reason == "" {
			found = historyRule.check(p, g)
		}
		g.served = found.reason == ""
		verdicts = append(verdicts, found)
	}
	for i := range p.fixed {
		judge(&p.fixed[i])
	}
	for i := range p.groups {
		judge(&p.groups[i])
	}
	return verdicts
}

// liveRows makes the rows of active users and of those pending removal.
func (p *plan) liveRows(result *Result) []row {
	rows := make([]row, 0, len(p.users)+len(p.pending))
	for i := range p.users {
		u := &p.users[i]
		name, uid := u.name, u.unixID
		if p.verdicts[i].reason != "" {
			e := p.waiting[u.id]
			if e == nil || !p.free(e) {
				continue
			}
			name, uid = e.UnixName, e.UnixID
		} else {
			u.served = true
		}
		r := row{User: p.account(u.id, u.directoryName, name, uid), groups: u.memberOf, sudo: p.inSudo(u.memberOf),
			live: true}
		p.settleHome(&r.User, result)
		r.Expires = u.expires
		if p.denied[u.id] {
			r.withoutRights()
			result.Pending = append(result.Pending, Pending{ID: u.id, LoginName: name, UID: uid, Denied: true})
		} else {
			result.Admitted = append(result.Admitted, u.id)
		}
		rows = append(rows, r)
	}
	taken := make(map[string]bool, len(rows))
	if len(p.pending) > 0 {
		for i := range rows {
			taken[rows[i].Name] = true
		}
	}
	for _, e := range p.pending {
		result.Pending = append(result.Pending, Pending{ID: e.ID, LoginName: e.UnixName, UID: e.UnixID, Missed: e.Missed,
			Denied: p.denied[e.ID]})
		if !p.free(e) || taken[e.UnixName] {
			continue // formerRows may show it under another name
		}
		taken[e.UnixName] = true
		r := row{User: p.account(e.ID, e.DirectoryName, e.UnixName, e.UnixID), live: true}
		p.settleHome(&r.User, result)
		r.withoutRights()
		rows = append(rows, r)
	}
	slices.SortFunc(result.Pending, func(a, b Pending) int { return int(int64(a.UID) - int64(b.UID)) })
	return rows
}

// withoutRights leaves a row its identity: no group but the private one and iam-users.
func (r *row) withoutRights() { r.groups, r.sudo, r.Pending = nil, false, true }

// free reports whether the host's own files use neither an entry's name nor its id.
func (p *plan) free(e *Entry) bool {
	return p.host.ownerOfID(e.UnixID) == "" && p.host.ownerOfName(e.UnixName) == ""
}

// account is the passwd entry of a user who is not former.
func (p *plan) account(id, directoryName, name string, uid uint32) User {
	return User{ID: id, Name: name, UID: uid, Gecos: gecos(directoryName), Home: home(p.in.Policy.Home, name, uid),
		Shell: p.in.Policy.Shell}
}

// gecos is the directory name as a field of passwd(5). A comma would begin the
// next part of the field.
func gecos(directoryName string) string {
	if !strings.ContainsAny(directoryName, ",:\n\x00") {
		return directoryName
	}
	return strings.Map(func(c rune) rune {
		if c == ',' || c == ':' || c < ' ' {
			return ' '
		}
		return c
	}, directoryName)
}

func home(template, name string, uid uint32) string {
	if template == "/home/%u" {
		return "/home/" + name
	}
	return strings.NewReplacer("%%", "%", "%u", name, "%U", strconv.FormatUint(uint64(uid), 10)).Replace(template)
}

func (p *plan) inSudo(groups []int32) bool {
	for _, g := range groups {
		if p.groups[g].sudo {
			return true
		}
	}
	return false
}

// recordLive puts everybody who is served now into the history, and makes
// groups former that are no longer served.
func (p *plan) recordLive(groupVerdicts []verdict) {
	keep := map[string]bool{} // groups whose entry stays active although they are not served here
	note := func(c *principal) {
		p.entries[c.unixID] = &Entry{Group: c.kind != iamUser, ID: c.id, DirectoryName: c.directoryName, UnixName: c.name,
			UnixID: c.unixID}
	}
	group := func(g *principal, found verdict) {
		if g.served {
			note(g)
		}
		if g.served || found.reason == HostName || found.reason == HostID {
			keep[g.id] = true
		}
	}
	ids := map[string]uint32{}
	for i := range p.fixed {
		group(&p.fixed[i], groupVerdicts[i])
		ids[p.fixed[i].id] = p.fixed[i].unixID
	}
	for i := range p.groups {
		group(&p.groups[i], groupVerdicts[len(p.fixed)+i])
		ids[p.groups[i].id] = p.groups[i].unixID
	}
	for i := range p.users {
		if p.users[i].served {
			note(&p.users[i])
		}
	}
	for _, n := range p.order {
		if e := p.entries[n]; e.Group && !e.Former() && (!keep[e.ID] || ids[e.ID] != n) {
			e.FormerSince = p.in.Now
		}
	}
}

// formerRows adds the rows of former users, and of users pending removal whose
// name is the host's or another user's. A uid that the host has gets no row.
func (p *plan) formerRows(rows []row) []row {
	names := make(map[string]bool, len(rows)+len(p.groups))
	uids := make(map[uint32]bool, len(rows))
	for i := range rows {
		names[rows[i].Name], uids[rows[i].UID] = true, true
	}
	p.every(func(c *principal) {
		if c.kind != iamUser && c.served {
			names[c.name] = true
		}
	})
	for _, n := range slices.Sorted(maps.Keys(p.entries)) {
		e := p.entries[n]
		if e.Group || uids[n] || p.host.ownerOfID(n) != "" || p.expired(e) || !e.Former() && !p.isPending(e) {
			continue
		}
		name := p.shownName(e, names)
		if name == "" {
			continue
		}
		names[name] = true
		u := p.account(e.ID, e.DirectoryName, name, n)
		u.Home, u.Shell, u.Former = formerHome, p.in.Policy.NoLogin, true
		rows = append(rows, row{User: u})
	}
	return rows
}

func (p *plan) isPending(e *Entry) bool {
	return slices.Contains(p.pending, e)
}

// shownName is the name under which a former id is shown, or "".
func (p *plan) shownName(e *Entry, taken map[string]bool) string {
	for _, name := range []string{e.UnixName, formerName(e.UnixID)} {
		if !taken[name] && p.host.ownerOfName(name) == "" {
			return name
		}
	}
	return ""
}
