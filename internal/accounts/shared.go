package accounts

import (
	"maps"
	"slices"
)

// shared finds who may enter local accounts. A person pending removal or denied
// enters none, whatever other groups say: until it is clear that only the login
// ended, all rights are gone.
func (p *plan) shared(result *Result) map[string][]string {
	without := map[string]bool{}
	for _, u := range result.Pending {
		without[u.ID] = true
	}
	for id := range p.denied {
		without[id] = true
	}
	var all map[string][]string
	for _, account := range slices.Sorted(maps.Keys(p.in.Policy.Shared)) {
		local, exists := p.host.users[account]
		refuse := func(detail, remedy string) {
			result.Findings = append(result.Findings, Finding{Kind: "shared", ID: account, DirectoryName: account,
				Reason: LocalAccount, Detail: detail, Remedy: remedy})
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
				g := &p.groups[i]
				if _, recreated := p.recreated[g.id]; recreated || p.unclear[g.id] || fold(g.directoryName) != fold(name) {
					continue
				}
				for _, id := range p.in.Directory.Groups[i].Members {
					if u := p.user(id); u.invalid == "" && !u.disabled && checkExpiry(p, u).reason == "" && !without[id] {
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
