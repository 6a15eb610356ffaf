package accounts

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/internal/directory"
)

func TestALoginNameThatTwoPeopleMapToIsNobodys(t *testing.T) {
	p := policy()
	p.StripDomains = []string{"example.com"}
	before := company([]string{"alice@example.com", "zed", "bob"}, "dev: alice@example.com zed bob")
	zed := before.Users[slices.IndexFunc(before.Users, func(u directory.User) bool { return u.Name == "zed" })].ID
	alice := before.Users[slices.IndexFunc(before.Users,
		func(u directory.User) bool { return u.Name == "alice@example.com" })].ID
	renamed := company([]string{"alice@example.com", "alice:" + zed, "bob"}, "dev: alice@example.com alice bob")

	if got := loginNames(build(t, Input{Directory: renamed, Policy: p}).Tables); !reflect.DeepEqual(got, []string{"bob"}) {
		t.Errorf("a new host serves %q, want bob alone", got)
	}
	s := newStory(t, p, before)
	was := s.last.Tables
	for n := range 5 {
		r := s.answer(renamed)
		if len(r.Admitted) != 1 || len(r.NewFormer) > 0 {
			t.Fatalf("answer %d: %q may log in, %d became former", n, r.Admitted, len(r.NewFormer))
		}
		for id, other := range map[string]string{alice: `"alice"`, zed: `"alice@example.com"`} {
			f := finding(r.Findings, id)
			if f.Reason != NameTaken || !strings.Contains(f.Detail, "given to nobody") || !strings.Contains(f.Detail, other) {
				t.Errorf("answer %d: got %v, want the other's name in it", n, f)
			}
		}
		if u := r.Tables.user("alice"); u.ID != alice || !u.Pending {
			t.Errorf("answer %d: the uid of alice@example.com lost its name: %+v", n, u)
		}
	}
	if x, err := Explain(s.in, alice); err != nil || len(x) != 1 || x[0].State != StatePending ||
		!strings.Contains(told(x[0]), "has no rights until") {
		t.Errorf("explain says %+v, %v", x, err)
	}
	if r := s.answer(before); !reflect.DeepEqual(r.Tables, was) {
		t.Error("the directory put it right, and the people are not as before")
	}
}

func TestThreePeopleOfOneNameAllLoseIt(t *testing.T) {
	p := everybody()
	p.StripDomains, p.Lowercase = []string{"example.com", "example.org"}, true
	d := company([]string{"al@example.com", "AL@example.org", "al", "bob"})
	if got := loginNames(build(t, Input{Directory: d, Policy: p}).Tables); !reflect.DeepEqual(got, []string{"bob"}) {
		t.Errorf("served are %q, want bob alone", got)
	}
}

func TestAReservedNameKeepsTheIdentityOfWhoHadIt(t *testing.T) {
	s := newStory(t, policy(), all)
	s.in.Policy.Reserve = []string{"alice"}
	for range 4 {
		r := s.again()
		if u := r.Tables.user("alice"); !u.Pending || u.Former || contains(r.Admitted, aliceID) {
			t.Fatalf("got %+v, want the uid to keep its name without rights", u)
		}
	}
	s.in.AcceptRemovals = true
	if r := s.again(); !r.Tables.user("alice").Former {
		t.Error("a person's word did not make alice former")
	}
}

func TestOrdinaryNamesAreNotReserved(t *testing.T) {
	for _, name := range []string{"alice", "first.last", "a.b.c", "roots", "jo.admins", "x.root", "mary.ann", "daemonia"} {
		if why := (Policy{}).reserved(name); why != "" {
			t.Errorf("%q is reserved: %s", name, why)
		}
	}
}

// sudo compares the names of groups without regard to case, and its rules outlive groups.
func TestTheNameOfAGroupIsNoUsersInAnyLettersNorWhenTheGroupIsGone(t *testing.T) {
	p := sudoPolicy()
	p.Publish = []string{"ops", "team-*"}
	others := []string{"admins: alice", "ops: alice", "team-web: alice"}
	first := company([]string{"alice"}, append([]string{"dev: alice"}, others...)...)
	before := build(t, Input{Directory: first, Policy: p})
	for _, c := range []struct {
		name string
		gone bool
		want Reason
	}{
		{"admins", false, NameTaken},
		{"Admins", false, NameTaken},
		{"ADMINS", false, NameTaken},
		{"Dev", false, NameTaken},
		{"Ops", false, NameTaken},
		{"Team-Web", false, NameTaken},
		{"admins", true, NameReserved},
		{"Admins", true, NameReserved},
		{"Ops", true, NameReserved},
		{"dEv", true, NameTaken},
		{"admin", false, NameReserved}, // a name that images have
		{"admins2", false, ""},
		{"team-web", true, ""}, // a pattern names nobody
		{"team-x", false, ""},
	} {
		d := company([]string{c.name + ":x", "alice"}, append([]string{"dev: alice " + c.name}, others...)...)
		if c.gone {
			d = withoutGroup(withoutGroup(withoutGroup(d, "ops"), "team-web"), "admins")
		}
		r := build(t, Input{Directory: d, Policy: p, History: before.History})
		if f := finding(r.Findings, "x"); f.Reason != c.want || contains(r.Admitted, "x") != (c.want == "") {
			t.Errorf("%s, others gone %v: got %+v, admitted %v; want the reason %q", c.name, c.gone, f, r.Admitted, c.want)
		}
	}
}

func TestOfGroupsThatDifferInCaseOneIsServed(t *testing.T) {
	p := policy()
	p.Publish = []string{"*"}
	d := company([]string{"alice"}, "dev: alice", "ops: alice", "Ops: alice")
	r := build(t, Input{Directory: d, Policy: p})
	if a, b := r.Tables.group("ops").Name, r.Tables.group("Ops").Name; (a == "") == (b == "") {
		t.Errorf("served are %q and %q, want one of the two", a, b)
	}
}

func TestAUserWithoutALoginShutsOutWhoMapsToTheSameName(t *testing.T) {
	p := policy()
	p.StripDomains = []string{"example.com"}
	for name, other := range map[string]string{"alice": "alice@example.com", "a@b": "a.at.b", "bob": "carol"} {
		d := company([]string{name + ":x", other}, "dev: "+name)
		want := name == "bob"
		if r := build(t, Input{Directory: d, Policy: p}); contains(r.Admitted, "x") != want {
			t.Errorf("%s, beside %s who is in no group: admitted are %q, want that it is: %v", name, other, r.Admitted, want)
		}
	}
}
