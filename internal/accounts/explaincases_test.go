package accounts

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// explained is one explanation, or a failure.
func explained(t *testing.T, in Input, query string) Explanation {
	t.Helper()
	all, err := Explain(in, query)
	if err != nil || len(all) != 1 {
		t.Fatalf("explain %q: %d explanations, %v", query, len(all), err)
	}
	return all[0]
}

func TestExplainFindsSomebodyByEachNameAndNobodyByPartsOfThem(t *testing.T) {
	s := newStory(t, policy(), all)
	uid := s.last.Tables.user("alice").UID
	dev := s.last.Tables.group("dev")
	for query, want := range map[string]string{
		"alice": "alice", "ALICE": "alice", aliceID: "alice", fmt.Sprint(uid): "alice",
		"dev": "dev", "Dev": "dev", dev.ID: "dev", fmt.Sprint(dev.GID): "dev", UsersGroup: UsersGroup,
		"alic": "", "alicee": "", strings.ToLower(aliceID): "", fmt.Sprint(uid - 1): "", fmt.Sprint(uint64(uid) + 1<<32): "",
		"-1": "", "0": "", "65534": "",
	} {
		got, err := Explain(s.in, query)
		if err != nil || want == "" && len(got) != 0 || want != "" && (len(got) != 1 || got[0].UnixName != want ||
			got[0].State != StateServed) {
			t.Errorf("%q: %+v, %v; want %q", query, got, err, want)
		}
	}
	s.answer(noAlice)
	s.answer(noAlice)
	for _, query := range []string{"alice", aliceID, fmt.Sprint(uid)} {
		if x := explained(t, s.in, query); x.ID != aliceID || x.State != StateFormer || x.Kind != "user" ||
			x.Account == nil || !x.Account.Former {
			t.Errorf("%q, who is former: %+v", query, x)
		}
	}
}

func TestExplainTellsAGroupsStates(t *testing.T) {
	d := company(five, "dev: alice bob carol dave erin", "admins: alice", "other: bob")
	p := sudoPolicy()
	p.Publish = []string{"team"}
	s := newStory(t, p, d)
	if x := explained(t, s.in, "other"); x.Kind != "group" || x.State != StateNot || x.Account != nil ||
		!strings.Contains(told(x), "publication [no-login]") {
		t.Errorf("a group that nothing names: %s", told(x))
	}
	if x := explained(t, s.in, "admins"); x.State != StateServed || !x.sound() || strings.Contains(told(x), "removal") {
		t.Errorf("a served group: %s", told(x))
	}
	s.answer(withoutGroup(d, "admins"))
	x := explained(t, s.in, "admins")
	if x.Kind != "group" || x.State != StateFormer || !strings.Contains(told(x), "the directory's answer has nobody "+
		"with the id "+x.ID) || !strings.Contains(told(x), "former since") {
		t.Errorf("a group that is gone: %s", told(x))
	}
}

func TestExplainTellsWhyAPersonHasNoRights(t *testing.T) {
	s := newStory(t, policy(), all)
	s.in.Denied = []string{aliceID}
	s.again()
	if x := explained(t, s.in, "alice"); x.State == StateFormer || x.Account == nil || !x.Account.Pending {
		t.Errorf("denied: %s, account %+v", told(x), x.Account)
	}
	s = newStory(t, policy(), crowd(0))
	s.answer(crowd(5))
	if x := explained(t, s.in, "u0"); x.State != StatePending || !strings.Contains(told(x), "missing in 1 answers") ||
		!strings.Contains(told(x), "removals were held back") || x.Steps[len(x.Steps)-2].Remedy == "" {
		t.Errorf("held back: %s", told(x))
	}
	s = newStory(t, policy(), all)
	s.answer(noAlice)
	if x := explained(t, s.in, "alice"); x.State != StatePending ||
		!strings.Contains(told(x), "missing in 1 of 2 answers") {
		t.Errorf("not confirmed: %s", told(x))
	}
	if again, err := Explain(s.in, "alice"); err != nil || !strings.Contains(told(again[0]), "missing in 1 of 2 answers") {
		t.Errorf("asking counted as an answer: %s, %v", told(again[0]), err)
	}
}

func TestExplainNamesEveryGroupOfAnAccount(t *testing.T) {
	d := company([]string{"bob"}, "dev: bob", "tv: bob", "team-a: bob")
	p := policy()
	p.Publish, p.MaxGroups, p.MapGroups, p.AllowPrivileged = []string{"team-*"}, 4, map[string]string{"tv": "video"},
		[]string{"video"}
	in := Input{Directory: d, Policy: p, Now: at(1000), Host: Host{Groups: []HostGroup{{"video", 44, nil}}}}
	x := explained(t, in, "bob")
	var groups []string
	for _, s := range x.Steps {
		if s.Rule == "groups" {
			groups = append(groups, s.Detail)
		}
	}
	if len(groups) != 2 || !strings.HasPrefix(groups[0], "is in bob, 44 of the host, ") ||
		!strings.Contains(groups[0], "dev") || !strings.Contains(groups[0], UsersGroup) ||
		strings.Contains(groups[0], "team-a") || !strings.HasPrefix(groups[1], "is left out of team-a to stay") {
		t.Errorf("got %q", groups)
	}
	if !reflect.DeepEqual(x.Account.Groups[0], uint32(44)) {
		t.Errorf("the account is %+v", x.Account)
	}
}
