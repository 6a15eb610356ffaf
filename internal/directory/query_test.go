package directory

import (
	"reflect"
	"testing"
)

func TestAQueryTakesItsPartOfAWholeAccount(t *testing.T) {
	all := Directory{
		Account: "123456789012",
		Users: []User{{ID: "A", Name: "alice", Path: "/staff/"}, {ID: "B", Name: "bob", Path: "/staff/x/"},
			{ID: "C", Name: "carol", Path: "/other/"}},
		Groups: []Group{{ID: "1", Name: "Dev", Members: []string{"A", "C"}}, {ID: "2", Name: "ops", Members: []string{"B"}},
			{ID: "3", Name: "team-x", Members: []string{"C"}}},
	}
	for _, c := range []struct {
		name    string
		q       Query
		prefix  string
		users   []string // ids
		groups  map[string][]string
		missing []string
	}{
		{"nothing", Query{}, "", nil, map[string][]string{}, nil},
		{"a group in another case, and its members of every path", Query{Groups: []string{"dEV"}}, "/staff/",
			[]string{"A", "C"}, map[string][]string{"Dev": {"A", "C"}}, nil},
		{"a group that is not there", Query{Groups: []string{"zeta", "ops", "alpha"}}, "", []string{"B"},
			map[string][]string{"ops": {"B"}}, []string{"alpha", "zeta"}},
		{"a group whose name only begins so", Query{Groups: []string{"de"}}, "", nil, map[string][]string{}, []string{"de"}},
		{"a pattern", Query{Publish: []string{"TEAM-*"}}, "", []string{"C"}, map[string][]string{"team-x": {"C"}}, nil},
		{"a pattern that fits nothing, which is no missing group", Query{Publish: []string{"zeta-*"}}, "", nil,
			map[string][]string{}, nil},
		{"a pattern that is none", Query{Publish: []string{"["}}, "", nil, map[string][]string{}, nil},
		{"everybody", Query{AllUsers: true}, "", []string{"A", "B", "C"}, map[string][]string{}, nil},
		{"everybody of a path, and of a group those alone", Query{AllUsers: true, Groups: []string{"Dev"}}, "/staff/",
			[]string{"A", "B"}, map[string][]string{"Dev": {"A"}}, nil},
	} {
		got := c.q.Of(all, c.prefix)
		var users []string
		for _, u := range got.Users {
			users = append(users, u.ID)
		}
		groups := map[string][]string{}
		for _, g := range got.Groups {
			groups[g.Name] = g.Members
		}
		if got.Account != all.Account || !reflect.DeepEqual(users, c.users) || !reflect.DeepEqual(groups, c.groups) ||
			!reflect.DeepEqual(got.Missing, c.missing) {
			t.Errorf("%s: users %q, groups %q, missing %q; want %q, %q, %q", c.name, users, groups, got.Missing, c.users,
				c.groups, c.missing)
		}
	}
	if len(all.Groups[0].Members) != 2 {
		t.Error("the whole account was changed")
	}
}

func TestANameIsTheSameInAnyCaseAndInNoOtherWay(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"", "", true}, {"azAZ", "AZaz", true}, {"a", "b", false}, {"a", "aa", false}, {"a@", "a`", false},
		{"a[", "a{", false},
		{"s", "\u017f", false}, {"k", "\u212a", false}, {"é", "É", false}, {"é", "é", true},
	} {
		if SameName(c.a, c.b) != c.same || SameName(c.b, c.a) != c.same {
			t.Errorf("%q and %q are the same: %v, want %v", c.a, c.b, !c.same, c.same)
		}
	}
}
