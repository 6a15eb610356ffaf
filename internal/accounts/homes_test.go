package accounts

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestNobodyIsGivenAHomeThatAnotherUIDOwns(t *testing.T) {
	d := company([]string{"alice", "bob"}, "dev: alice bob")
	first := build(t, Input{Directory: d, Policy: policy(), Now: at(0)})
	user := func(r Result, name string) User {
		i := slices.IndexFunc(r.Tables.Users, func(u User) bool { return u.Name == name })
		if i < 0 {
			t.Fatalf("%q is not served", name)
		}
		return r.Tables.Users[i]
	}
	alice := user(first, "alice")
	usual, own := "/home/alice", "/home/alice-"+strconv.FormatUint(uint64(alice.UID), 10)
	for name, c := range map[string]struct {
		foreign map[string]uint32
		home    string
		says    []string
	}{
		"nobody else owns it":    {nil, usual, nil},
		"it is the person's own": {map[string]uint32{usual: alice.UID}, usual, nil},
		"a recreated person's predecessor owns it": {map[string]uint32{usual: 2001000007}, own,
			[]string{"uid 2001000007 owns", usual, own}},
		"a local account owns it": {map[string]uint32{usual: 1000}, own, []string{"uid 1000 owns"}},
		"the one beside it is taken as well": {map[string]uint32{usual: 1000, own: 1001}, "/nonexistent",
			[]string{"has no home", "uid 1001"}},
		"others may write to it": {map[string]uint32{usual: Anybody}, own,
			[]string{"others may write to the folder", usual}},
		"another's home is taken": {map[string]uint32{"/home/bob": 1000}, usual, nil},
	} {
		t.Run(name, func(t *testing.T) {
			in := Input{Directory: d, Policy: policy(), Now: at(1), History: first.History, ForeignHomes: c.foreign}
			r := build(t, in)
			if got := user(r, "alice").Home; got != c.home {
				t.Errorf("home %q, want %q", got, c.home)
			}
			i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.ID == alice.ID && f.Reason == HomeTaken })
			if (i >= 0) != (c.says != nil) {
				t.Fatalf("findings %v, want one about the home: %v", r.Findings, c.says != nil)
			}
			for _, want := range c.says {
				if !strings.Contains(r.Findings[i].Detail, want) || r.Findings[i].Remedy == "" {
					t.Errorf("finding %q, want it to say %q and a remedy", r.Findings[i], want)
				}
			}
			x, err := Explain(in, "alice")
			if err != nil || len(x) != 1 {
				t.Fatalf("explain: %v, %v", x, err)
			}
			step := slices.ContainsFunc(x[0].Steps, func(s Step) bool { return s.Rule == "home" && !s.OK })
			if step != (c.says != nil) || x[0].State != StateServed {
				t.Errorf("explain has the step: %v, state %q", step, x[0].State)
			}
			if !slices.Contains(r.Homes, Home{usual, alice.UID}) {
				t.Errorf("homes considered %v, want the usual one among them", r.Homes)
			}
		})
	}
}

func TestWhoIsPendingRemovalKeepsTheHomeBesideAForeignOne(t *testing.T) {
	foreign := map[string]uint32{"/home/alice": 1000}
	s := newStory(t, policy(), all)
	s.in.ForeignHomes = foreign
	s.again()
	r := s.answer(noAlice)
	i := slices.IndexFunc(r.Tables.Users, func(u User) bool { return u.ID == aliceID })
	if i < 0 || !strings.HasPrefix(r.Tables.Users[i].Home, "/home/alice-2") {
		t.Errorf("rows %v, want alice with the home beside the foreign one", r.Tables.Users)
	}
}
