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
