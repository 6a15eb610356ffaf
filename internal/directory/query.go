package directory

import (
	"path"
	"slices"
	"strings"
)

// A Query is what a refresh asks a Source for.
type Query struct {
	// Groups are names of groups to read with their members. Those that do not
	// exist are in Directory.Missing.
	Groups []string
	// Publish are patterns, as path.Match has them, of names of further groups
	// to read. Letter case does not count. A pattern that fits no group is no
	// error.
	Publish []string
	// AllUsers asks for every user of the source's path prefix, in a group or
	// not, and leaves out all others, also where they are in a group read.
	AllUsers bool
	// Tags asks for the users' tags too. A source that has them anyway may give
	// them unasked.
	Tags bool

	Known   Origin // the answer in hand, which a source need not repeat
	Refused Origin // an answer that was read and is not believed: it need not be repeated either
}

// Of returns the part of a whole account that is asked for, as the directory
// itself would have answered: the groups named, and their members or all users
// of the path prefix ("" is every path).
func (q Query) Of(all Directory, pathPrefix string) Directory {
	d := Directory{Account: all.Account, Store: all.Store}
	keep := make(map[string]bool, len(all.Users))
	if q.AllUsers {
		for _, u := range all.Users {
			keep[u.ID] = strings.HasPrefix(u.Path, pathPrefix)
		}
	}
	for _, g := range all.Groups {
		if !q.wantsGroup(g.Name) {
			continue
		}
		if q.AllUsers {
			g.Members = slices.DeleteFunc(slices.Clone(g.Members), func(id string) bool { return !keep[id] })
		} else {
			for _, id := range g.Members {
				keep[id] = true
			}
		}
		d.Groups = append(d.Groups, g)
	}
	for _, name := range q.Groups {
		if _, exists := all.GroupNamed(name); !exists {
			d.Missing = append(d.Missing, name)
		}
	}
	slices.Sort(d.Missing)
	for _, u := range all.Users {
		if keep[u.ID] {
			d.Users = append(d.Users, u)
		}
	}
	return d.WithOthers(all.Claimants(), true)
}

func (q Query) wantsGroup(name string) bool {
	return slices.ContainsFunc(q.Groups, func(g string) bool { return SameName(g, name) }) || q.Publishes(name)
}

// Publishes reports whether a pattern of Publish fits the name of a group. The
// configuration checked the patterns; one that is wrong fits nothing.
func (q Query) Publishes(name string) bool {
	name = FoldName(name)
	return slices.ContainsFunc(q.Publish, func(pattern string) bool {
		fits, err := path.Match(FoldName(pattern), name)
		return err == nil && fits
	})
}
