package accounts

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// uuid is an id of Identity Center's form.
func uuid(n int) string { return fmt.Sprintf("906e9a2b-7031-70c1-1f2e-%012d", n) }

// store is a directory of Identity Center: the people are all members of "Platform
// Team", in the order of their ids, and nobody says when they began.
func store(names ...string) directory.Directory {
	d := directory.Directory{Store: directory.Store{ID: "d-9067aaaaaa", Region: "eu-west-1"}, Whole: true}
	team := directory.Group{ID: uuid(900), Name: "Platform Team"}
	for i, name := range names {
		d.Users = append(d.Users, directory.User{ID: uuid(i + 1), Name: name})
		team.Members = append(team.Members, uuid(i+1))
	}
	d.Groups = []directory.Group{team}
	return d
}

func storePolicy() Policy {
	p := policy()
	p.Login, p.StripDomains = []string{"platform team"}, []string{"example.com"}
	return p
}

func TestPeopleAndGroupsOfIdentityCenterAreServed(t *testing.T) {
	r := build(t, Input{Directory: store("alice@example.com", "bob"), Policy: storePolicy()})
	var names []string
	for _, g := range r.Tables.Groups {
		names = append(names, g.Name)
	}
	if !slices.Contains(names, "Platform-Team") || len(r.Admitted) != 2 {
		t.Errorf("groups %q, admitted %q", names, r.Admitted)
	}
	for _, u := range r.Tables.Users {
		if u.UID != UserUID(u.ID, policy().Range) {
			t.Errorf("%s has the uid %d, want that of its id", u.Name, u.UID)
		}
	}
	if UserUID(uuid(1), policy().Range) == UserUID(strings.ReplaceAll(uuid(1), "-", "x"), policy().Range) {
		t.Error("both domains give one number")
	}
}

// Every bad person comes with bob, who must not notice.
func TestABadPersonIsRefusedAloneWithOneClearLine(t *testing.T) {
	for _, test := range []struct {
		name, directoryName string
		want                Reason
	}{
		{"a newline", "mallory\nroot:x:0:0", BadDirectoryName},
		{"a Unicode line end", "mallory\u2028x", BadDirectoryName},
		{"no UTF-8", "mall\xffory", BadDirectoryName},
		{"128 letters, which Unix has no room for", strings.Repeat("a", 128), NameInvalid},
		{"129 letters", strings.Repeat("a", 129), BadDirectoryName},
		{"an emoji", "mallory🙂", NameInvalid},
		{"an accent", "mällory", NameInvalid},
		{"root", "root", NameReserved},
		{"root of a domain that is stripped", "root@example.com", NameReserved},
		{"a number", "1000", NameInvalid},
		{"nothing", "", BadDirectoryName},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := build(t, Input{Directory: store(test.directoryName, "bob"), Policy: storePolicy()})
			f := finding(r.Findings, uuid(1))
			if f.Reason != test.want || len(r.Findings) != 1 || strings.ContainsAny(f.String(), "\n\r") || f.Remedy == "" {
				t.Errorf("got %d findings, %q: %q; want one of %q", len(r.Findings), f.Reason, f, test.want)
			}
			if !slices.Equal(r.Admitted, []string{uuid(2)}) {
				t.Errorf("admitted %q, want bob alone", r.Admitted)
			}
		})
	}
}

func TestACommaIsWrittenOut(t *testing.T) {
	r := build(t, Input{Directory: store("a,b"), Policy: storePolicy()})
	if len(r.Tables.Users) != 1 || r.Tables.Users[0].Name != "a.comma.b" {
		t.Errorf("got %+v", r.Tables.Users)
	}
}

func TestALoginNameOfTwoPeopleIsNobodysInIdentityCenterToo(t *testing.T) {
	for _, pair := range [][2]string{{"alice@example.com", "alice"}, {"Alice", "alice"}} {
		r := build(t, Input{Directory: store(pair[0], pair[1], "bob"), Policy: storePolicy()})
		if !slices.Equal(r.Admitted, []string{uuid(3)}) || finding(r.Findings, uuid(1)).Reason != NameTaken ||
			finding(r.Findings, uuid(2)).Reason != NameTaken {
			t.Errorf("%q: admitted %q, %v", pair, r.Admitted, r.Findings)
		}
	}
}

// with adds a group whose only member is a person.
func with(d directory.Directory, n int, name, member string) directory.Directory {
	d.Groups = append(slices.Clone(d.Groups), directory.Group{ID: uuid(n), Name: name, Members: []string{member}})
	d.Sort()
	return d
}

func TestGroupsThatDifferByLetterCaseGiveNoRightThatWasNotMeant(t *testing.T) {
	two := with(with(store("alice", "bob"), 901, "Admins", uuid(1)), 902, "admins", uuid(2))
	for _, test := range []struct {
		name string
		sudo string
		seen string // GroupId that the name was known as; "": never
		want []string
	}{
		{"the configuration spells one of them", "Admins", "", []string{"alice"}},
		{"the configuration spells the other", "admins", "", []string{"bob"}},
		{"the configuration spells neither", "ADMINS", "", nil},
		{"the configuration spells neither, and one was there before", "ADMINS", uuid(901), []string{"alice"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := storePolicy()
			p.Sudo = []string{test.sudo}
			in := Input{Directory: two, Policy: p}
			if test.seen != "" {
				in.History.Groups = []KnownGroup{{Name: "admins", ID: test.seen}}
			}
			r := build(t, in)
			var sudo []string
			for _, g := range r.Tables.Groups {
				if g.Name == SudoGroup {
					sudo = g.Members
				}
			}
			if !slices.Equal(sudo, test.want) || len(r.Admitted) != 2 {
				t.Errorf("in iam-sudo: %q, want %q; admitted %q", sudo, test.want, r.Admitted)
			}
			lines := 0
			for _, f := range r.Findings {
				if f.Kind == "group" && f.Reason == NameTaken && f.Remedy != "" {
					lines++
				}
			}
			if want := 2 - len(test.want); lines != want {
				t.Errorf("%d groups are said to be unclear, want %d: %v", lines, want, r.Findings)
			}
		})
	}
}

func TestGroupsThatDifferBySpacesOnlyKeepTheirMembersApart(t *testing.T) {
	d := with(with(store("alice", "bob"), 901, "Platform Admins", uuid(1)), 902, "Platform-Admins", uuid(2))
	p := storePolicy()
	p.Sudo, p.Publish = []string{"Platform Admins"}, []string{"*"}
	r := build(t, Input{Directory: d, Policy: p})
	for _, g := range r.Tables.Groups {
		if (g.Name == SudoGroup || g.Name == "Platform-Admins") && !slices.Equal(g.Members, []string{"alice"}) {
			t.Errorf("%s has %q, want alice, who is in the older group", g.Name, g.Members)
		}
	}
	if f := finding(r.Findings, uuid(902)); f.Reason != NameTaken {
		t.Errorf("the younger group: %v", f)
	}
}

func TestADisabledPersonHasNoRightsAndIsNotMissing(t *testing.T) {
	p := storePolicy()
	p.Sudo, p.Shared, p.Confirm = []string{"Platform Team"}, map[string][]string{"deploy": {"Platform Team"}}, 1
	host := Host{Users: []HostUser{{"deploy", 1000, 1000}}}
	d := store("alice", "bob")
	first := build(t, Input{Directory: d, Policy: p, Host: host})
	d.Users[0].Disabled = true
	in := Input{Directory: d, Policy: p, Host: host, History: first.History}
	var r Result
	for range 5 {
		r = build(t, in)
		in.History = r.History
	}
	if !slices.Equal(r.Admitted, []string{uuid(2)}) || !slices.Equal(r.Shared["deploy"], []string{uuid(2)}) {
		t.Errorf("admitted %q, shared %q", r.Admitted, r.Shared)
	}
	if len(r.NewFormer) != 0 || len(r.Pending) != 1 || r.Pending[0].LoginName != "alice" || r.Pending[0].Missed != 0 ||
		len(r.Findings) != 0 {
		t.Errorf("former %v, pending %+v, findings %v", r.NewFormer, r.Pending, r.Findings)
	}
	for _, g := range r.Tables.Groups {
		if g.Name == SudoGroup && slices.Contains(g.Members, "alice") {
			t.Error("alice is in iam-sudo")
		}
	}
	d.Users[0].Disabled = false
	r = build(t, Input{Directory: d, Policy: p, Host: host, History: r.History})
	if len(r.Admitted) != 2 || r.Tables.Users[0].Former || r.Tables.Users[1].Former {
		t.Errorf("enabled again: %q", r.Admitted)
	}
	if r := build(t, Input{Directory: store("alice"), Policy: p, Host: host}); len(r.Tables.Users) != 1 {
		t.Errorf("%d users", len(r.Tables.Users))
	}
}

func TestADisabledPersonWhoWasNeverSeenIsNotServed(t *testing.T) {
	d := store("alice", "bob")
	d.Users[0].Disabled = true
	if r := build(t, Input{Directory: d, Policy: storePolicy()}); len(r.Tables.Users) != 1 ||
		r.Tables.Users[0].Name != "bob" {
		t.Errorf("got %+v", r.Tables.Users)
	}
}

func TestWithoutADateOfCreationTheLesserIDIsSenior(t *testing.T) {
	dated := principal{kind: iamUser, id: uuid(1), created: time.Unix(1, 0)}
	a, b := principal{kind: iamUser, id: uuid(2)}, principal{kind: iamUser, id: uuid(3)}
	if !senior(&a, &b) || senior(&b, &a) || !senior(&b, &dated) {
		t.Error("the order is not by id, those without a date first")
	}
}

func TestMembersOfWhomTheDirectorySaysTooLittleAreReported(t *testing.T) {
	d := store("bob")
	d.Refused = []directory.Refusal{{ID: uuid(7), Reason: "is a member of the group \"x\", and is not there any more",
		Remedy: "remove the membership"}}
	r := build(t, Input{Directory: d, Policy: storePolicy()})
	if f := finding(r.Findings, uuid(7)); f.Reason != LeftOut || f.Remedy != "remove the membership" ||
		len(r.Admitted) != 1 {
		t.Errorf("got %v", r.Findings)
	}
}

func TestAGroupsTagNamesGroupsOfIdentityCenter(t *testing.T) {
	for value, want := range map[string][]string{
		"Platform Admins":                  {"Platform Admins"},
		" Platform  Admins , Zürich;ops,,": {"Platform  Admins", "Zürich;ops"},
		"Sales, EU":                        {"Sales", "EU"}, // a comma is always between names
		strings.Repeat("ü", 1024):          {strings.Repeat("ü", 1024)},
	} {
		if got, err := ParseGroupsTag(value, directory.StoreForm); err != nil || !slices.Equal(got, want) {
			t.Errorf("%.80q is read as %.80q, %v", value, got, err)
		}
	}
	for _, value := range []string{"", ", ,", "a\nb", "a\tb", "a\x00", "a\xff", "a\u2028b", strings.Repeat("ü", 1025)} {
		got, err := ParseGroupsTag(value, directory.StoreForm)
		if err == nil || strings.ContainsAny(err.Error(), "\n\t\x00") {
			t.Errorf("%.80q is read as %.80q, %v", value, got, err)
		}
	}
}
