package iam_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

// queries are the shapes that configurations lead to.
var queries = map[string]directory.Query{
	"one group":                           {Groups: []string{"developers"}},
	"groups in another case, one twice":   {Groups: []string{"DEVELOPERS", "admins", "Developers"}},
	"an empty group":                      {Groups: []string{"empty"}},
	"a group and published ones":          {Groups: []string{"developers"}, Publish: []string{"team-*"}},
	"a published group that is named too": {Groups: []string{"team-red"}, Publish: []string{"TEAM-*", "nothing-*"}},
	"every user":                          {AllUsers: true},
	"every user and a group":              {AllUsers: true, Groups: []string{"developers"}, Publish: []string{"team-*"}},
	"a group with tags":                   {Groups: []string{"developers"}, Tags: true},
	"everything": {AllUsers: true, Groups: []string{"developers", "Admins"},
		Publish: []string{"*"}, Tags: true},
}

func TestEveryQueryIsAnsweredWhole(t *testing.T) {
	isolate(t)
	for _, settings := range []emulator.Settings{{}, {PageSize: 1}, {RaggedPage: true}} {
		for _, bulk := range []bool{false, true} {
			for _, name := range slices.Sorted(maps.Keys(queries)) {
				for _, prefix := range []string{"/", "/staff/"} {
					t.Run(fmt.Sprintf("%s of %s, bulk %v, %+v", name, prefix, bulk, settings), func(t *testing.T) {
						e := start(t, emulator.Options{Company: company, Settings: settings, Seed: 3})
						o := quick(e)
						o.Bulk, o.PathPrefix = bulk, prefix
						got := read(t.Context(), t, open(t, o), queries[name])
						if diff := difference(got, expected(e.Company(), queries[name], prefix)); diff != "" {
							t.Error(diff)
						}
					})
				}
			}
		}
	}
}

func TestAGroupThatDoesNotExistIsSaidToBeMissing(t *testing.T) {
	isolate(t)
	e := start(t, emulator.Options{Company: company})
	for _, bulk := range []bool{false, true} {
		o := quick(e)
		o.Bulk = bulk
		d, err := open(t, o).Directory(t.Context(), directory.Query{Groups: []string{"developers", "gone", "away"},
			Publish: []string{"*"}})
		if err != nil {
			t.Fatalf("bulk %v: %v", bulk, err)
		}
		if _, found := d.GroupNamed("developers"); !found || !slices.Equal(d.Missing, []string{"away", "gone"}) {
			t.Errorf("bulk %v: missing are %q, want away and gone", bulk, d.Missing)
		}
	}
}

func TestABadPatternIsAnErrorBeforeAnyCall(t *testing.T) {
	isolate(t)
	e := start(t, emulator.Options{Company: company})
	if _, err := open(t, quick(e)).Directory(t.Context(), directory.Query{Publish: []string{"team-[a"}}); err == nil {
		t.Error("the pattern was taken")
	}
	if calls := e.Walk(); len(calls) != 0 {
		t.Errorf("calls %q, want none", calls)
	}
}

// TestFiveThousandUsersTakeAPageAThousand guards the number of calls, not the time.
func TestFiveThousandUsersTakeAPageAThousand(t *testing.T) {
	isolate(t)
	e := start(t, emulator.Options{Company: emulator.Generate(emulator.Size{Users: 5000, Groups: 20})})
	for name, test := range map[string]struct {
		query directory.Query
		bulk  bool
		want  map[string]int
	}{
		"by group": {directory.Query{Groups: []string{"everyone", "group-001"}}, false, map[string]int{"GetGroup": 6}},
		"by list":  {directory.Query{AllUsers: true}, false, map[string]int{"ListUsers": 5}},
		"in bulk": {directory.Query{AllUsers: true, Publish: []string{"*"}}, true,
			map[string]int{"GetAccountAuthorizationDetails": 6}},
	} {
		t.Run(name, func(t *testing.T) {
			e.ResetCalls()
			o := quick(e)
			o.Bulk = test.bulk
			d := read(t.Context(), t, open(t, o), test.query)
			if len(d.Users) != 5000 {
				t.Errorf("%d users, want 5000", len(d.Users))
			}
			if got := e.Calls(); !maps.Equal(got, test.want) {
				t.Errorf("calls %v, want %v", got, test.want)
			}
		})
	}
}

func TestAUserRenamedBetweenTwoGroupsIsOneUser(t *testing.T) {
	isolate(t)
	e := start(t, emulator.Options{Company: company})
	// Readers see the rename at every second read: the two groups tell two names.
	e.Set(emulator.Settings{Visible: emulator.Duration(1 << 40), Flap: true})
	if err := e.UpdateUser("alice", "alicia", ""); err != nil {
		t.Fatal(err)
	}
	d := read(t.Context(), t, open(t, quick(e)), directory.Query{Groups: []string{"Admins", "team-red"}})
	if len(d.Users) != 1 {
		t.Fatalf("users %+v, want one", d.Users)
	}
	for _, g := range d.Groups {
		if !slices.Equal(g.Members, []string{d.Users[0].ID}) {
			t.Errorf("group %s has members %q, want the one user", g.Name, g.Members)
		}
	}
}

func TestAnswersThatCannotBeOneAccountAreRefused(t *testing.T) {
	isolate(t)
	for name, test := range map[string]struct {
		change func(*testing.T, *emulator.Emulator)
		query  directory.Query
		bulk   bool
	}{
		"a user deleted and created again between two groups": {func(t *testing.T, e *emulator.Emulator) {
			if err := e.DeleteUser("alice"); err != nil {
				t.Fatal(err)
			}
			if _, err := e.CreateUser(emulator.User{Name: "alice", Groups: []string{"team-red", "Admins"}}); err != nil {
				t.Fatal(err)
			}
		}, directory.Query{Groups: []string{"Admins", "team-red"}}, false},
		"a group deleted and created again between two pages": {func(t *testing.T, e *emulator.Emulator) {
			if err := e.DeleteGroup("developers"); err != nil {
				t.Fatal(err)
			}
			if _, err := e.CreateGroup(emulator.Group{Name: "developers"}); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"alice", "Bob", "carol"} {
				if err := e.AddMember("developers", name); err != nil {
					t.Fatal(err)
				}
			}
		}, directory.Query{Groups: []string{"developers"}}, false},
		"a group renamed between the users and the groups of a bulk read": {func(t *testing.T, e *emulator.Emulator) {
			if err := e.UpdateGroup("team-red", "team-green", ""); err != nil {
				t.Fatal(err)
			}
		}, directory.Query{Publish: []string{"team-*"}, AllUsers: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			e := start(t, emulator.Options{Company: company})
			e.Set(emulator.Settings{PageSize: 1, Visible: emulator.Duration(1 << 40)})
			test.change(t, e)
			e.Set(emulator.Settings{PageSize: 1, Visible: emulator.Duration(1 << 40), Flap: true})
			o := quick(e)
			o.Bulk = test.bulk
			_, err := open(t, o).Directory(t.Context(), test.query)
			if !errors.Is(err, awsapi.ErrIncomplete) {
				t.Errorf("got %v, want ErrIncomplete", err)
			}
		})
	}
}

func TestAUserGoneBeforeItsTagsAreReadIsLeftOutAlone(t *testing.T) {
	isolate(t)
	e := start(t, emulator.Options{Company: company})
	if err := e.SetFaults(emulator.Fault{Kind: emulator.Vanish, Action: "ListUserTags", Call: 2}); err != nil {
		t.Fatal(err)
	}
	d := read(t.Context(), t, open(t, quick(e)), directory.Query{Groups: []string{"developers"}, Tags: true})
	if len(d.Users) != 2 || len(d.Groups[0].Members) != 2 {
		t.Errorf("%d users and %d members, want 2 of the 3", len(d.Users), len(d.Groups[0].Members))
	}
}

func TestAPublishedGroupDeletedMeanwhileIsLeftOut(t *testing.T) {
	isolate(t)
	e := start(t, emulator.Options{Company: company})
	if err := e.SetFaults(emulator.Fault{Kind: emulator.Vanish, Action: "GetGroup"}); err != nil {
		t.Fatal(err)
	}
	d := read(t.Context(), t, open(t, quick(e)), directory.Query{Publish: []string{"team-*"}})
	if len(d.Groups) != 1 {
		t.Errorf("groups %+v, want one of the two", d.Groups)
	}
}
