package accounts

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// This file decides which of the policy's groups are believed. A known group
// that no longer exists counts as empty. A known name that comes back with
// another GroupId gives no rights until a person confirms it.

// A missingGroup is a known group that does not exist any more.
type missingGroup struct {
	KnownGroup
	where []string // the settings that name it
}

// nameGroups finds the groups that the policy names. Its error lists those that
// no answer ever held, or that the directory was not asked for.
func (p *plan) nameGroups() error {
	pol := &p.in.Policy
	p.known = p.knownGroups()
	here := p.meant()
	absent := make(map[string]bool, len(p.in.Directory.Missing))
	for _, name := range p.in.Directory.Missing {
		absent[fold(name)] = true
	}
	p.recreated = map[string]KnownGroup{}
	next := maps.Clone(p.known)
	missing := map[string]*missingGroup{}
	var unknown []string
	want := func(name, where string) string {
		key := fold(name)
		id, exists := here[key]
		was, seen := p.known[key]
		switch {
		case exists && id == "": // nobody can tell which group is meant
		case exists && seen && was.ID != id && !p.in.AcceptGroups && !p.carriesGroup(id, was):
			p.recreated[id] = was
		case exists:
			next[key] = KnownGroup{Name: key, ID: id}
		case absent[key] && seen:
			if missing[key] == nil {
				missing[key] = &missingGroup{KnownGroup: was}
			}
			missing[key].where = append(missing[key].where, where)
		default:
			unknown = append(unknown, fmt.Sprintf("%s of %s", quoted(name), where))
		}
		return key
	}
	p.loginGroups, p.sudoGroups, p.mapped = map[string]bool{}, map[string]bool{}, map[string]string{}
	for i, name := range pol.Login {
		p.loginGroups[want(name, from(i, pol.Login, pol.tagged.login, "login.groups", pol.LoginTaggedBy))] = true
	}
	for i, name := range pol.Sudo {
		p.sudoGroups[want(name, from(i, pol.Sudo, pol.tagged.sudo, "sudo.groups", pol.SudoTaggedBy))] = true
	}
	for _, name := range slices.Sorted(maps.Keys(pol.MapGroups)) {
		p.mapped[want(name, "accounts.map_groups")] = pol.MapGroups[name]
	}
	for _, account := range slices.Sorted(maps.Keys(pol.Shared)) {
		for _, name := range pol.Shared[account] {
			want(name, "shared."+account)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(next)) {
		p.believed = append(p.believed, next[key])
	}
	for _, key := range slices.Sorted(maps.Keys(missing)) {
		p.missing = append(p.missing, *missing[key])
	}
	if len(unknown) > 0 {
		return fmt.Errorf("%w: %s; create it in the directory or correct %s; the previous state is kept",
			ErrUnknownGroup, strings.Join(unknown, ", "), named(unknown))
	}
	return nil
}

// knownGroups is what the history knows of groups, by folded directory name.
// The history of version 0.1.0 has no list of groups; there, its entries say
// which groups were served.
func (p *plan) knownGroups() map[string]KnownGroup {
	known := make(map[string]KnownGroup, len(p.in.History.Groups))
	newest := map[string]Entry{}
	for _, e := range p.in.History.Entries {
		if !e.Group || e.ID == UsersGroup || e.ID == SudoGroup {
			continue
		}
		key := fold(e.DirectoryName)
		old, found := newest[key]
		if !found || !e.Former() || old.Former() && e.FormerSince.After(old.FormerSince) {
			newest[key] = e
			known[key] = KnownGroup{Name: key, ID: e.ID}
		}
	}
	named := p.policyGroups()
	maps.DeleteFunc(known, func(key string, _ KnownGroup) bool { return !named[key] })
	for _, g := range p.in.History.Groups {
		known[fold(g.Name)] = g
	}
	return known
}

// policyGroups are the folded directory names of all groups that the policy names.
func (p *plan) policyGroups() map[string]bool {
	pol, named := &p.in.Policy, map[string]bool{}
	for _, names := range [][]string{pol.Login, pol.Sudo, slices.Collect(maps.Keys(pol.MapGroups))} {
		for _, name := range names {
			named[fold(name)] = true
		}
	}
	for _, names := range pol.Shared {
		for _, name := range names {
			named[fold(name)] = true
		}
	}
	return named
}

// groupFindings reports missing groups. Recreated ones are reported by the rule
// that refuses them.
func (p *plan) groupFindings() (all []Finding) {
	for _, g := range p.missing {
		all = append(all, Finding{
			Kind: "group", ID: g.ID, DirectoryName: g.Name, Reason: GroupMissing,
			Detail: "the directory says that this group does not exist; it counts as empty in " + strings.Join(g.where, ", "),
			Remedy: "take it out of " + named(g.where) + ", or create it again and confirm it",
		})
	}
	return all
}

// named says what a person has to correct to take a group out of these settings.
func named(where []string) string {
	tags := 0
	for _, w := range where {
		if strings.HasSuffix(w, "_tag)") {
			tags++
		}
	}
	switch tags {
	case 0:
		return "the configuration"
	case len(where):
		return "the tag"
	}
	return "the configuration and the tag"
}

func checkBelieved(p *plan, c *principal) verdict {
	was, recreated := p.recreated[c.id]
	if !recreated {
		return verdict{}
	}
	return reject(GroupRecreated, fmt.Sprintf("the name %s was that of the group %s, and now %s has it; nobody has "+
		"rights by it", quoted(c.directoryName), was.ID, c.id),
		`if the new group is meant, run "iam-cachefill refresh --accept-groups"`)
}

// meant is the GroupId that each name of the policy stands for, by the folded
// name. If two groups differ by letter case only, the one that the policy spells
// exactly so is meant, otherwise the one that the name stood for before. If that
// leaves more than one group or none, the GroupId is "", and no group of the name
// gives a right.
func (p *plan) meant() map[string]string {
	groups := p.in.Directory.Groups
	ids := make(map[string]string, len(groups))
	rivals := map[string][]int{}
	for i := range groups {
		key := fold(groups[i].Name)
		if _, taken := ids[key]; taken {
			rivals[key] = append(rivals[key], i)
			continue
		}
		ids[key] = groups[i].ID
	}
	p.unclear = map[string]bool{}
	if len(rivals) == 0 {
		return ids
	}
	spelled, named := map[string]bool{}, map[string]bool{}
	for _, name := range p.in.Policy.groupNames() {
		spelled[name], named[fold(name)] = true, true
	}
	for key := range rivals {
		if !named[key] {
			continue
		}
		var all, exact []string
		for i := range groups {
			if fold(groups[i].Name) != key {
				continue
			}
			all = append(all, groups[i].ID)
			if spelled[groups[i].Name] {
				exact = append(exact, groups[i].ID)
			}
		}
		ids[key] = ""
		switch was, seen := p.known[key]; {
		case len(exact) == 1:
			ids[key] = exact[0]
		case len(exact) == 0 && seen && slices.Contains(all, was.ID):
			ids[key] = was.ID
		}
		for _, id := range all {
			if id != ids[key] {
				p.unclear[id] = true
			}
		}
	}
	return ids
}
