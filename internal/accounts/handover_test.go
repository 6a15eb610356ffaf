package accounts

import (
	"slices"
	"strings"
	"testing"
)

func TestANameThatChangesHandsIsToldWithWhatLocalFilesGrantIt(t *testing.T) {
	again := company([]string{"alice:AIDANEWALICE", "bob", "carol", "dave", "erin"}, "dev: alice bob carol dave erin",
		"admins: alice")
	s := newStory(t, policy(), all)
	if got := s.last.HandedOver(); len(got) > 0 {
		t.Errorf("handed over: %q, before anything happened", got)
	}
	if got := s.answer(again).HandedOver(); len(got) > 0 {
		t.Errorf("handed over: %q, while the name waits", got)
	}
	r := s.answer(again)
	if got := r.HandedOver(); !slices.Equal(got, []string{"alice"}) {
		t.Fatalf("handed over: %q, want alice", got)
	}
	r.ReportGrants(nil)
	if f := finding(r.Findings, "AIDANEWALICE"); f.Reason != "" {
		t.Errorf("nothing is granted, and yet: %v", f)
	}
	grants := []Grant{{"alice", "/etc/sudoers.d/x:3", "a sudo rule"}, {"bob", "/etc/group", `a member of "docker"`},
		{"alice", "/etc/cron.d/\x1b", "a cron job"}}
	r.ReportGrants(grants)
	f := finding(r.Findings, "AIDANEWALICE")
	if f.Reason != NameHandedOver || !strings.Contains(f.Detail, `"/etc/sudoers.d/x:3" (a sudo rule)`) ||
		strings.Contains(f.Detail, "docker") ||
		strings.Contains(f.Detail, "\x1b") || !strings.Contains(f.Detail, aliceID) {
		t.Errorf("got %+v", f)
	}
	in := s.in
	in.Grants = grants
	x, err := Explain(in, "AIDANEWALICE")
	if err != nil || len(x) != 1 ||
		!slices.ContainsFunc(x[0].Steps, func(s Step) bool { return s.Reason == NameHandedOver && s.Detail == f.Detail }) {
		t.Errorf("explain says %+v, %v", x, err)
	}
	s.in.Now = s.in.Now.Add(s.in.Policy.KeepNames)
	if got := s.again().HandedOver(); len(got) > 0 {
		t.Errorf("handed over: %q, after keep_names", got)
	}
}

func TestANameInOtherLettersHasChangedHandsToo(t *testing.T) {
	again := company([]string{"ALICE:AIDANEWALICE", "bob", "carol", "dave", "erin"}, "dev: ALICE bob carol dave erin",
		"admins: ALICE")
	s := newStory(t, policy(), all)
	s.answer(again)
	r := s.answer(again)
	if got := r.HandedOver(); !slices.Equal(got, []string{"ALICE"}) {
		t.Fatalf("handed over: %q, want ALICE, who has the rules of sudo for alice", got)
	}
	r.ReportGrants([]Grant{{"ALICE", "/etc/sudoers.d/x:3", "a sudo rule"}})
	if f := finding(r.Findings, "AIDANEWALICE"); f.Reason != NameHandedOver || !strings.Contains(f.Detail, aliceID) {
		t.Errorf("got %+v", f)
	}
}
