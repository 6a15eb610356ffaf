package accounts

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// moved is the same company in an Identity Store: other ids, and nobody's date.
func moved(d directory.Directory) directory.Directory {
	uuid := func(id string) string {
		return fmt.Sprintf("9067642c3d-%08x-0000-4000-8000-%012x", len(id), []byte(id)[4:min(len(id), 10)])
	}
	out := directory.Directory{Account: d.Account, Store: directory.Store{ID: "d-9067642c3d", Region: "eu-central-1"}}
	for _, u := range d.Users {
		out.Users = append(out.Users, directory.User{ID: uuid(u.ID), Name: u.Name})
	}
	for _, g := range d.Groups {
		next := directory.Group{ID: uuid(g.ID), Name: g.Name}
		for _, m := range g.Members {
			next.Members = append(next.Members, uuid(m))
		}
		out.Groups = append(out.Groups, next)
	}
	out.Sort()
	return out
}

// pinsOf gives everybody of the one directory the number of the one of the same
// name in the other.
func pinsOf(before, after directory.Directory, p Policy) map[string]uint32 {
	pins := map[string]uint32{}
	for _, u := range after.Users {
		i := slices.IndexFunc(before.Users, func(b directory.User) bool { return b.Name == u.Name })
		pins[u.ID] = UserUID(before.Users[i].ID, p.Range)
	}
	for _, g := range after.Groups {
		b, _ := before.GroupNamed(g.Name)
		pins[g.ID] = GroupGID(b.ID, p.Range)
	}
	return pins
}

// withoutIDs are tables in which only the directory's ids may differ.
func withoutIDs(t Tables) Tables {
	t.Users = slices.Clone(t.Users)
	for i := range t.Users {
		t.Users[i].ID = ""
	}
	t.Groups = slices.Clone(t.Groups)
	for i := range t.Groups {
		t.Groups[i].ID = ""
	}
	return t
}

func TestAFleetThatMovesToAnotherDirectoryKeepsEverythingByPins(t *testing.T) {
	p := sudoPolicy()
	p.Publish = []string{"*"}
	p.MapGroups, p.AllowPrivileged = map[string]string{"dev": "engine"}, []string{"engine"}
	p.Shared = map[string][]string{"build": {"admins"}}
	s := newStory(t, p, all)
	s.in.Host = Host{Users: []HostUser{{"build", 500, 500}}, Groups: []HostGroup{{"engine", 1999, nil}}}
	before := s.again()
	after := moved(all)
	s.in.Policy.Pins = pinsOf(all, after, p)
	r := s.answer(after)
	got, want := withoutIDs(r.Tables), withoutIDs(before.Tables)
	if !reflect.DeepEqual(got.Users, want.Users) {
		t.Errorf("got  %+v\nwant %+v", got.Users, want.Users)
	}
	if !reflect.DeepEqual(got.Groups, want.Groups) {
		t.Errorf("got  %+v\nwant %+v", got.Groups, want.Groups)
	}
	if len(r.Admitted) != len(before.Admitted) || len(r.Shared["build"]) != 1 ||
		!strings.Contains(r.Shared["build"][0], "-") {
		t.Errorf("may log in: %q, may enter: %q", r.Admitted, r.Shared)
	}
	if len(r.NewFormer)+len(r.Pending)+len(r.HandedOver())+len(r.Findings) > 0 || r.HeldBack != nil {
		t.Errorf("former %+v, pending %+v, handed over %q, held back %+v, findings %+v", r.NewFormer, r.Pending,
			r.HandedOver(), r.HeldBack, r.Findings)
	}
	if again := s.again(); !reflect.DeepEqual(again.Tables, r.Tables) ||
		len(again.History.Entries) != len(before.History.Entries) {
		t.Errorf("the next refresh is another: %+v", again.History)
	}
	fresh := build(t, Input{Directory: after, Policy: s.in.Policy, Host: s.in.Host})
	if !reflect.DeepEqual(fresh.Tables, r.Tables) {
		t.Error("a host that never knew IAM differs from one that moved")
	}
}

func TestAMoveWithoutPinsOrWithSomeHandsOverNothingElse(t *testing.T) {
	after := moved(all)
	p := sudoPolicy()
	pins := pinsOf(all, after, p)
	of := func(name string) string {
		return after.Users[slices.IndexFunc(after.Users, func(u directory.User) bool { return u.Name == name })].ID
	}
	t.Run("without pins nobody new has a name, and everybody before stays without rights", func(t *testing.T) {
		s := newStory(t, p, all)
		s.in.AcceptGroups = true
		r := s.answer(after)
		if len(r.Admitted) > 0 || len(r.Pending) != len(five) || r.HeldBack == nil && len(five) > 4 {
			t.Errorf("admitted %q, pending %+v, held back %+v", r.Admitted, r.Pending, r.HeldBack)
		}
	})
	t.Run("a pin of one person hands over that one", func(t *testing.T) {
		s := newStory(t, p, all)
		s.in.AcceptGroups = true
		s.in.Policy.Pins = map[string]uint32{of("alice"): pins[of("alice")]}
		r := s.answer(after)
		if !slices.Equal(r.Admitted, []string{of("alice")}) || len(r.Pending) != len(five)-1 {
			t.Errorf("admitted %q, pending %+v", r.Admitted, r.Pending)
		}
	})
	t.Run("a pin of a person who may not log in leaves the one before to the usual way", func(t *testing.T) {
		s := newStory(t, p, all)
		s.in.Policy.Pins = pins
		out := moved(company(five, "dev: bob carol dave erin", "admins: alice"))
		r := s.answer(out)
		if len(r.Admitted) != len(five)-1 || len(r.Pending) != 1 ||
			r.Pending[0].LoginName != "alice" || r.Pending[0].ID != aliceID {
			t.Errorf("admitted %q, pending %+v", r.Admitted, r.Pending)
		}
		r = s.answer(out)
		if len(r.NewFormer) != 1 || r.NewFormer[0].ID != aliceID {
			t.Errorf("former %+v, want alice of IAM", r.NewFormer)
		}
	})
	t.Run("a name that another still has waits, and the number stays with the one before", func(t *testing.T) {
		// bob's uid goes to somebody who is called alice, whose own number is not pinned.
		s := newStory(t, p, all)
		s.in.Policy.Pins = maps.Clone(pins)
		s.in.Policy.Pins[of("alice")] = UserUID(all.Users[slices.IndexFunc(all.Users,
			func(u directory.User) bool { return u.Name == "bob" })].ID, p.Range)
		delete(s.in.Policy.Pins, of("bob"))
		r := s.answer(after)
		if slices.Contains(r.Admitted, of("alice")) {
			t.Errorf("alice of Identity Center has a name and a number of two: %+v", r.Tables.Users)
		}
		if got := r.Tables.user("bob"); got.UID == 0 || !got.Pending {
			t.Errorf("bob's uid has no name: %+v", got)
		}
	})
	t.Run("a group keeps its name's rights by its pin only", func(t *testing.T) {
		s := newStory(t, p, all)
		s.in.Policy.Pins = maps.Clone(pins)
		dev, _ := after.GroupNamed("dev")
		delete(s.in.Policy.Pins, dev.ID)
		s.in.EmptyAnswers = 1
		if r := s.answer(after); len(r.Admitted) > 0 || finding(r.Findings, dev.ID).Reason != GroupRecreated {
			t.Errorf("admitted %q by a group that nobody pinned: %+v", r.Admitted, r.Findings)
		}
		s = newStory(t, p, all)
		s.in.Policy.Pins = maps.Clone(pins)
		s.in.Policy.Pins[dev.ID]++
		s.in.EmptyAnswers = 1
		if r := s.answer(after); len(r.Admitted) > 0 {
			t.Errorf("admitted %q by a group with another gid: %+v", r.Admitted, r.Findings)
		}
	})
}
