package directory

import (
	"errors"
	"strings"
	"testing"
)

// The character sets are exactly IAM's, and ids may have the hyphens of a UUID.
// One character more is a name that some
// file, log or terminal reads in another way; one less locks out a user of IAM.
func TestNamesHaveTheCharactersOfIAMAndIDsThoseOfADirectory(t *testing.T) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	for c := rune(0); c < 0x180; c++ {
		wantName, wantID := strings.ContainsRune(letters+"_+=,.@-", c), strings.ContainsRune(letters+"_-", c)
		if got := IAMForm.nameProblem("a"+string(c), false) == ""; got != wantName {
			t.Errorf("a name with %q: accepted %v, want %v", c, got, wantName)
		}
		if got := validID("A" + string(c)); got != wantID {
			t.Errorf("an id with %q: accepted %v, want %v", c, got, wantID)
		}
	}
}

func TestNamesAndIDsOfTheGreatestLengthAreAcceptedAndNoLonger(t *testing.T) {
	with := func(userName, groupName, id string) Directory {
		return Directory{Users: []User{{ID: id, Name: userName}}, Groups: []Group{{ID: id, Name: groupName}}}
	}
	longest := with(strings.Repeat("u", IAMForm.user), strings.Repeat("g", IAMForm.group), strings.Repeat("I", MaxID))
	if refused, err := Validate(longest); err != nil || len(refused) > 0 {
		t.Errorf("the greatest lengths: got %v, %v", refused, err)
	}
	names := with(strings.Repeat("u", IAMForm.user+1), strings.Repeat("g", IAMForm.group+1), "I")
	if refused, err := Validate(names); err != nil || len(refused) != 2 {
		t.Errorf("longer names: got %v, %v; want two refusals", refused, err)
	}
	if _, err := Validate(with("u", "g", strings.Repeat("I", MaxID+1))); !errors.Is(err, ErrMalformed) {
		t.Errorf("a longer id: got %v, want %v", err, ErrMalformed)
	}
}

func TestGroupNamesAreComparedByEveryASCIILetter(t *testing.T) {
	for _, c := range []struct {
		name, asked string
		found       bool
	}{
		{"azAZ", "AZaz", true},
		{"m", "M", true},
		{"dev", "de", false},
		{"de", "dev", false},
		{"dev", "dew", false},
		{"a@", "a`", false}, // one below A and a
		{"a[", "a{", false}, // one above Z and z
	} {
		d := Directory{Groups: []Group{{ID: "AGPAA", Name: c.name}}}
		if _, found := d.GroupNamed(c.asked); found != c.found {
			t.Errorf("GroupNamed(%q) where %q is: %v, want %v", c.asked, c.name, found, c.found)
		}
	}
}

func TestUsersAndGroupsAreFoundByTheirExactID(t *testing.T) {
	ids := []string{"B", "D", "F"}
	var d Directory
	for _, id := range ids {
		d.Users = append(d.Users, User{ID: id, Name: "user-" + id})
		d.Groups = append(d.Groups, Group{ID: id, Name: "group-" + id})
	}
	for _, id := range ids {
		if u, ok := d.User(id); !ok || u.Name != "user-"+id {
			t.Errorf("User(%q) = %+v, %v", id, u, ok)
		}
		if g, ok := d.Group(id); !ok || g.Name != "group-"+id {
			t.Errorf("Group(%q) = %+v, %v", id, g, ok)
		}
	}
	for _, id := range []string{"", "A", "C", "DD", "E", "G", "b"} {
		if u, ok := d.User(id); ok || u.ID != "" {
			t.Errorf("User(%q) = %+v, %v; want nobody", id, u, ok)
		}
		if g, ok := d.Group(id); ok || g.ID != "" {
			t.Errorf("Group(%q) = %+v, %v; want none", id, g, ok)
		}
	}
	if _, ok := (Directory{}).User("A"); ok {
		t.Error("an empty directory has a user")
	}
	if _, ok := (Directory{}).Group("A"); ok {
		t.Error("an empty directory has a group")
	}
}
