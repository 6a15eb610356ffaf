package accounts

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// A story is one host through several answers.
type story struct {
	t    *testing.T
	in   Input
	last Result
}

func newStory(t *testing.T, p Policy, d directory.Directory) *story {
	s := &story{t: t, in: Input{Policy: p, Now: at(1000)}}
	s.answer(d)
	return s
}

// answer is one refresh, a minute after the last.
func (s *story) answer(d directory.Directory) Result {
	s.t.Helper()
	s.in.Directory = d
	return s.again()
}

func (s *story) again() Result {
	s.t.Helper()
	s.in.Now = s.in.Now.Add(time.Minute)
	s.last = build(s.t, s.in)
	s.in.Past = s.last.Past
	return s.last
}

var (
	five = []string{"alice", "bob", "carol", "dave", "erin"}
	all  = company(five, "dev: alice bob carol dave erin", "admins: alice")
	// Two ways of being gone, of which IAM's answer shows one.
	noAlice    = company(five[1:], "dev: bob carol dave erin", "admins:")
	aliceMoved = company(five, "dev: bob carol dave erin", "admins: alice")
	aliceID    = all.Users[slices.IndexFunc(all.Users, func(u directory.User) bool { return u.Name == "alice" })].ID
)

func sudoPolicy() Policy {
	p := policy()
	p.Sudo = []string{"admins"}
	return p
}

func TestARemovedUserCannotLogInAtOnceAndIsAFormerUserWhenConfirmed(t *testing.T) {
	for name, d := range map[string]directory.Directory{"deleted": noAlice, "out of the login group": aliceMoved} {
		t.Run(name, func(t *testing.T) {
			p := sudoPolicy()
			p.Confirm = 3
			s := newStory(t, p, all)
			before := s.last.Tables
			for n := 1; n < 3; n++ {
				r := s.answer(d)
				if contains(r.Admitted, aliceID) {
					t.Fatalf("answer %d: alice may log in", n)
				}
				if !reflect.DeepEqual(r.Tables, before) || len(r.Gone) > 0 {
					t.Fatalf("answer %d: the tables changed before the removal was confirmed:\n%+v", n, Compare(before, r.Tables))
				}
			}
			r := s.answer(d)
			want := before.user("alice")
			want.Former, want.Shell, want.Groups = true, "/usr/sbin/nologin", nil
			if got := r.Tables.user("alice"); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if len(r.Gone) != 1 || r.Gone[0].UID != want.UID || r.Gone[0].Name != "alice" {
				t.Errorf("got %+v gone, want alice", r.Gone)
			}
			for _, g := range r.Tables.Groups {
				if contains(g.Members, "alice") {
					t.Errorf("alice is a member of %s still", g.Name)
				}
			}
			if r = s.answer(d); len(r.Gone) > 0 {
				t.Errorf("alice is gone twice")
			}
			s.in.Now = s.in.Now.Add(p.KeepNames)
			if r = s.again(); r.Tables.user("alice").ID != "" {
				t.Errorf("alice's name is kept beyond keep_names")
			}
			fresh := build(t, Input{Directory: d, Policy: p})
			if !reflect.DeepEqual(r.Tables, fresh.Tables) {
				t.Errorf("a host that has forgotten differs from one that never knew")
			}
		})
	}
}

func TestAReturningUserIsRestoredWhole(t *testing.T) {
	s := newStory(t, sudoPolicy(), all)
	before := s.last
	s.answer(noAlice)
	s.answer(noAlice)
	if !s.last.Tables.user("alice").Former {
		t.Fatal("alice is not a former user")
	}
	if r := s.answer(all); !reflect.DeepEqual(r.Tables, before.Tables) || !reflect.DeepEqual(r.Admitted, before.Admitted) {
		t.Errorf("alice came back and the tables are not as before: %+v", Compare(before.Tables, r.Tables))
	}
}

func TestAnAnswerInBetweenStartsTheConfirmationAnew(t *testing.T) {
	s := newStory(t, policy(), all)
	for range 3 {
		s.answer(noAlice)
		s.answer(all)
	}
	if r := s.answer(noAlice); r.Tables.user("alice").Former {
		t.Error("alice was removed by answers that did not follow each other")
	}
}

func TestARebuildFromTheSameAnswerConfirmsNothing(t *testing.T) {
	s := newStory(t, policy(), all)
	s.answer(noAlice)
	s.in.Rebuild = true
	for range 5 {
		if r := s.again(); r.Tables.user("alice").Former || contains(r.Admitted, aliceID) {
			t.Fatal("a change of the host's files counted as an answer of IAM")
		}
	}
	s.in.Rebuild = false
	if r := s.again(); !r.Tables.user("alice").Former {
		t.Error("the second answer did not confirm")
	}
}

func TestAnAnswerThatRemovesTooManyIsRefusedWhole(t *testing.T) {
	half := company(five[:3], "dev: alice bob carol", "admins: alice")
	s := newStory(t, sudoPolicy(), all)
	s.in.Directory = half
	_, err := Build(s.in)
	var refusal *RemovalError
	if !errors.As(err, &refusal) || !errors.Is(err, ErrRemovals) || refusal.Lost != 2 || refusal.Of != 5 || refusal.Empty {
		t.Fatalf("got error %v, want a RemovalError of 2 of 5", err)
	}
	want := `build accounts: refuse to remove 2 of 5 users at once (`
	if !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "iam-cachefill refresh --accept-removals") {
		t.Errorf("got %q, want it to begin with %q and to name the command", err, want)
	}
	s.in.AcceptRemovals = true
	r := s.again()
	if got := loginNames(r.Tables); !reflect.DeepEqual(got, []string{"alice", "bob", "carol"}) || len(r.Gone) != 2 {
		t.Errorf("accepted, the users are %q and %d are gone; want three left at once", got, len(r.Gone))
	}
}

func TestRemovalsAddUpUntilTheyAreConfirmed(t *testing.T) {
	p := policy()
	p.Confirm = 10
	s := newStory(t, p, all)
	s.answer(company(five[1:], "dev: bob carol dave erin"))
	s.in.Directory = company(five[2:], "dev: carol dave erin")
	if _, err := Build(s.in); !errors.Is(err, ErrRemovals) {
		t.Errorf("got error %v: two of five were removed one by one within the confirmation", err)
	}
}

func TestOneUserMayAlwaysGoUnlessTheFractionIsZero(t *testing.T) {
	three := company(five[:3], "dev: alice bob carol")
	two := company(five[:2], "dev: alice bob")
	p := policy()
	s := newStory(t, p, three)
	s.answer(two)
	if r := s.answer(two); len(r.Gone) != 1 {
		t.Errorf("got %d gone of three users, want one", len(r.Gone))
	}
	p.MaxFraction = 0
	s = newStory(t, p, three)
	s.in.Directory = two
	if _, err := Build(s.in); !errors.Is(err, ErrRemovals) {
		t.Errorf("got error %v with max_fraction = 0, want ErrRemovals", err)
	}
}

func TestAnEmptyAnswerIsRefusedEvenByAHostThatKnowsNobody(t *testing.T) {
	p := policy()
	p.MaxFraction = 1
	nobody := company(nil, "dev:")
	if _, err := Build(Input{Directory: nobody, Policy: p, Now: at(0)}); !errors.Is(err, ErrRemovals) {
		t.Errorf("got error %v from a new host, want ErrRemovals", err)
	}
	for name, d := range map[string]directory.Directory{"no user at all": nobody, "nobody in a login group": company(five, "dev:")} {
		s := newStory(t, p, all)
		s.in.Directory = d
		var refusal *RemovalError
		if _, err := Build(s.in); !errors.As(err, &refusal) || !refusal.Empty {
			t.Errorf("%s: got error %v, want a RemovalError of all", name, err)
		}
		s.in.AcceptRemovals = true
		if r := s.again(); len(r.Admitted) != 0 || len(r.Gone) != 5 {
			t.Errorf("%s: accepted, %d may log in and %d are gone", name, len(r.Admitted), len(r.Gone))
		}
	}
}

func TestARecreatedUserIsAnotherPerson(t *testing.T) {
	again := company([]string{"alice:AIDANEWALICE", "bob", "carol", "dave", "erin"}, "dev: alice bob carol dave erin", "admins: alice")
	s := newStory(t, policy(), all)
	old := s.last.Tables.user("alice")
	r := s.answer(again)
	if contains(r.Admitted, "AIDANEWALICE") || finding(r.Findings, "AIDANEWALICE").Reason != Remembered {
		t.Errorf("the new alice got the name before the old one's removal was confirmed: %v", r.Findings)
	}
	r = s.answer(again)
	got := r.Tables.user("alice")
	if got.ID != "AIDANEWALICE" || got.Former || got.UID == old.UID {
		t.Errorf("got alice %+v, want the new one with a number of her own", got)
	}
	former := r.Tables.user(formerName(old.UID))
	if former.ID != old.ID || former.UID != old.UID || !former.Former {
		t.Errorf("got the former alice %+v, want her number under a name of its own", former)
	}
}

func TestAPinHandsAFormerUsersNumberToTheNewUser(t *testing.T) {
	again := company([]string{"alice:AIDANEWALICE", "bob", "carol", "dave", "erin"}, "dev: alice bob carol dave erin", "admins: alice")
	s := newStory(t, policy(), all)
	old := s.last.Tables.user("alice")
	s.in.Policy.Pins = map[string]uint32{"AIDANEWALICE": old.UID}
	if r := s.answer(again); contains(r.Admitted, "AIDANEWALICE") {
		t.Error("the number was handed over before the removal was confirmed")
	}
	r := s.answer(again)
	if got := r.Tables.user("alice"); got.ID != "AIDANEWALICE" || got.UID != old.UID || got.Former {
		t.Errorf("got %+v, want the new alice with the number %d", got, old.UID)
	}
}

func TestARenameKeepsTheNumber(t *testing.T) {
	renamed := company([]string{"alice", "robert:" + company([]string{"bob"}).Users[0].ID, "carol", "dave", "erin"}, "dev: alice robert carol dave erin", "admins:")
	s := newStory(t, policy(), all)
	before := s.last.Tables
	r := s.answer(renamed)
	changes := Compare(before, r.Tables)
	want := Changes{Renamed: []Renamed{{before.user("bob").UID, "bob", "robert"}}}
	if !reflect.DeepEqual(changes, want) {
		t.Errorf("got %+v, want the rename alone", changes)
	}
}

func TestANumberThatChangesByAPinIsKeptFromOthers(t *testing.T) {
	s := newStory(t, policy(), all)
	old := s.last.Tables.user("bob")
	s.in.Policy.Pins = map[string]uint32{old.ID: 2001000042}
	r := s.again()
	if got := r.Tables.user("bob"); got.UID != 2001000042 || got.Former {
		t.Errorf("got %+v, want bob with his pin", got)
	}
	if got := r.Tables.user(formerName(old.UID)); got.ID != old.ID || !got.Former {
		t.Errorf("got %+v, want bob's old number to keep a name", got)
	}
}

func TestAnAccountEndsWithItsDay(t *testing.T) {
	d := company([]string{"alice", "bob"}, "dev: alice bob")
	p := policy()
	p.ExpiresTag, p.MaxFraction = "nss-iam:expires", 0
	for i := range d.Users {
		if d.Users[i].Name == "alice" {
			d.Users[i].Tags = map[string]string{"NSS-IAM:Expires": "2026-03-31"}
		}
	}
	s := newStory(t, p, d)
	s.in.Now = time.Date(2026, 3, 31, 23, 58, 0, 0, time.UTC)
	switch r := s.again(); {
	case !contains(r.Admitted, aliceID):
		t.Error("alice may not log in on her last day")
	case !r.Tables.user("alice").Expires.Equal(time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)), !r.Tables.user("bob").Expires.IsZero():
		t.Errorf("alice's account ends at %v, bob's at %v", r.Tables.user("alice").Expires, r.Tables.user("bob").Expires)
	}
	r := s.again()
	if contains(r.Admitted, aliceID) || !r.Tables.user("alice").Former || finding(r.Findings, aliceID).Reason != Expired {
		t.Errorf("the day after: admitted %q, alice %+v, findings %v", r.Admitted, r.Tables.user("alice"), r.Findings)
	}
	p.ExpiresTag = ""
	if r := newStory(t, p, d); !contains(r.last.Admitted, aliceID) {
		t.Error("the tag counts although it is off")
	}
}

func TestAPublishersFormerUsersAreKnownToANewHost(t *testing.T) {
	publisher := newStory(t, policy(), all)
	publisher.answer(noAlice)
	publisher.answer(noAlice)
	host := Input{Directory: noAlice, Policy: policy(), Now: publisher.in.Now, Past: Past{}.Adopt(publisher.last.Past.Formers())}
	if r := build(t, host); !reflect.DeepEqual(r.Tables, publisher.last.Tables) {
		t.Errorf("got %+v, want the publisher's tables", r.Tables)
	}
	own := publisher.last.Past
	if got := own.Adopt([]Record{{ID: "AIDAX", Name: "x", Number: own.Records[0].Number, Left: at(0)}}); !reflect.DeepEqual(got, own) {
		t.Error("a publisher's record displaced the host's own")
	}
}
