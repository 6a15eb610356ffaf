package directory

import (
	"testing"
	"time"
)

// A refresh is skipped where two answers are equal: a change that Equal does
// not see would never reach the host.
func TestEveryChangeOfAnAnswerMakesItAnother(t *testing.T) {
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	full := func() Directory {
		return Directory{
			Account: "123456789012",
			Users: []User{
				{ID: "AIDAA", Name: "alice", Path: "/a/", Created: made, Tags: map[string]string{"k": "v"}},
				{ID: "AIDAB", Name: "bob", Path: "/", Created: made, Tags: map[string]string{}},
			},
			Groups: []Group{
				{ID: "AGPAA", Name: "dev", Path: "/g/", Created: made, Members: []string{"AIDAA"}},
				{ID: "AGPAB", Name: "ops", Path: "/", Created: made},
			},
		}
	}
	if !full().Equal(full()) {
		t.Fatal("an answer differs from itself")
	}
	elsewhere := full()
	elsewhere.Users[0].Created = made.In(time.FixedZone("", 3600))
	if !elsewhere.Equal(full()) {
		t.Error("the same moment in another zone is another answer")
	}
	for _, c := range []struct {
		name   string
		change func(*Directory)
	}{
		{"another account", func(d *Directory) { d.Account = "210987654321" }},
		{"a user's id", func(d *Directory) { d.Users[0].ID = "AIDA9" }},
		{"a user's name", func(d *Directory) { d.Users[0].Name = "alicia" }},
		{"a user's path", func(d *Directory) { d.Users[0].Path = "/" }},
		{"a user's date", func(d *Directory) { d.Users[0].Created = made.Add(1) }},
		{"a tag's value", func(d *Directory) { d.Users[0].Tags["k"] = "w" }},
		{"a tag more", func(d *Directory) { d.Users[1].Tags["k"] = "v" }},
		{"tags that were not read, in place of none", func(d *Directory) { d.Users[1].Tags = nil }},
		{"a user less", func(d *Directory) { d.Users = d.Users[:1] }},
		{"a group's id", func(d *Directory) { d.Groups[0].ID = "AGPA9" }},
		{"a group's name", func(d *Directory) { d.Groups[0].Name = "devs" }},
		{"a group's path", func(d *Directory) { d.Groups[0].Path = "/" }},
		{"a group's date", func(d *Directory) { d.Groups[0].Created = made.Add(1) }},
		{"a member more", func(d *Directory) { d.Groups[0].Members = []string{"AIDAA", "AIDAB"} }},
		{"a group less", func(d *Directory) { d.Groups = d.Groups[:1] }},
	} {
		changed := full()
		c.change(&changed)
		if changed.Equal(full()) || full().Equal(changed) {
			t.Errorf("%s: the answers are called equal", c.name)
		}
	}
}
