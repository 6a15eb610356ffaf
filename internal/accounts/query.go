package accounts

import (
	"maps"
	"slices"
	"strings"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// Query returns what a directory must be asked for, so that Build can apply the
// policy: each group that the policy names, once.
func (p Policy) Query() directory.Query {
	q := directory.Query{Publish: p.Publish, AllUsers: p.AllUsers, Tags: p.ExpiresTag != ""}
	groups := p.groupNames()
	slices.SortFunc(groups, func(a, b string) int { return strings.Compare(directory.FoldName(a), directory.FoldName(b)) })
	q.Groups = slices.CompactFunc(groups, directory.SameName)
	return q
}

// groupNames are the names of groups that the policy has, as it spells them.
func (p Policy) groupNames() []string {
	names := slices.Concat(p.Login, p.Sudo, slices.Collect(maps.Keys(p.MapGroups)))
	for _, of := range p.Shared {
		names = append(names, of...)
	}
	return names
}

// configuredGroups are the folded Unix names under which groups that the policy names
// are served, whether or not the directory has them.
func (p Policy) configuredGroups() map[string]bool {
	names := make(map[string]bool)
	for _, directoryName := range slices.Concat(p.Login, p.Sudo, p.Publish) {
		if strings.ContainsAny(directoryName, `*?[\`) { // a pattern of Publish: whose names it means is not known
			continue
		}
		if name, _, ok := p.groupName(directoryName); ok {
			names[fold(name)] = true
		}
	}
	return names
}
