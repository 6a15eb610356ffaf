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
	s.in.History = s.last.History
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

func TestARemovedUserLosesRightsAtOnceAndIdentityWhenConfirmed(t *testing.T) {
	for name, d := range map[string]directory.Directory{"deleted": noAlice, "out of the login group": aliceMoved} {
		t.Run(name, func(t *testing.T) {
			p := sudoPolicy()
			p.Confirm = 3
			p.MapGroups, p.AllowPrivileged = map[string]string{"dev": "engine"}, []string{"engine"}
			p.Shared = map[string][]string{"build": {"admins"}}
			s := newStory(t, p, all)
			s.in.Host = Host{Users: []HostUser{{"build", 500, 500}}, Groups: []HostGroup{{"engine", 1999, nil}}}
			s.again()
			was := s.last.Tables.user("alice")
			if !contains(s.last.Shared["build"], aliceID) || !slices.Contains(was.Groups, 1999) {
				t.Fatalf("alice has no rights to lose: %+v, %+v", s.last.Shared, was)
			}
			for n := 1; n < 3; n++ {
				r := s.answer(d)
				want := was
				want.Pending, want.Groups = true, []uint32{r.Tables.group(UsersGroup).GID}
				if got := r.Tables.user("alice"); !reflect.DeepEqual(got, want) {
					t.Fatalf("answer %d: got %+v\nwant %+v", n, got, want)
				}
				if g := r.Tables.group("alice"); g.GID != was.UID {
					t.Fatalf("answer %d: alice's private group is %+v", n, g)
				}
				if contains(r.Admitted, aliceID) || contains(r.Shared["build"], aliceID) {
					t.Fatalf("answer %d: alice may log in, or enter a shared account", n)
				}
				if got := r.Pending; len(got) != 1 ||
					got[0] != (Pending{ID: aliceID, LoginName: "alice", UID: was.UID, Missed: n}) || len(r.NewFormer) > 0 {
					t.Fatalf("answer %d: pending are %+v", n, got)
				}
			}
			r := s.answer(d)
			want := was
			want.Former, want.Home, want.Shell, want.Groups = true, "/nonexistent", "/usr/sbin/nologin", nil
			if got := r.Tables.user("alice"); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if len(r.NewFormer) != 1 || r.NewFormer[0].UID != want.UID || r.NewFormer[0].Name != "alice" || len(r.Pending) > 0 {
				t.Errorf("got %+v former, want alice", r.NewFormer)
			}
			for _, g := range r.Tables.Groups {
				if contains(g.Members, "alice") {
					t.Errorf("alice is a member of %s still", g.Name)
				}
			}
			if r = s.answer(d); len(r.NewFormer) > 0 {
				t.Errorf("alice becomes former twice")
			}
			s.in.Now = s.in.Now.Add(p.KeepNames)
			if r = s.again(); r.Tables.user("alice").ID != "" {
				t.Errorf("alice's name is kept beyond keep_names")
			}
			fresh := build(t, Input{Directory: d, Policy: p, Host: s.in.Host})
			if !reflect.DeepEqual(r.Tables, fresh.Tables) {
				t.Errorf("a host whose history expired differs from one that never knew")
			}
		})
	}
}

func TestADemotedUserLosesSudoAtOnce(t *testing.T) {
	s := newStory(t, sudoPolicy(), all)
	r := s.answer(company(five, "dev: alice bob carol dave erin", "admins:"))
	if sudo := r.Tables.group(SudoGroup); len(sudo.Members) > 0 || slices.Contains(r.Tables.user("alice").Groups,
		sudo.GID) {
		t.Errorf("alice is in %+v", sudo)
	}
	if !contains(r.Admitted, aliceID) || len(r.Pending) > 0 {
		t.Error("alice lost more than sudo")
	}
}

func TestADeniedUserKeepsIdentityAndNothingElse(t *testing.T) {
	p := sudoPolicy()
	p.Shared = map[string][]string{"build": {"admins"}}
	in := Input{Directory: all, Policy: p, Host: Host{Users: []HostUser{{"build", 500, 500}}}}
	before := build(t, in)
	in.History, in.Denied, in.Rebuild = before.History, []string{aliceID}, true
	r := build(t, in)
	want := before.Tables.user("alice")
	want.Pending, want.Groups = true, []uint32{r.Tables.group(UsersGroup).GID}
	if got := r.Tables.user("alice"); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if contains(r.Admitted, aliceID) || contains(r.Shared["build"], aliceID) ||
		len(r.Tables.group(SudoGroup).Members) > 0 {
		t.Error("alice has a right still")
	}
	if len(r.Pending) != 1 || !r.Pending[0].Denied || r.Pending[0].Missed != 0 {
		t.Errorf("got %+v pending, want alice, denied", r.Pending)
	}
	in.History, in.Denied = r.History, nil
	if r := build(t, in); !reflect.DeepEqual(r.Tables, before.Tables) {
		t.Error("alice is not restored whole when she is denied no more")
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

// crowd is ten people; the first of them are missing.
func crowd(missing int) directory.Directory {
	names := []string{"u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "u9"}
	d := company(names, "dev: "+strings.Join(names[missing:], " "), "admins: "+strings.Join(names[missing:], " "))
	d.Users = slices.DeleteFunc(d.Users, func(u directory.User) bool { return slices.Contains(names[:missing], u.Name) })
	return d
}

func TestARemovalOfTooManyTakesRightsAndHoldsBackIdentity(t *testing.T) {
	s := newStory(t, sudoPolicy(), crowd(0))
	for n := range 5 {
		d := crowd(5)
		d.Users = append(d.Users, directory.User{ID: "AIDANEW", Name: "new", Created: at(90)})
		d.Groups[0].Members = append(d.Groups[0].Members, "AIDANEW")
		d.Groups[1].Members = append(d.Groups[1].Members, "AIDANEW")
		d.Sort()
		r := s.answer(d)
		if len(r.Admitted) != 6 || len(r.Tables.group(SudoGroup).Members) != 6 || r.Tables.user("new").ID == "" {
			t.Fatalf("answer %d: %d may log in, sudo has %q", n, len(r.Admitted), r.Tables.group(SudoGroup).Members)
		}
		if len(r.Pending) != 5 || len(r.NewFormer) != 0 || len(r.Tables.group(UsersGroup).Members) != 11 {
			t.Fatalf("answer %d: %d pending, %d former", n, len(r.Pending), len(r.NewFormer))
		}
		h := r.HeldBack
		if h == nil || h.Pending != 5 || h.Empty || h.Of < 10 || len(h.LoginNames) != 5 {
			t.Fatalf("answer %d: held back is %+v", n, h)
		}
		f := finding(r.Findings, "removal.max_fraction")
		if f.Reason != RemovalsHeld || !strings.Contains(f.Detail, "u0") ||
			!strings.Contains(f.Remedy, "iam-cachefill refresh --accept-removals") {
			t.Fatalf("answer %d: the finding is %v", n, f)
		}
	}
	x, err := Explain(s.in, "u0")
	if err != nil || len(x) != 1 || x[0].State != StatePending ||
		!strings.Contains(told(x[0]), "until a person confirms") {
		t.Errorf("explain says %s", told(x[0]))
	}
	s.in.AcceptRemovals = true
	if r := s.again(); len(r.NewFormer) != 5 || r.HeldBack != nil || len(r.Pending) != 0 {
		t.Errorf("accepted, %d are former and %d pending", len(r.NewFormer), len(r.Pending))
	}
}

func TestFewerThanFivePeopleAreNeverTooMany(t *testing.T) {
	for _, fraction := range []float64{0, 0.2} {
		p := policy()
		p.MaxFraction = fraction
		s := newStory(t, p, crowd(0))
		s.answer(crowd(4))
		if r := s.answer(crowd(4)); len(r.NewFormer) != 4 || r.HeldBack != nil {
			t.Errorf("max_fraction %v: got %d former of ten, want four", fraction, len(r.NewFormer))
		}
	}
}

func TestAFractionOfManyIsNotTooMany(t *testing.T) {
	p := policy()
	p.MaxFraction = 0.5
	s := newStory(t, p, crowd(0))
	s.answer(crowd(5))
	if r := s.answer(crowd(5)); len(r.NewFormer) != 5 || r.HeldBack != nil {
		t.Errorf("got %d former of ten, want five", len(r.NewFormer))
	}
}

func TestRemovalsAddUpUntilTheyAreConfirmed(t *testing.T) {
	p := policy()
	p.Confirm = 3
	s := newStory(t, p, crowd(0))
	s.answer(crowd(3))
	s.answer(crowd(6))
	if r := s.answer(crowd(6)); r.HeldBack == nil || r.HeldBack.Pending != 6 || len(r.NewFormer) > 0 {
		t.Errorf("got %+v: six of ten were removed three by three within the confirmation", r.HeldBack)
	}
	if r := s.answer(crowd(2)); r.HeldBack != nil || len(r.NewFormer) != 2 || len(r.Pending) != 0 {
		t.Errorf("four came back, and %+v is held back, %d are former", r.HeldBack, len(r.NewFormer))
	}
}

func TestAnAnswerWithoutAnybodyIsBelievedWhenItIsConfirmed(t *testing.T) {
	p := sudoPolicy()
	p.MaxFraction = 1
	for name, d := range map[string]directory.Directory{
		"no user at all":           company(nil, "dev:", "admins:"),
		"nobody in a login group":  company(five, "dev:", "admins: alice"),
		"the login group is empty": company([]string{"alice"}, "dev:", "admins: alice"),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t, p, all)
			s.in.Directory = d
			if _, err := Build(s.in); !errors.Is(err, ErrEmptyAnswer) || !strings.Contains(err.Error(), "1 of 2") {
				t.Fatalf("the first answer: got error %v, want ErrEmptyAnswer", err)
			}
			s.in.EmptyAnswers = 1
			for range 3 {
				r := s.again()
				if len(r.Admitted) != 0 || len(r.Tables.group(SudoGroup).Members) != 0 {
					t.Fatal("confirmed, and somebody has rights still")
				}
				if len(r.Pending) != 5 || len(r.NewFormer) != 0 || len(r.Tables.group(UsersGroup).Members) != 5 ||
					r.HeldBack == nil || !r.HeldBack.Empty {
					t.Fatalf("confirmed, %d keep their identity: %+v", len(r.Pending), r.HeldBack)
				}
				s.in.EmptyAnswers++
			}
			s.in.AcceptRemovals = true
			if r := s.again(); len(r.NewFormer) != 5 {
				t.Errorf("accepted by a person, %d are former", len(r.NewFormer))
			}
		})
	}
	nobody := company(nil, "dev:", "admins:")
	if _, err := Build(Input{Directory: nobody, Policy: p, Now: at(0)}); !errors.Is(err, ErrEmptyAnswer) {
		t.Errorf("got error %v from a new host, want ErrEmptyAnswer", err)
	}
	if r := build(t, Input{Directory: all, Policy: p, EmptyAnswers: 1, Rebuild: true}); r.EmptyAnswers != 1 {
		t.Errorf("a rebuild made %d of one answer without anybody", r.EmptyAnswers)
	}
	if r := build(t, Input{Directory: all, Policy: p, EmptyAnswers: 1}); r.EmptyAnswers != 0 {
		t.Errorf("an answer with somebody left the count at %d", r.EmptyAnswers)
	}
	if _, err := Build(Input{Directory: nobody, Policy: p, Now: at(0), EmptyAnswers: 1}); err != nil {
		t.Errorf("a new host does not believe the second answer: %v", err)
	}
}

func TestARecreatedUserIsAnotherPerson(t *testing.T) {
	again := company([]string{"alice:AIDANEWALICE", "bob", "carol", "dave", "erin"}, "dev: alice bob carol dave erin",
		"admins: alice")
	s := newStory(t, policy(), all)
	old := s.last.Tables.user("alice")
	r := s.answer(again)
	if contains(r.Admitted, "AIDANEWALICE") || finding(r.Findings, "AIDANEWALICE").Reason != HeldByHistory {
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

func TestAPinHandsAFormerUsersUIDToTheNewUser(t *testing.T) {
	again := company([]string{"alice:AIDANEWALICE", "bob", "carol", "dave", "erin"}, "dev: alice bob carol dave erin",
		"admins: alice")
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

func TestARenameKeepsTheUID(t *testing.T) {
	renamed := company([]string{"alice", "robert:" + company([]string{"bob"}).Users[0].ID, "carol", "dave", "erin"},
		"dev: alice robert carol dave erin", "admins:")
	s := newStory(t, policy(), all)
	before := s.last.Tables
	r := s.answer(renamed)
	changes := Compare(before, r.Tables)
	want := Changes{Renamed: []Renamed{{before.user("bob").UID, "bob", "robert"}}}
	if !reflect.DeepEqual(changes, want) {
		t.Errorf("got %+v, want the rename alone", changes)
	}
}

func TestAUIDThatChangesByAPinIsKeptFromOthers(t *testing.T) {
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
	case !r.Tables.user("alice").Expires.Equal(time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)),
		!r.Tables.user("bob").Expires.IsZero():
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
	host := Input{Directory: noAlice, Policy: policy(), Now: publisher.in.Now,
		History: History{}.Adopt(publisher.last.History.Formers())}
	if r := build(t, host); !reflect.DeepEqual(r.Tables, publisher.last.Tables) {
		t.Errorf("got %+v, want the publisher's tables", r.Tables)
	}
	own := publisher.last.History
	if got := own.Adopt([]Entry{{ID: "AIDAX", UnixName: "x", UnixID: own.Entries[0].UnixID,
		FormerSince: at(0)}}); !reflect.DeepEqual(got, own) {
		t.Error("a publisher's record displaced the host's own")
	}
}
