package accounts

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// The published pair of ids with one number in the default range.
const (
	twinA, twinB = "AIDAEXAMPLE0000000666", "AIDAEXAMPLE0000014513"
	twinNumber   = 2011399667
)

func twins(a, b time.Time) directory.Directory {
	return directory.Directory{
		Users:  []directory.User{{ID: twinA, Name: "anna", Created: a}, {ID: twinB, Name: "bert", Created: b}},
		Groups: []directory.Group{{ID: "AGPADEV", Name: "dev", Members: []string{twinA, twinB}}},
	}
}

func TestOfTwoWithOneIDTheOlderKeepsIt(t *testing.T) {
	for _, test := range []struct {
		name string
		a, b time.Time
		want string
	}{
		{"the first is older", at(0), at(1), twinA},
		{"the second is older", at(1), at(0), twinB},
		{"both are as old, and the lesser id decides", at(1), at(1), twinA},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := build(t, Input{Directory: twins(test.a, test.b), Policy: policy()})
			if !reflect.DeepEqual(r.Admitted, []string{test.want}) {
				t.Errorf("got admitted %q, want %s alone", r.Admitted, test.want)
			}
			loser := twinA
			if test.want == twinA {
				loser = twinB
			}
			f := finding(r.Findings, loser)
			if f.Reason != IDTaken || f.UnixID != twinNumber || !strings.Contains(f.Remedy, `pin = { "`+loser+`" = N }`) {
				t.Errorf("got %+v, want the number's owner and the pin as remedy", f)
			}
		})
	}
}

func TestAnOlderUserWhoMayNotLogInKeepsTheUIDAllTheSame(t *testing.T) {
	d := twins(at(0), at(1))
	d.Groups[0].Members = []string{twinB}
	r := build(t, Input{Directory: d, Policy: policy()})
	if len(r.Admitted) != 0 || finding(r.Findings, twinB).Reason != IDTaken {
		t.Errorf("got admitted %q: a number must not depend on groups", r.Admitted)
	}
}

func TestAPinEndsACollision(t *testing.T) {
	for pinned, other := range map[string]string{twinA: twinB, twinB: twinA} {
		p := policy()
		p.Pins = map[string]uint32{pinned: 2001000007}
		r := build(t, Input{Directory: twins(at(0), at(1)), Policy: p})
		got := map[string]uint32{}
		for _, u := range r.Tables.Users {
			got[u.ID] = u.UID
		}
		if want := map[string]uint32{pinned: 2001000007, other: twinNumber}; !reflect.DeepEqual(got, want) ||
			len(r.Findings) > 0 {
			t.Errorf("got %v, findings %v; want %v", got, r.Findings, want)
		}
	}
}

func TestTheUIDOfAnOlderUserIsNotGivenToTheYoungerWhileRemembered(t *testing.T) {
	both := twins(at(0), at(1))
	one := directory.Directory{Users: both.Users[1:],
		Groups: []directory.Group{{ID: "AGPADEV", Name: "dev", Members: []string{twinB}}}}
	p := policy()
	p.MaxFraction = 1
	s := newStory(t, p, both)
	s.answer(one)
	r := s.answer(one)
	if len(r.Admitted) != 0 || r.Tables.user("anna").UID != twinNumber || !r.Tables.user("anna").Former ||
		finding(r.Findings, twinB).Reason != HeldByHistory {
		t.Errorf("got admitted %q, users %+v, findings %v", r.Admitted, r.Tables.Users, r.Findings)
	}
	s.in.Now = s.in.Now.Add(p.KeepNames)
	if r = s.again(); !reflect.DeepEqual(r.Admitted, []string{twinB}) {
		t.Errorf("the number is free again and bert is not served: %v", r.Findings)
	}
}

func TestAUserAndAGroupShareOneSpaceOfIDs(t *testing.T) {
	// In a range of eight numbers an id of every kind is soon found for each.
	p := everybody()
	p.Range, p.Publish = Range{70000, 70007}, []string{"*"}
	taken := map[uint32]bool{FixedGID(UsersGroup, p.Range): true, FixedGID(SudoGroup, p.Range): true}
	user, group := "", ""
	for i := 0; user == "" || group == ""; i++ {
		id := strings.Repeat("X", i+1)
		if n := UserUID("AIDA"+id, p.Range); user == "" && !taken[n] {
			user = "AIDA" + id
		}
		if user != "" && GroupGID("AGPA"+id, p.Range) == UserUID(user, p.Range) {
			group = "AGPA" + id
		}
	}
	for _, groupIsOlder := range []bool{true, false} {
		d := directory.Directory{Users: []directory.User{{ID: user, Name: "anna", Created: at(5)}},
			Groups: []directory.Group{{ID: group, Name: "team", Created: at(9)}}}
		if groupIsOlder {
			d.Groups[0].Created = at(1)
		}
		r := build(t, Input{Directory: d, Policy: p})
		if served := r.Tables.user("anna").ID != ""; served == groupIsOlder {
			t.Errorf("the group is older: %v, and the user is served: %v", groupIsOlder, served)
		}
		if served := r.Tables.group("team").ID != ""; served != groupIsOlder {
			t.Errorf("the group is older: %v, and the group is served: %v", groupIsOlder, served)
		}
	}
}
