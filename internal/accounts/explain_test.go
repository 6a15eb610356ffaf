package accounts

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/internal/directory"
)

func told(x Explanation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s\n", x.Kind, x.UnixName, x.State)
	for _, s := range x.Steps {
		mark := "ok"
		if !s.OK {
			mark = string(s.Reason)
		}
		fmt.Fprintf(&b, "%s [%s] %s\n", s.Rule, mark, s.Detail)
	}
	return b.String()
}

func TestExplainTellsEveryRuleInItsOrder(t *testing.T) {
	s := newStory(t, sudoPolicy(), all)
	alice := s.last.Tables.user("alice")
	for _, query := range []string{"alice", "ALICE", aliceID, fmt.Sprint(alice.UID)} {
		got, err := Explain(s.in, query)
		if err != nil || len(got) != 1 {
			t.Fatalf("explain %s: %d explanations, %v", query, len(got), err)
		}
		var names []string
		for _, g := range s.last.Tables.Groups {
			if slices.Contains(alice.Groups, g.GID) {
				names = append(names, g.Name)
			}
		}
		want := fmt.Sprintf(`user alice: served
directory name [ok] the directory has the user "alice", created 2026-01-01 00:00:00 UTC
login rule [ok] may log in as a member of dev
expiry [ok] no expiry tag is configured
Unix name [ok] the Unix name is alice
name owner [ok] no other user has the login name alice
id [ok] the id %d follows from %s
id owner [ok] nobody older has the id %[1]d
host files [ok] the host has neither the name nor the id
history [ok] the history has nobody else under the name or the id
groups [ok] is in alice, %[3]s
`, alice.UID, aliceID, strings.Join(names, ", "))
		if told(got[0]) != want {
			t.Errorf("explain %s:\ngot  %s\nwant %s", query, told(got[0]), want)
		}
		if got[0].Account == nil || !reflect.DeepEqual(*got[0].Account, alice) {
			t.Errorf("got the account %+v, want %+v", got[0].Account, alice)
		}
	}
}

func TestExplainFollowsAUserWhoIsRemoved(t *testing.T) {
	s := newStory(t, policy(), all)
	uid := s.last.Tables.user("alice").UID
	state := func() (string, string) {
		t.Helper()
		got, err := Explain(s.in, fmt.Sprint(uid))
		if err != nil || len(got) != 1 {
			t.Fatalf("%d explanations, %v", len(got), err)
		}
		last := got[0].Steps[len(got[0].Steps)-1]
		if last.Rule == "groups" {
			last = got[0].Steps[len(got[0].Steps)-2]
		}
		return got[0].State, last.Detail
	}
	s.answer(noAlice)
	if got, detail := state(); got != StatePending ||
		detail != `served before as "alice", missing in 1 of 2 answers; has no rights, `+
			`and becomes former when it is confirmed` {
		t.Errorf("got %s: %s", got, detail)
	}
	s.answer(noAlice)
	if got, detail := state(); got != StateFormer || !strings.HasPrefix(detail, "former since 2026-01-01 16:43:00 UTC; "+
		"the id ") || !strings.HasSuffix(detail, "until 2026-04-01 16:43:00 UTC") {
		t.Errorf("got %s: %s", got, detail)
	}
	s.answer(all)
	if got, _ := state(); got != StateServed {
		t.Errorf("got %s, want the returned user served", got)
	}
}

func TestExplainWorksOnAnAnswerThatIsRefused(t *testing.T) {
	s := newStory(t, policy(), all)
	s.in.Directory = company(nil, "dev:")
	got, err := Explain(s.in, "alice")
	if err != nil || len(got) != 1 || got[0].State != StatePending {
		t.Errorf("got %+v, %v; want alice pending removal", got, err)
	}
}

func TestExplainKnowsTheHostsOwnAndNobodyElse(t *testing.T) {
	in := Input{Directory: all, Policy: policy(), Host: localHost, Now: at(0)}
	got, err := Explain(in, "docker")
	if err != nil || len(got) != 1 || got[0].State != StateLocal || got[0].Kind != "group" {
		t.Errorf("got %+v, %v; want the local group docker", got, err)
	}
	if got, err := Explain(in, "mallory"); err != nil || len(got) != 0 {
		t.Errorf("got %+v, %v; want nobody", got, err)
	}
	got, err = Explain(in, "iam-sudo")
	if err != nil || len(got) != 1 || got[0].State != StateServed {
		t.Errorf("got %+v, %v; want the served group iam-sudo", got, err)
	}
}

func TestExplainTellsAllThatIsWrongAtOnce(t *testing.T) {
	d := company([]string{"alice", "bob"}, "dev: bob")
	got, err := Explain(Input{Directory: d, Policy: policy(), Host: localHost, Now: at(0)}, aliceID)
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	var reasons []Reason
	for _, s := range got[0].Steps {
		if !s.OK {
			reasons = append(reasons, s.Reason)
		}
	}
	if want := []Reason{NoLogin, HostName}; !reflect.DeepEqual(reasons, want) {
		t.Errorf("got %q, want %q", reasons, want)
	}
}

func TestCompareTellsPeopleWhatARefreshDoes(t *testing.T) {
	robert := "robert:" + company([]string{"bob"}).Users[0].ID
	s := newStory(t, sudoPolicy(), all)
	before := s.last.Tables
	after := company([]string{"frank", robert, "carol", "dave", "erin"}, "dev: frank robert carol dave erin",
		"admins: robert carol")
	s.answer(after)
	r := s.answer(after)
	c := Compare(before, r.Tables)
	names := func(users []User) (n []string) {
		for _, u := range users {
			n = append(n, u.Name)
		}
		return n
	}
	if got := names(c.Added); !reflect.DeepEqual(got, []string{"frank"}) {
		t.Errorf("added %q", got)
	}
	if got := names(c.BecameFormer); !reflect.DeepEqual(got, []string{"alice"}) {
		t.Errorf("left %q", got)
	}
	if len(c.Renamed) != 1 || c.Renamed[0].Old != "bob" || c.Renamed[0].New != "robert" {
		t.Errorf("renamed %+v", c.Renamed)
	}
	has := func(all []Membership, group, user string) bool { return slices.Contains(all, Membership{group, user}) }
	if len(c.MembersAdded) != 2+2+2 || !has(c.MembersAdded, "iam-sudo", "robert") ||
		!has(c.MembersAdded, "admins", "carol") || !has(c.MembersAdded, "dev", "frank") {
		t.Errorf("joined %+v", c.MembersAdded)
	}
	if len(c.MembersRemoved) != 4 || !has(c.MembersRemoved, "iam-sudo", "alice") ||
		!has(c.MembersRemoved, "dev", "alice") {
		t.Errorf("parted %+v", c.MembersRemoved)
	}
	if back := Compare(r.Tables, before); len(back.Returned) != 1 || len(back.Expired) != 1 {
		t.Errorf("the way back: %+v", back)
	}
	if c := Compare(before, before); !c.Empty() {
		t.Errorf("no change is told as %+v", c)
	}
}

func TestAGroupsTagIsReadStrictly(t *testing.T) {
	if got, err := ParseGroupsTag(" developers, ops+1 ,,x@y.z", directory.IAMForm); err != nil ||
		!reflect.DeepEqual(got, []string{"developers", "ops+1", "x@y.z"}) {
		t.Errorf("got %q, %v", got, err)
	}
	for _, value := range []string{"", " , ", "a b", "a\nb", "$(id)", "a;b", "ſ", strings.Repeat("a", 129)} {
		if got, err := ParseGroupsTag(value, directory.IAMForm); err == nil {
			t.Errorf("%q is read as %q", value, got)
		}
	}
}
