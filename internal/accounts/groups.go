package accounts

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
)

// servedGroups are the fixed and directory groups, without members yet, in the order
// fixed, then as in the directory.
func (p *plan) servedGroups() []Group {
	groups := make([]Group, 0, len(p.users)+len(p.groups)+len(p.fixed))
	for i := range p.fixed {
		if g := &p.fixed[i]; g.served {
			groups = append(groups, Group{Name: g.name, GID: g.unixID})
		}
	}
	for i := range p.groups {
		if g := &p.groups[i]; g.served {
			groups = append(groups, Group{ID: g.id, Name: g.name, GID: g.unixID})
		}
	}
	return groups
}

// formerGroups are groups that were served once: the gid keeps its name,
// and nobody is a member.
func (p *plan) formerGroups(rows []row, served []Group) []Group {
	var former []Group
	var names map[string]bool
	for _, n := range slices.Sorted(maps.Keys(p.entries)) {
		r := p.entries[n]
		if !r.Group || !r.Former() || p.expired(r) || p.host.ownerOfID(n) != "" {
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
		if name := p.shownName(r, names); name != "" {
			names[name] = true
			former = append(former, Group{ID: r.ID, Name: name, GID: n})
		}
	}
	return former
}

// localGroups finds the local gids that members of directory groups get, by the
// index of the group.
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
			result.Findings = append(result.Findings, Finding{Kind: "map_groups", ID: g.id, DirectoryName: g.directoryName,
				Reason: LocalGroup, Detail: detail, Remedy: remedy})
		}
		local, exists := p.host.groups[name]
		if !exists {
			refuse(fmt.Sprintf("the host has no local group %q", name),
				"create it with groupadd, or correct accounts.map_groups")
			continue
		}
		if privileged := p.host.privileged(local.GID); privileged != "" && !allowed[name] {
			refuse(fmt.Sprintf("the local group %q (gid %d) is as good as root (%s)", name, local.GID, quoted(privileged)),
				fmt.Sprintf("if that is meant, name %q in accounts.allow_privileged_groups", name))
			continue
		}
		if p.in.Host.system(local.GID) && !allowed[name] {
			refuse(fmt.Sprintf("the local group %q (gid %d) is a system group", name, local.GID),
				fmt.Sprintf("if that is meant, name %q in accounts.allow_privileged_groups", name))
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
	p.makeRoom(tables, rows, place)
	var fixed, local, iam []uint32
	for i := range rows {
		r := &rows[i]
		if !r.live {
			continue
		}
		fixed, local, iam = fixed[:0], local[:0], iam[:0]
		if p.fixed[0].served {
			fixed = append(fixed, p.fixed[0].unixID)
		}
		if r.sudo && p.fixed[1].served {
			fixed = append(fixed, p.fixed[1].unixID)
		}
		for _, g := range r.groups {
			if gid, mapped := locals[g]; mapped && !slices.Contains(local, gid) {
				local = append(local, gid)
			}
			if p.groups[g].served {
				iam = append(iam, p.groups[g].unixID)
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

// makeRoom allocates for every group the most members that it can have.
func (p *plan) makeRoom(tables *Tables, rows []row, place map[uint32]int) {
	counts := make([]int, len(p.groups))
	live, sudo := 0, 0
	for i := range rows {
		if !rows[i].live {
			continue
		}
		live++
		if rows[i].sudo {
			sudo++
		}
		for _, g := range rows[i].groups {
			counts[g]++
		}
	}
	room := func(g *principal, n int) {
		if g.served && n > 0 {
			tables.Groups[place[g.unixID]].Members = make([]string, 0, n)
		}
	}
	room(&p.fixed[0], live)
	room(&p.fixed[1], sudo)
	for i := range p.groups {
		room(&p.groups[i], counts[i])
	}
}

// limit keeps a user within max_groups, which counts the private group too: fixed
// groups come first, then local ones, then directory groups from the oldest.
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
	byUnixID := make(map[uint32]*principal, len(iam))
	for _, g := range r.groups {
		byUnixID[p.groups[g].unixID] = &p.groups[g]
	}
	sort.Slice(iam, func(i, j int) bool { return senior(byUnixID[iam[i]], byUnixID[iam[j]]) })
	if len(iam) > room {
		for _, gid := range iam[room:] {
			left = append(left, byUnixID[gid].name)
		}
		iam = iam[:room]
	}
	if len(left) > 0 {
		result.Findings = append(result.Findings, Finding{Kind: "user", ID: r.ID, DirectoryName: r.Gecos, UnixID: r.UID,
			Reason: TooManyGroups,
			Detail: fmt.Sprintf("is left out of %s to stay within max_groups = %d", strings.Join(left, ", "), most),
			Remedy: "take the user out of groups in the directory, publish fewer, or raise accounts.max_groups"})
	}
	return iam
}
