package succession

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/internal/config"
)

// p makes a principal: the id, the uid or gid, and the names, of which the first is
// the directory name and the last the login name.
func p(id string, unixID uint32, names ...string) Principal {
	return Principal{ID: id, UnixID: unixID, Name: names[0], Login: names[len(names)-1], Known: names}
}

func pinned(p Principal) Principal { p.Pinned = true; return p }

func TestWhoGoesOnAsWhom(t *testing.T) {
	const one, two = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
	for _, c := range []struct {
		name          string
		before, after []Principal
		taken         map[uint32]string
		matches       string // "AIDA→UUID=uid", with commas
		doubt         string // in the reason of the one doubt
		absent, fresh int
	}{
		{
			name: "the same login name", before: []Principal{p("AIDAA", 7, "alice")},
			after: []Principal{p(one, 9, "alice@example.com", "alice")}, matches: "AIDAA→" + one + "=7",
		},
		{
			name: "the e-mail address is the IAM name", before: []Principal{p("AIDAA", 7, "Alice@Example.com", "alice")},
			after: []Principal{p(one, 9, "a.smith", "alice@example.com", "a.smith")}, matches: "AIDAA→" + one + "=7",
		},
		{
			name: "two people have the name", before: []Principal{p("AIDAA", 7, "alice")},
			after: []Principal{p(one, 9, "alice"), p(two, 10, "alice@example.org", "alice")}, doubt: "more than one",
		},
		{
			name:   "two IAM users are like one person",
			before: []Principal{p("AIDAA", 7, "alice"), p("AIDAB", 8, "alice@example.com")},
			after:  []Principal{p(one, 9, "alice@example.com", "alice")}, doubt: "others have a name of",
		},
		{
			name:   "the name is one person's and the e-mail address another's",
			before: []Principal{p("AIDAA", 7, "bob@example.com", "alice")},
			after:  []Principal{p(one, 9, "alice"), p(two, 10, "robert", "bob@example.com", "robert")}, doubt: "more than one",
		},
		{
			name: "a part of the name is like", before: []Principal{p("AIDAA", 7, "alice")},
			after: []Principal{p(one, 9, "alice@example.com", "alice.at.example.com")},
			doubt: "the name alone is like", fresh: 0,
		},
		{
			name: "the uid is another's by its id", before: []Principal{p("AIDAA", 7, "alice")},
			after: []Principal{p(one, 9, "alice")}, taken: map[uint32]string{7: two}, doubt: "the id 7 already belongs to",
		},
		{
			name: "the uid is the same person's already", before: []Principal{p("AIDAA", 7, "alice")},
			after: []Principal{p(one, 7, "alice")}, taken: map[uint32]string{7: one}, matches: "AIDAA→" + one + "=7",
		},
		{
			name: "there is another pin already", before: []Principal{p("AIDAA", 7, "alice")},
			after: []Principal{pinned(p(one, 9, "alice"))}, doubt: "pins \"alice\" (\"" + one + "\") to 9 already",
		},
		{
			name: "there is the same pin already", before: []Principal{p("AIDAA", 7, "alice")},
			after: []Principal{pinned(p(one, 7, "alice"))}, matches: "AIDAA→" + one + "=7",
		},
		{
			name: "nobody is like", before: []Principal{p("AIDAA", 7, "alice")},
			after: []Principal{p(one, 9, "bob")}, absent: 1, fresh: 1,
		},
		{
			name: "empty names match nothing", before: []Principal{p("AIDAA", 7, "", "x")},
			after: []Principal{p(one, 9, "", "y")}, absent: 1, fresh: 1,
		},
		{
			name: "letter case and space around do not count", before: []Principal{p("AIDAA", 7, "Alice")},
			after: []Principal{p(one, 9, " aLICE ")}, matches: "AIDAA→" + one + "=7",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan := Compare(c.before, c.after, c.taken)
			var matches []string
			for _, m := range plan.Matches {
				matches = append(matches, fmt.Sprintf("%s→%s=%d", m.Before.ID, m.After.ID, m.Before.UnixID))
			}
			if got := strings.Join(matches, ","); got != c.matches {
				t.Errorf("matches %q, want %q", got, c.matches)
			}
			if (len(plan.Doubts) > 0) != (c.doubt != "") {
				t.Errorf("doubts %+v, want %q", plan.Doubts, c.doubt)
			}
			for _, d := range plan.Doubts {
				if !strings.Contains(d.Why, c.doubt) {
					t.Errorf("doubt %q, want %q", d.Why, c.doubt)
				}
			}
			if len(plan.Absent) != c.absent || len(plan.New) != c.fresh {
				t.Errorf("%d absent and %d new, want %d and %d", len(plan.Absent), len(plan.New), c.absent, c.fresh)
			}
		})
	}
}

// Whatever two directories hold, nobody is matched twice, no id is given
// twice, and everybody before is in exactly one list.
func TestNobodyIsMatchedTwice(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	names := []string{
		"alice", "Alice", "alice@example.com", "bob", "bob@example.com", "bob@example.org", "", " bob", "eve", "a,b",
	}
	some := func(prefix string, from uint32) (all []Principal) {
		for i := range r.IntN(8) {
			known := []string{}
			for range 1 + r.IntN(3) {
				known = append(known, names[r.IntN(len(names))])
			}
			all = append(all, p(fmt.Sprint(prefix, i), from+uint32(i), known...))
		}
		return all
	}
	for range 5000 {
		before, after := some("AIDA", 100), some("U", 200)
		plan := Compare(before, after, map[uint32]string{103: "U1"})
		seen := map[string]int{}
		for _, m := range plan.Matches {
			seen[m.Before.ID]++
			seen[m.After.ID]++
			if m.Before.UnixID == 103 && m.After.ID != "U1" {
				t.Fatalf("the id of another is pinned: %+v", m)
			}
		}
		for _, d := range plan.Doubts {
			seen[d.ID]++
		}
		for _, a := range append(plan.Absent, plan.New...) {
			seen[a.ID]++
		}
		for _, b := range before {
			if seen[b.ID] != 1 {
				t.Fatalf("%s is in %d lists: %+v", b.ID, seen[b.ID], plan)
			}
		}
		for id, n := range seen {
			if n > 1 {
				t.Fatalf("%s is matched %d times: %+v", id, n, plan)
			}
		}
	}
}

func TestTheTextIsAConfigurationWhateverNamesAreInIt(t *testing.T) {
	hostile := "x\"\n[shared]\nroot = [\"evil\"]\n#\x1b"
	users := Plan{
		Matches: []Match{
			{p("AIDAB", 2001000002, "b"), p("AIDAY", 9, hostile)}, {p("AIDAA", 2001000001, hostile), p("AIDAX", 9, "a")},
		},
		Doubts: []Doubt{{p("AIDAC", 2001000003, hostile), fmt.Sprintf("%q", hostile)}},
		Absent: []Principal{p("AIDAD", 2001000004, hostile)},
		New:    []Principal{p("AIDAZ", 5, hostile)},
	}
	groups := Plan{Matches: []Match{{p("AGPAA", 2001000005, "dev"), p("AGPAX", 9, "Dev")}}}
	text := Pins(users, groups) + "\n" + Rest(users, groups)
	c, err := config.Parse("c", []byte("[login]\ngroups = [\"dev\"]\n"+text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if len(c.IDs.Pin) != 3 || c.IDs.Pin["AIDAX"] != 2001000001 || c.IDs.Pin["AGPAX"] != 2001000005 || len(c.Shared) != 0 {
		t.Errorf("pins %v, shared %v, of\n%s", c.IDs.Pin, c.Shared, text)
	}
	for _, want := range []string{"2 users and 1 groups keep their uids and gids, 1 are left to you", `the Unix name was`,
		"# 2001000003 was ", "# 2001000004 is "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
