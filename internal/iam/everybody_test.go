package iam_test

import (
	"slices"
	"testing"

	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/iam"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

func TestEverybodyOfTheAccountIsNamedWhereThatIsAllowed(t *testing.T) {
	isolate(t)
	for name, c := range map[string]struct {
		instance emulator.Instance
		bulk     bool
		whole    bool
		lists    int // calls of ListUsers in two refreshes
	}{
		"allowed":       {emulator.Instance{Role: "host"}, false, true, 1},
		"in bulk":       {emulator.Instance{Role: "host"}, true, true, 0},
		"not allowed":   {emulator.Instance{Role: "host", Policy: emulator.AllowAllBut("iam:ListUsers")}, false, false, 1},
		"not of groups": {emulator.Instance{Role: "host", Policy: emulator.AllowAllBut("iam:ListGroups")}, false, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			onEC2(t)
			e := start(t, emulator.Options{Company: company, Settings: emulator.Settings{PageSize: 2}, Instance: c.instance})
			o := quick(e)
			o.Bulk = c.bulk
			s := iam.NewSource(o)
			q := directory.Query{Groups: []string{"developers"}}
			var d directory.Directory
			for range 2 {
				a, err := s.Directory(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				d = a.Directory
			}
			if d.Whole != c.whole || (len(d.Others) > 0) != c.whole {
				t.Fatalf("whole %v with %d others, want whole %v", d.Whole, len(d.Others), c.whole)
			}
			if whole := e.Company(); c.whole && len(d.Claimants()) != len(whole.Users)+len(whole.Groups) {
				t.Errorf("%d claimants, want all %d users and %d groups", len(d.Claimants()), len(whole.Users), len(whole.Groups))
			}
			for _, claimant := range d.Others {
				if _, known := d.User(claimant.ID); known {
					t.Errorf("%s is a user of the answer and one of the others", claimant.ID)
				}
			}
			lists := 0
			for _, call := range e.Walk() {
				if call == "ListUsers" {
					lists++
				}
			}
			if c.lists == 0 && lists > 0 || c.lists > 0 &&
				(lists == 0 || slices.Contains(e.Walk()[len(e.Walk())-1:], "ListUsers")) {
				t.Errorf("calls %q: the list is read once, not at every refresh", e.Walk())
			}
		})
	}
}
