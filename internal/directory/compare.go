package directory

import "maps"

// A Difference is what the directory's users and groups went through between two
// directories. Each list is ascending by id.
type Difference struct {
	AddedUsers    []User
	RemovedUsers  []User // as they were
	RenamedUsers  []Rename
	RetaggedUsers []User // as they are; the tags differ
	AddedGroups   []Group
	RemovedGroups []Group // as they were
	RenamedGroups []Rename
	Joined        []Membership // of users and groups new and old
	Ended         []Membership // memberships that are no more
}

// A Rename is one principal under two names.
type Rename struct{ ID, Old, New string }

// A Membership is one user in one group, by id.
type Membership struct{ Group, User string }

// Compare tells how before became after. Both must be sorted, as Validate demands.
func Compare(before, after Directory) Difference {
	var d Difference
	merge(before.Users, after.Users, func(u User) string { return u.ID },
		func(was *User, is *User) {
			switch {
			case was == nil:
				d.AddedUsers = append(d.AddedUsers, *is)
			case is == nil:
				d.RemovedUsers = append(d.RemovedUsers, *was)
			default:
				if was.Name != is.Name {
					d.RenamedUsers = append(d.RenamedUsers, Rename{is.ID, was.Name, is.Name})
				}
				if !maps.Equal(was.Tags, is.Tags) {
					d.RetaggedUsers = append(d.RetaggedUsers, *is)
				}
			}
		})
	merge(before.Groups, after.Groups, func(g Group) string { return g.ID },
		func(was *Group, is *Group) {
			var left, joined []string
			switch {
			case was == nil:
				d.AddedGroups = append(d.AddedGroups, *is)
				joined = is.Members
			case is == nil:
				d.RemovedGroups = append(d.RemovedGroups, *was)
				left = was.Members
			default:
				if was.Name != is.Name {
					d.RenamedGroups = append(d.RenamedGroups, Rename{is.ID, was.Name, is.Name})
				}
				left, joined = was.Members, is.Members
			}
			group := ""
			if is != nil {
				group = is.ID
			} else {
				group = was.ID
			}
			merge(left, joined, func(id string) string { return id }, func(was, is *string) {
				switch {
				case was == nil:
					d.Joined = append(d.Joined, Membership{group, *is})
				case is == nil:
					d.Ended = append(d.Ended, Membership{group, *was})
				}
			})
		})
	return d
}

// merge walks two ascending lists and calls each once per id, with nil for
// the side that lacks it.
func merge[T any](before, after []T, id func(T) string, each func(was, is *T)) {
	i, j := 0, 0
	for i < len(before) || j < len(after) {
		switch {
		case j == len(after) || i < len(before) && id(before[i]) < id(after[j]):
			each(&before[i], nil)
			i++
		case i == len(before) || id(after[j]) < id(before[i]):
			each(nil, &after[j])
			j++
		default:
			each(&before[i], &after[j])
			i++
			j++
		}
	}
}
