package accounts

import (
	"slices"
	"strconv"
	"testing"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// colliding returns two user ids that have one number in a small range.
func colliding(t *testing.T, r Range) (a, b string) {
	t.Helper()
	seen := map[uint32]string{}
	for n := range 10000 {
		id := "AIDACOLLIDING" + strconv.Itoa(n)
		uid := UserUID(id, r)
		if other, taken := seen[uid]; taken {
			return other, id
		}
		seen[uid] = id
	}
	t.Fatal("no two ids have one number")
	return "", ""
}

func TestAUIDIsClaimedByPeopleWhomThisHostDoesNotServe(t *testing.T) {
	p := policy()
	p.Range = Range{2001000000, 2001000100}
	older, younger := colliding(t, p.Range)
	user := func(id, name string, created int) directory.User {
		return directory.User{ID: id, Name: name, Created: at(created)}
	}
	// One host serves the one, another the other; both can name the two of them.
	host := func(u directory.User, others ...directory.Claimant) Result {
		d := directory.Directory{
			Users:  []directory.User{u},
			Groups: []directory.Group{{ID: "AGPADEV", Name: "dev", Members: []string{u.ID}}},
		}
		return build(t, Input{Directory: d.WithOthers(others, true), Policy: p, Now: at(1000)})
	}
	served := func(r Result) bool { return len(r.Tables.Users) == 1 && !r.Tables.Users[0].Former }
	zed, amy := user(older, "zed", 1), user(younger, "amy", 2)
	claim := func(u directory.User) directory.Claimant {
		return directory.Claimant{ID: u.ID, Name: u.Name, Created: u.Created}
	}

	if r := host(amy); !served(r) {
		t.Error("a host that can name nobody else does not serve amy")
	}
	if r := host(zed, claim(amy)); !served(r) {
		t.Error("the older of the two lost the number")
	}
	r := host(amy, claim(zed))
	if served(r) {
		t.Error("the younger has a number that is the older one's on other hosts")
	}
	if !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.ID == younger && f.Reason == IDTaken }) {
		t.Errorf("findings %v, want one that says whose the number is", r.Findings)
	}
	group := directory.Claimant{ID: "AGPAOTHER", Group: true, Name: "other", Created: at(0)}
	p.Pins = map[string]uint32{"AGPAOTHER": UserUID(younger, p.Range)}
	if r := host(amy, group); !served(r) {
		t.Error("a pin of a group elsewhere took the number that amy has by her id")
	}
}

func TestWhoIsServedIsNotAClaimantBesides(t *testing.T) {
	d := company([]string{"alice", "bob"}, "dev: alice bob")
	whole := d.WithOthers(d.Claimants(), true)
	if len(whole.Others) != 0 || !whole.Whole {
		t.Errorf("others %v, want nobody: all are users and groups of the answer", whole.Others)
	}
	r := build(t, Input{Directory: whole, Policy: policy(), Now: at(0)})
	if len(r.Admitted) != 2 || len(r.Findings) != 0 {
		t.Errorf("admitted %v, findings %v", r.Admitted, r.Findings)
	}
}
