package accounts

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A row is a user on the way into the tables.
type row struct {
	User
	groups []int32 // indices of relevant groups
	sudo   bool
	live   bool // admitted, or leaving
}

// serve turns a finished plan into tables, memory and report.
func (p *plan) serve() Result {
	result := Result{Tables: Tables{Range: p.in.Policy.Range}}
	groupVerdicts := p.judgeGroups()
	rows := p.liveRows(&result)
	p.recordLive(groupVerdicts)
	rows = p.memories(rows)

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

	result.Shared = p.shared(&result)
	if len(p.records) > 0 {
		result.Past.Records = make([]Record, 0, len(p.records))
	}
	for _, n := range slices.Sorted(maps.Keys(p.records)) {
		if r := p.records[n]; !p.forgotten(r) {
			result.Past.Records = append(result.Past.Records, *r)
		}
	}
	for _, r := range p.gone {
		result.Gone = append(result.Gone, User{ID: r.ID, Name: r.Name, UID: r.Number})
	}
	slices.SortFunc(result.Gone, func(a, b User) int { return int(int64(a.UID) - int64(b.UID)) })
	result.Findings = append(p.findings(groupVerdicts), result.Findings...)
	return result
}

// judgeGroups decides which groups are served; fixed ones come first.
func (p *plan) judgeGroups() []outcome {
	verdicts := make([]outcome, 0, len(p.fixed)+len(p.groups))
	judge := func(g *principal) {
		found := p.judge(groupRules, g)
		if found.reason == "" {
			found = memoryRule.check(p, g)
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

// liveRows makes the rows of those admitted and those leaving.
func (p *plan) liveRows(result *Result) []row {
	rows := make([]row, 0, len(p.users)+len(p.leaving))
	for i := range p.users {
		u := &p.users[i]
		if p.verdicts[i].reason != "" {
			continue
		}
		u.served = true
		result.Admitted = append(result.Admitted, u.id)
		account := p.account(u.id, u.iamName, u.name, u.number)
		account.Expires = u.expires
		rows = append(rows, row{User: account, groups: u.memberOf, sudo: p.inSudo(u.memberOf), live: true})
	}
	if len(p.leaving) == 0 {
		return rows
	}
	indices := make(map[string]int32, len(p.groups))
	for i := range p.groups {
		if g := &p.groups[i]; g.wanted || g.local != "" {
			indices[g.id] = int32(i)
		}
	}
	taken := make(map[string]bool, len(rows))
	for i := range rows {
		taken[rows[i].Name] = true
	}
	for _, r := range p.leaving {
		if p.host.numbered(r.Number) != "" || p.host.named(r.Name) != "" || taken[r.Name] {
			continue // memories shows it as best it can
		}
		taken[r.Name] = true
		var groups []int32
		for _, id := range r.MemberOf {
			if i, found := indices[id]; found {
				groups = append(groups, i)
			}
		}
		rows = append(rows, row{User: p.account(r.ID, r.IAMName, r.Name, r.Number), groups: groups, sudo: p.inSudo(groups), live: true})
	}
	return rows
}

// account is the passwd entry of somebody who is not gone.
func (p *plan) account(id, iamName, name string, uid uint32) User {
	return User{ID: id, Name: name, UID: uid, Gecos: gecos(iamName), Home: home(p.in.Policy.Home, name, uid), Shell: p.in.Policy.Shell}
}

// gecos is the IAM name as a field of passwd(5) in which commas part rooms and
// telephone numbers.
func gecos(iamName string) string {
	if !strings.ContainsAny(iamName, ",:\n\x00") {
		return iamName
	}
	return strings.Map(func(c rune) rune {
		if c == ',' || c == ':' || c < ' ' {
			return ' '
		}
		return c
	}, iamName)
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

// recordLive remembers everybody who is served now, and notices groups that
// are served no more.
func (p *plan) recordLive(groupVerdicts []outcome) {
	keep := map[string]bool{} // groups whose record stands although they are not served here
	note := func(c *principal) {
		r := &Record{Group: c.kind != iamUser, ID: c.id, IAMName: c.iamName, Name: c.name, Number: c.number}
		if c.kind == iamUser && len(c.memberOf) > 0 {
			r.MemberOf = make([]string, len(c.memberOf))
			for i, g := range c.memberOf {
				r.MemberOf[i] = p.groups[g].id
			}
		}
		p.records[c.number] = r
	}
	group := func(g *principal, verdict outcome) {
		if g.served {
			note(g)
		}
		if g.served || verdict.reason == HostName || verdict.reason == HostNumber {
			keep[g.id] = true
		}
	}
	numbers := map[string]uint32{}
	for i := range p.fixed {
		group(&p.fixed[i], groupVerdicts[i])
		numbers[p.fixed[i].id] = p.fixed[i].number
	}
	for i := range p.groups {
		group(&p.groups[i], groupVerdicts[len(p.fixed)+i])
		numbers[p.groups[i].id] = p.groups[i].number
	}
	for i := range p.users {
		if p.users[i].served {
			note(&p.users[i])
		}
	}
	for _, n := range p.order {
		if r := p.records[n]; r.Group && !r.Former() && (!keep[r.ID] || numbers[r.ID] != n) {
			r.Left = p.in.Now
		}
	}
}

// memories adds the rows of former users, and of those leaving whose own row
// cannot be shown.
func (p *plan) memories(rows []row) []row {
	names := make(map[string]bool, len(rows)+len(p.groups))
	numbers := make(map[uint32]bool, len(rows))
	for i := range rows {
		names[rows[i].Name], numbers[rows[i].UID] = true, true
	}
	p.every(func(c *principal) {
		if c.kind != iamUser && c.served {
			names[c.name] = true
		}
	})
	for _, n := range slices.Sorted(maps.Keys(p.records)) {
		r := p.records[n]
		if r.Group || numbers[n] || p.host.numbered(n) != "" || p.forgotten(r) || !r.Former() && !p.isLeaving(r) {
			continue
		}
		name := p.pastName(r, names)
		if name == "" {
			continue
		}
		names[name] = true
		u := p.account(r.ID, r.IAMName, name, n)
		u.Shell, u.Former = p.in.Policy.NoLogin, true
		rows = append(rows, row{User: u})
	}
	return rows
}

func (p *plan) isLeaving(r *Record) bool {
	return slices.Contains(p.leaving, r)
}

// pastName is the name under which a number that was served is shown, or "".
func (p *plan) pastName(r *Record, taken map[string]bool) string {
	for _, name := range []string{r.Name, formerName(r.Number)} {
		if !taken[name] && p.host.named(name) == "" {
			return name
		}
	}
	return ""
}
