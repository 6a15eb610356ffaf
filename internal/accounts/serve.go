package accounts

import (
	"fmt"
	"maps"
	"slices"
	"sort"
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
			found = memoryRule.check(p, g, false)
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
		rows = append(rows, row{User: p.account(u.id, u.iamName, u.name, u.number), groups: u.memberOf, sudo: p.inSudo(u.memberOf), live: true})
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

// servedGroups are the fixed and IAM groups, without members yet, in the order
// fixed, then as in the directory.
func (p *plan) servedGroups() []Group {
	groups := make([]Group, 0, len(p.users)+len(p.groups)+len(p.fixed))
	for i := range p.fixed {
		if g := &p.fixed[i]; g.served {
			groups = append(groups, Group{Name: g.name, GID: g.number})
		}
	}
	for i := range p.groups {
		if g := &p.groups[i]; g.served {
			groups = append(groups, Group{ID: g.id, Name: g.name, GID: g.number})
		}
	}
	return groups
}

// formerGroups are groups that were served once: the number keeps its name,
// and nobody is a member.
func (p *plan) formerGroups(rows []row, served []Group) []Group {
	var former []Group
	var names map[string]bool
	for _, n := range slices.Sorted(maps.Keys(p.records)) {
		r := p.records[n]
		if !r.Group || !r.Former() || p.forgotten(r) || p.host.numbered(n) != "" {
			continue
		}
		if names == nil {
			names = make(map[string]bool, len(rows)+len(served))
			for i := range rows {
				names[rows[i].Name] = true
			}
			for i := range served {
				names[served[i].Name] = true
			}
		}
		if name := p.pastName(r, names); name != "" {
			names[name] = true
			former = append(former, Group{ID: r.ID, Name: name, GID: n})
		}
	}
	return former
}

// localGroups finds the local gids that members of IAM groups get, by the
// index of the IAM group.
func (p *plan) localGroups(result *Result) map[int32]uint32 {
	if len(p.mapped) == 0 {
		return nil
	}
	allowed := make(map[string]bool, len(p.in.Policy.AllowPrivileged))
	for _, name := range p.in.Policy.AllowPrivileged {
		allowed[name] = true
	}
	found := map[int32]uint32{}
	for i := range p.groups {
		g := &p.groups[i]
		name := g.local
		if name == "" {
			continue
		}
		refuse := func(detail, remedy string) {
			result.Findings = append(result.Findings, Finding{Kind: "map_groups", ID: g.id, Name: g.iamName, Reason: LocalGroup, Detail: detail, Remedy: remedy})
		}
		local, exists := p.host.groups[name]
		if !exists {
			refuse(fmt.Sprintf("the host has no local group %q", name), "create it with groupadd, or correct accounts.map_groups")
			continue
		}
		if privileged := p.host.privileged(local.GID); privileged != "" && !allowed[name] {
			refuse(fmt.Sprintf("the local group %q (gid %d) is as good as root (%s)", name, local.GID, quoted(privileged)), fmt.Sprintf("if that is meant, name %q in accounts.allow_privileged_groups", name))
			continue
		}
		if local.GID == 0 {
			refuse(fmt.Sprintf("the local group %q has the gid 0, which is never given", name), "correct accounts.map_groups")
			continue
		}
		found[int32(i)] = local.GID
	}
	return found
}

// join puts rows into groups and groups into rows. Rows are left in the order
// of their names.
func (p *plan) join(tables *Tables, rows []row, locals map[int32]uint32, result *Result) {
	place := make(map[uint32]int, len(tables.Groups))
	for i := range tables.Groups {
		place[tables.Groups[i].GID] = i
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.Name, b.Name) })
	for i := range rows {
		r := &rows[i]
		if !r.live {
			continue
		}
		var fixed, local, iam []uint32
		if p.fixed[0].served {
			fixed = append(fixed, p.fixed[0].number)
		}
		if r.sudo && p.fixed[1].served {
			fixed = append(fixed, p.fixed[1].number)
		}
		for _, g := range r.groups {
			if gid, mapped := locals[g]; mapped && !slices.Contains(local, gid) {
				local = append(local, gid)
			}
			if p.groups[g].served {
				iam = append(iam, p.groups[g].number)
			}
		}
		iam = p.limit(r, fixed, &local, iam, result)
		all := make([]uint32, 0, len(fixed)+len(local)+len(iam))
		all = append(append(append(all, fixed...), local...), iam...)
		slices.Sort(all)
		r.Groups = slices.Compact(all)
		for _, gid := range fixed {
			g := &tables.Groups[place[gid]]
			g.Members = append(g.Members, r.Name)
		}
		for _, gid := range iam {
			g := &tables.Groups[place[gid]]
			g.Members = append(g.Members, r.Name)
		}
	}
}

// limit keeps a user within max_groups, the private group counted in: fixed
// groups first, then local ones, then IAM groups from the oldest.
func (p *plan) limit(r *row, fixed []uint32, local *[]uint32, iam []uint32, result *Result) []uint32 {
	most := p.in.Policy.MaxGroups
	if most == 0 || 1+len(fixed)+len(*local)+len(iam) <= most {
		return iam
	}
	var left []string
	room := max(most-1-len(fixed), 0)
	if len(*local) > room {
		slices.Sort(*local)
		for _, gid := range (*local)[room:] {
			left = append(left, fmt.Sprintf("the local gid %d", gid))
		}
		*local = (*local)[:room]
	}
	room -= len(*local)
	byNumber := make(map[uint32]*principal, len(iam))
	for _, g := range r.groups {
		byNumber[p.groups[g].number] = &p.groups[g]
	}
	sort.Slice(iam, func(i, j int) bool { return senior(byNumber[iam[i]], byNumber[iam[j]]) })
	if len(iam) > room {
		for _, gid := range iam[room:] {
			left = append(left, byNumber[gid].name)
		}
		iam = iam[:room]
	}
	if len(left) > 0 {
		result.Findings = append(result.Findings, Finding{Kind: "user", ID: r.ID, Name: r.Name, Number: r.UID, Reason: GroupsLeft,
			Detail: fmt.Sprintf("is left out of %s to stay within max_groups = %d", strings.Join(left, ", "), most),
			Remedy: "take the user out of groups in IAM, publish fewer, or raise accounts.max_groups"})
	}
	return iam
}

// shared finds who may enter local accounts.
func (p *plan) shared(result *Result) map[string][]string {
	var all map[string][]string
	for _, account := range slices.Sorted(maps.Keys(p.in.Policy.Shared)) {
		local, exists := p.host.users[account]
		refuse := func(detail, remedy string) {
			result.Findings = append(result.Findings, Finding{Kind: "shared", ID: account, Name: account, Reason: LocalAccount, Detail: detail, Remedy: remedy})
		}
		switch {
		case !exists:
			refuse("the host has no local account of that name", "create it, or remove it from [shared]")
			continue
		case local.UID == 0 && (account != "root" || !p.in.Policy.AllowRoot):
			refuse("the account has the uid 0", "remove it from [shared]; if root is meant, name root and set allow_root = true")
			continue
		}
		var ids []string
		for _, name := range p.in.Policy.Shared[account] {
			for i := range p.groups {
				if fold(p.groups[i].iamName) != fold(name) {
					continue
				}
				for _, id := range p.in.Directory.Groups[i].Members {
					if u := p.user(id); u.foreign == "" && checkExpiry(p, u, false).reason == "" {
						ids = append(ids, id)
					}
				}
			}
		}
		slices.Sort(ids)
		if all == nil {
			all = map[string][]string{}
		}
		all[account] = slices.Compact(ids)
	}
	return all
}

// findings reports who would be served but for something that can be mended.
func (p *plan) findings(groupVerdicts []outcome) []Finding {
	var all []Finding
	pins := map[string]bool{}
	add := func(c *principal, found outcome) {
		if found.reason == "" || found.reason == NoLogin {
			return
		}
		pins[c.id] = found.reason == PinRefused
		all = append(all, Finding{Kind: c.kind.String(), ID: c.id, Name: c.iamName, Number: c.number, Reason: found.reason, Detail: found.detail, Remedy: found.remedy})
	}
	for i := range p.users {
		add(&p.users[i], p.verdicts[i])
	}
	for i := range p.fixed {
		add(&p.fixed[i], groupVerdicts[i])
	}
	for i := range p.groups {
		add(&p.groups[i], groupVerdicts[len(p.fixed)+i])
	}
	if len(p.in.Policy.Pins) == 0 {
		return all
	}
	holders := map[uint32]string{}
	for _, id := range slices.Sorted(maps.Keys(p.in.Policy.Pins)) {
		n := p.in.Policy.Pins[id]
		other, double := holders[n]
		holders[n] = id
		switch {
		case pins[id]:
		case !p.in.Policy.Range.Contains(n):
			all = append(all, Finding{Kind: "pin", ID: id, Number: n, Reason: PinRefused, Detail: fmt.Sprintf("the number %d is outside ids.range", n), Remedy: "pin a number of the range"})
		case double:
			all = append(all, Finding{Kind: "pin", ID: id, Number: n, Reason: PinRefused, Detail: fmt.Sprintf("the number %d is pinned to %s as well", n, quoted(other)), Remedy: "give each a number of its own"})
		}
	}
	return all
}
