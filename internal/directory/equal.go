package directory

import (
	"maps"
	"slices"
)

// Equal reports whether two answers say the same.
func (d Directory) Equal(o Directory) bool {
	return d.Account == o.Account && slices.EqualFunc(d.Users, o.Users, User.equal) && slices.EqualFunc(d.Groups, o.Groups, Group.equal) &&
		slices.Equal(d.Missing, o.Missing)
}

func (u User) equal(o User) bool {
	return u.ID == o.ID && u.Name == o.Name && u.Path == o.Path && u.Created.Equal(o.Created) &&
		(u.Tags == nil) == (o.Tags == nil) && maps.Equal(u.Tags, o.Tags)
}

func (g Group) equal(o Group) bool {
	return g.ID == o.ID && g.Name == o.Name && g.Path == o.Path && g.Created.Equal(o.Created) && slices.Equal(g.Members, o.Members)
}
