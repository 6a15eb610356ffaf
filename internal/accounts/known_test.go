package accounts

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// A history of version 0.1.0 has no list of groups: which GroupId a name had is
// taken from its entries, of which the one served last counts.
func TestOfEarlierGroupsOfANameTheLastServedIsTheKnownOne(t *testing.T) {
	entry := func(id string, former int) Entry {
		e := Entry{Group: true, ID: id, DirectoryName: "Dev", UnixName: "dev"}
		if former > 0 {
			e.FormerSince = at(former)
		}
		return e
	}
	for _, c := range []struct {
		name    string
		entries []Entry
		want    string // the GroupId; "": the name was never seen
	}{
		{"one that is served", []Entry{entry("A", 0)}, "A"},
		{"one that is former", []Entry{entry("A", 1)}, "A"},
		{"of two former ones the later", []Entry{entry("A", 1), entry("B", 2)}, "B"},
		{"of two former ones the later, which stands first", []Entry{entry("A", 2), entry("B", 1)}, "A"},
		{"the served one before a former one", []Entry{entry("A", 0), entry("B", 2)}, "A"},
		{"the served one after a former one", []Entry{entry("A", 2), entry("B", 0)}, "B"},
		{"a user of that name is no group", []Entry{{ID: "A", DirectoryName: "dev", UnixName: "dev"}}, ""},
		{"the fixed groups are no groups of the directory",
			[]Entry{{Group: true, ID: UsersGroup, DirectoryName: "dev", UnixName: "dev"},
				{Group: true, ID: SudoGroup, DirectoryName: "dev", UnixName: "sudoers"}}, ""},
	} {
		in := Input{Directory: withoutGroup(company([]string{"alice"}, "dev: alice"), "dev"), Policy: policy(),
			Now: at(1000), AcceptRemovals: true}
		for i := range c.entries {
			c.entries[i].UnixID = in.Policy.Range.Low + uint32(i)
		}
		in.History.Entries = c.entries
		r, err := Build(in)
		if c.want == "" {
			if !errors.Is(err, ErrUnknownGroup) {
				t.Errorf("%s: %v, want %v", c.name, err, ErrUnknownGroup)
			}
			continue
		}
		if err != nil || finding(r.Findings, c.want).Reason != GroupMissing {
			t.Errorf("%s: %v, findings %v; want the known group %s missing", c.name, err, r.Findings, c.want)
		}
	}
}

func TestAGroupThatIsNamedAndKnownNowhereElseIsForgotten(t *testing.T) {
	in := Input{Directory: company([]string{"alice"}, "dev: alice"), Policy: policy(), Now: at(1000)}
	in.History.Entries = []Entry{{Group: true, ID: "AGPAOLD", DirectoryName: "old", UnixName: "old",
		UnixID: in.Policy.Range.Low}}
	r := build(t, in)
	if want := []KnownGroup{{Name: "dev", ID: in.Directory.Groups[0].ID}}; !reflect.DeepEqual(r.History.Groups, want) {
		t.Errorf("known are %+v, want %+v", r.History.Groups, want)
	}
}

func TestWhatIsHeldBackIsToldWithSomeNames(t *testing.T) {
	for _, c := range []struct {
		h    HeldBack
		says string
		not  string
	}{
		{HeldBack{Pending: 2, Of: 9, MaxFraction: 0.1}, "2 of 9 users have lost", "("},
		{HeldBack{Pending: 2, Of: 9, LoginNames: []string{"a", "b"}}, "2 of 9 users (a, b) have lost", "…"},
		{HeldBack{Pending: 3, Of: 9, LoginNames: []string{"a", "b"}}, "3 of 9 users (a, b, …) have lost", "nobody"},
		{HeldBack{Pending: 3, Of: 9, MaxFraction: 0.1}, "removal.max_fraction is 0.1", "nobody"},
		{HeldBack{Pending: 3, Of: 3, Empty: true}, "nobody may log in by this answer", "max_fraction"},
	} {
		if got := c.h.What(); !strings.Contains(got, c.says) || strings.Contains(got, c.not) {
			t.Errorf("got %q, want %q and not %q", got, c.says, c.not)
		}
	}
}

// max_fraction is a share of the people who were served: groups, former users
// and numbers outside the range are none of them.
func TestTheShareThatIsLostIsOneOfPeople(t *testing.T) {
	p := sudoPolicy()
	p.Confirm, p.MaxFraction = 1, 0.25
	for _, c := range []struct {
		lost int
		held bool
	}{{5, false}, {6, true}} { // of 20
		var names, dev []string
		for i := range 20 {
			names = append(names, fmt.Sprintf("p%02d", i))
		}
		dev = names[c.lost:]
		before := company(names, "dev: "+strings.Join(names, " "), "admins: p19")
		after := company(names, "dev: "+strings.Join(dev, " "), "admins: p19")
		s := newStory(t, p, before)
		for i := range 30 { // former users and groups, and one number of another range
			s.in.History.Entries = append(s.in.History.Entries, Entry{ID: fmt.Sprint("AIDAOLD", i),
				UnixName: fmt.Sprint("old", i),
				UnixID:   2146000000 + uint32(i), FormerSince: at(999), Group: i%2 == 1})
		}
		s.in.History.Entries = append([]Entry{{ID: "AIDAELSEWHERE", UnixName: "elsewhere", UnixID: 100000}},
			s.in.History.Entries...)
		slices.SortFunc(s.in.History.Entries, func(a, b Entry) int { return int(int64(a.UnixID) - int64(b.UnixID)) })
		r := s.answer(after)
		if (r.HeldBack != nil) != c.held || (len(r.NewFormer) == 0) != c.held {
			t.Errorf("%d of 20 lost with a quarter allowed: held back %+v, %d former; want held: %v", c.lost, r.HeldBack,
				len(r.NewFormer), c.held)
		}
		if h := r.HeldBack; h != nil && (h.Pending != c.lost || h.Of != 20 || len(h.LoginNames) != 5) {
			t.Errorf("held back is %+v, want %d of 20 and five names", h, c.lost)
		}
		if slices.ContainsFunc(r.History.Entries, func(e Entry) bool { return e.UnixID == 100000 }) {
			t.Error("a number outside the range is remembered")
		}
	}
}

func TestANewHostWithAnEmptyLoginGroupServesNobodyAndWaitsForNothing(t *testing.T) {
	r, err := Build(Input{Directory: company([]string{"alice"}, "dev:"), Policy: policy(), Now: at(1000)})
	if err != nil || len(r.Admitted) != 0 || r.EmptyAnswers != 0 {
		t.Errorf("got %q, %d empty answers, %v", r.Admitted, r.EmptyAnswers, err)
	}
	if _, err := Build(Input{Directory: directory.Directory{Groups: company(nil, "dev:").Groups}, Policy: policy(),
		Now: at(1000)}); !errors.Is(err, ErrEmptyAnswer) {
		t.Errorf("an answer without any user: %v, want %v", err, ErrEmptyAnswer)
	}
}

func TestAFormerUserIsForgottenWhenKeepNamesHasPassed(t *testing.T) {
	p := policy()
	for _, c := range []struct {
		name string
		age  int // minutes past keep_names
		kept bool
	}{{"a minute before", -1, true}, {"at the minute", 0, false}, {"a minute after", 1, false}} {
		in := Input{Directory: company([]string{"alice"}, "dev: alice"), Policy: p, Now: at(c.age).Add(p.KeepNames)}
		in.History.Entries = []Entry{{ID: "AIDAOLD", DirectoryName: "old", UnixName: "old", UnixID: 2146000000,
			FormerSince: at(0)}}
		r := build(t, in)
		if got := r.Tables.user("old").Former; got != c.kept || slices.ContainsFunc(r.History.Entries,
			func(e Entry) bool { return e.ID == "AIDAOLD" }) != c.kept {
			t.Errorf("%s: served as former: %v, want %v", c.name, got, c.kept)
		}
	}
}

// A person whose account has ended, or whose name the directory cannot have
// given, enters no shared account, whatever groups say; also where the person
// was never served here.
func TestASharedAccountIsClosedToAnAccountThatHasEnded(t *testing.T) {
	d := company([]string{"alice", "bob", "carol", "dave"}, "dev: alice bob carol dave", "ops: alice bob carol dave")
	for i := range d.Users {
		switch d.Users[i].Name {
		case "bob":
			d.Users[i].Tags = map[string]string{"end": "2025-12-31"}
		case "carol":
			d.Users[i].Tags = map[string]string{"end": "some day"}
		case "dave":
			d.Users[i].Name = "da:ve"
		}
	}
	p := policy()
	p.ExpiresTag, p.Shared = "end", map[string][]string{"ubuntu": {"ops"}}
	r := build(t, Input{Directory: d, Policy: p, Host: localHost})
	if got := r.Shared["ubuntu"]; len(got) != 1 || got[0] != aliceID {
		t.Errorf("%q may enter ubuntu, want alice alone", got)
	}
}

// The private group cannot have a served group's name, so that there is no row
// under which the person could stay.
func TestAServedGroupOfALoginNameEndsThatLogin(t *testing.T) {
	p := policy()
	p.Publish = []string{"*"}
	s := newStory(t, p, company([]string{"alice", "bob"}, "dev: alice bob"))
	uid := s.last.Tables.user("alice").UID
	taken := company([]string{"alice", "bob"}, "dev: alice bob", "alice: bob")
	r := s.answer(taken)
	if contains(r.Admitted, aliceID) || len(r.Pending) != 1 || len(r.NewFormer) > 0 {
		t.Errorf("at once: admitted %q, pending %+v, former %+v; want alice without rights", r.Admitted, r.Pending,
			r.NewFormer)
	}
	if f := finding(r.Findings, aliceID); f.Reason != NameTaken || !strings.Contains(f.Detail, "served group's") {
		t.Errorf("the finding is %v, want that a served group has the name", f)
	}
	r = s.answer(taken)
	if u := r.Tables.user(formerName(uid)); len(r.NewFormer) != 1 || !u.Former || u.UID != uid {
		t.Errorf("confirmed: former %+v, shown as %+v", r.NewFormer, u)
	}
	if r = s.answer(company([]string{"alice", "bob"}, "dev: alice bob")); !contains(r.Admitted, aliceID) ||
		r.Tables.user("alice").UID != uid {
		t.Errorf("when the group has gone alice is %+v", r.Tables.user("alice"))
	}
}
