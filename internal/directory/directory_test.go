package directory

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func sound() Directory {
	return Directory{
		Users:  []User{{ID: "AIDAA", Name: "alice"}, {ID: "AIDAB", Name: "bob"}, {ID: "AIDAC", Name: "a+b=c,d.e@f-g_h"}},
		Groups: []Group{{ID: "AGPAA", Name: "dev", Members: []string{"AIDAA", "AIDAC"}}, {ID: "AGPAB", Name: "ops"}},
	}
}

func TestASoundDirectoryIsAccepted(t *testing.T) {
	if refused, err := Validate(sound()); err != nil || len(refused) > 0 {
		t.Errorf("got %v, %v", refused, err)
	}
	if refused, err := Validate(Directory{}); err != nil || len(refused) > 0 {
		t.Errorf("empty: got %v, %v", refused, err)
	}
}

func TestAnAnswerThatCannotBeIAMsIsRefusedWhole(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(*Directory)
		want  string
	}{
		{"users out of order", func(d *Directory) { d.Users[0], d.Users[1] = d.Users[1], d.Users[0] },
			`user "AIDAA" stands after "AIDAB"`},
		{"a user twice", func(d *Directory) { d.Users[1] = d.Users[0] }, `user "AIDAA" stands in it twice`},
		{"a user without an id", func(d *Directory) { d.Users[0].ID = "" },
			`user "alice" has the id "", which no directory gives`},
		{"an id with a space", func(d *Directory) { d.Users[2].ID = "AIDAC x" }, `has the id "AIDAC x"`},
		{"an id without end", func(d *Directory) { d.Users[2].ID = "AIDAC" + strings.Repeat("x", 200) },
			`has the id "AIDACxxx`},
		{"groups out of order", func(d *Directory) { d.Groups[0], d.Groups[1] = d.Groups[1], d.Groups[0] },
			`group "AGPAA" stands after "AGPAB"`},
		{"a group twice", func(d *Directory) { d.Groups[1].ID = d.Groups[0].ID }, `group "AGPAA" stands in it twice`},
		{"a group without an id", func(d *Directory) { d.Groups[0].ID = "" }, `group "dev" has the id ""`},
		{"a member who is no user", func(d *Directory) { d.Groups[0].Members = []string{"AIDAA", "AIDABB"} },
			`group "dev" has the member "AIDABB", who is no user of it`},
		{"a member after all users", func(d *Directory) { d.Groups[0].Members = []string{"AIDAZ"} },
			`group "dev" has the member "AIDAZ"`},
		{"a member twice", func(d *Directory) { d.Groups[0].Members = []string{"AIDAA", "AIDAA"} },
			`group "dev": malformed directory: member "AIDAA" stands in it twice`},
		{"members out of order", func(d *Directory) { d.Groups[0].Members = []string{"AIDAC", "AIDAA"} },
			`group "dev": malformed directory: member "AIDAA" stands after "AIDAC"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := sound()
			test.spoil(&d)
			_, err := Validate(d)
			if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want ErrMalformed with %q", err, test.want)
			}
		})
	}
}

func TestNamesThatIAMDoesNotGiveAreRefusedOneByOne(t *testing.T) {
	d := sound()
	d.Users[0].Name = "alice\nroot"
	d.Users[1].Name = strings.Repeat("b", 65)
	d.Groups[0].Name = ""
	d.Groups[1].Name = strings.Repeat("g", 128)
	refused, err := Validate(d)
	if err != nil {
		t.Fatal(err)
	}
	want := []Refusal{
		{ID: "AIDAA", Name: "alice\nroot", Reason: "has a character in its name that IAM does not allow"},
		{ID: "AIDAB", Name: strings.Repeat("b", 65), Reason: "has a name of 65 characters, and IAM allows 64"},
		{ID: "AGPAA", Reason: "has no name"},
	}
	if !reflect.DeepEqual(refused, want) {
		t.Errorf("got  %+v\nwant %+v", refused, want)
	}
}

func TestSortMakesAnyOrderSound(t *testing.T) {
	d := sound()
	d.Users[0], d.Users[2] = d.Users[2], d.Users[0]
	d.Groups[0], d.Groups[1] = d.Groups[1], d.Groups[0]
	d.Groups[1].Members = []string{"AIDAC", "AIDAA"}
	d.Sort()
	if !reflect.DeepEqual(d, sound()) {
		t.Errorf("got %+v", d)
	}
}

func TestGroupsAreFoundWithoutRegardToASCIICase(t *testing.T) {
	d := sound()
	if g, ok := d.GroupNamed("DEV"); !ok || g.ID != "AGPAA" {
		t.Errorf("got %+v, %v", g, ok)
	}
	d.Groups[0].Name = "op\u017f" // a long s, which Unicode folds to s
	if g, ok := d.GroupNamed("OPS"); !ok || g.ID != "AGPAB" {
		t.Errorf("got %+v, %v; want ops itself", g, ok)
	}
}

func TestCompareTellsWhatHappened(t *testing.T) {
	before, after := sound(), sound()
	after.Users = []User{{ID: "AIDAA", Name: "alicia", Tags: map[string]string{"k": "v"}}, before.Users[2],
		{ID: "AIDAD", Name: "dave"}}
	after.Groups = []Group{{ID: "AGPAA", Name: "developers", Members: []string{"AIDAC", "AIDAD"}},
		{ID: "AGPAC", Name: "new", Members: []string{"AIDAA"}}}
	before.Groups[1].Members = []string{"AIDAB"}
	got := Compare(before, after)
	want := Difference{
		AddedUsers:    []User{{ID: "AIDAD", Name: "dave"}},
		RemovedUsers:  []User{before.Users[1]},
		RenamedUsers:  []Rename{{"AIDAA", "alice", "alicia"}},
		RetaggedUsers: []User{after.Users[0]},
		AddedGroups:   []Group{after.Groups[1]},
		RemovedGroups: []Group{before.Groups[1]},
		RenamedGroups: []Rename{{"AGPAA", "dev", "developers"}},
		Joined:        []Membership{{"AGPAA", "AIDAD"}, {"AGPAC", "AIDAA"}},
		Ended:         []Membership{{"AGPAA", "AIDAA"}, {"AGPAB", "AIDAB"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\ngot  %+v\nwant %+v", got, want)
	}
	if same := Compare(before, before); !reflect.DeepEqual(same, Difference{}) {
		t.Errorf("a directory differs from itself: %+v", same)
	}
}
