package iam_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nss-iam/nss-iam/internal/directory"
)

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

func sortByID(d *directory.Directory) {
	slices.SortFunc(d.Users, func(a, b directory.User) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(d.Groups, func(a, b directory.Group) int { return strings.Compare(a.ID, b.ID) })
}

// difference says in words how got differs from want; "" if it does not.
func difference(got, want directory.Directory) string {
	if got.Account != want.Account {
		return fmt.Sprintf("account %q, want %q", got.Account, want.Account)
	}
	if len(got.Users) != len(want.Users) || len(got.Groups) != len(want.Groups) {
		return fmt.Sprintf("%d users and %d groups, want %d and %d", len(got.Users), len(got.Groups), len(want.Users),
			len(want.Groups))
	}
	for i, w := range want.Users {
		g := got.Users[i]
		if g.ID != w.ID || g.Name != w.Name || g.Path != w.Path || !g.Created.Equal(w.Created) ||
			!maps.Equal(g.Tags, w.Tags) || (g.Tags == nil) != (w.Tags == nil) {
			return fmt.Sprintf("user %+v, want %+v", g, w)
		}
	}
	for i, w := range want.Groups {
		g := got.Groups[i]
		if g.ID != w.ID || g.Name != w.Name || g.Path != w.Path || !g.Created.Equal(w.Created) ||
			!slices.Equal(g.Members, w.Members) {
			return fmt.Sprintf("group %+v, want %+v", g, w)
		}
	}
	return ""
}
