package identitycenter_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/identitycenter"
	"github.com/nss-iam/nss-iam/tests/emulator"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

// undetectable are last pages that nothing gives away: without items, and without
// the token that should be there. That a directory must not shrink so much is the
// policy's to notice.
var undetectable = []string{emulator.None, emulator.NoMarker}

// Each call of a refresh is spoiled in turn, once and from there on for ever, in
// every way there is.
func TestEveryFaultAtEveryCallIsAnErrorOrTheRightAnswer(t *testing.T) {
	unmet.Long(t, "every fault is made at every call, and many wait for a time limit")
	e := start(t, emulator.Options{Store: company(), Settings: emulator.Settings{PageSize: 2}})
	o := quick(e)
	o.Attempts, o.AttemptTimeout, o.PageTimeout, o.CallTimeout = 3, 300*time.Millisecond, 300*time.Millisecond,
		time.Second
	q := directory.Query{Groups: []string{"Platform Team", "Finance"}}
	right := names(read(t, identitycenter.NewSource(o), q))
	e.ResetCalls()
	read(t, identitycenter.NewSource(o), q)
	calls := total(e)
	for _, kind := range emulator.Faults {
		for call := 1; call <= calls; call++ {
			for _, times := range []int{1, -1} {
				if err := e.SetFaults(emulator.Fault{Kind: kind, Call: call, Times: times,
					Delay: emulator.Duration(time.Millisecond)}); err != nil {
					t.Fatal(err)
				}
				a, err := identitycenter.NewSource(o).Directory(t.Context(), q)
				what := fmt.Sprintf("%s at call %d, times %d", kind, call, times)
				switch {
				case err != nil && !strings.Contains(err.Error(), "\n"):
				case err != nil:
					t.Errorf("%s: an error of several lines: %q", what, err)
				case slices.Contains(undetectable, kind), kind == emulator.Vanish: // somebody is gone, says the store
				case names(a.Directory) != right:
					t.Errorf("%s: got %q, want %q or an error", what, names(a.Directory), right)
				}
			}
		}
	}
}

func TestWhatIsWrongIsSaidInOneLineWithItsRemedy(t *testing.T) {
	e := start(t, emulator.Options{Store: company()})
	ever := func(kind, action string) func(*identitycenter.Options) {
		return func(*identitycenter.Options) {
			if err := e.SetFaults(emulator.Fault{Kind: kind, Action: action, Times: -1}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, test := range []struct {
		name  string
		spoil func(*identitycenter.Options)
		kind  error
		want  []string
	}{
		{"the store of another organization", func(o *identitycenter.Options) { o.Store = "d-0000000000" },
			identitycenter.ErrNoStore,
			[]string{`"d-0000000000" is not one that these credentials see in region eu-west-1`, emulator.DefaultStore,
				"source.identity_store"}},
		{"the store of another organization, and stores may not be listed", func(o *identitycenter.Options) {
			o.Store = "d-0000000000"
			e.SetPolicy(emulator.AccessKey, emulator.AllowAllBut("identitystore:ListIdentityStores"))
		}, identitycenter.ErrNoStore, []string{"list groups", `"d-0000000000" is not one that these credentials see`}},
		{"no permission to list users", func(*identitycenter.Options) {
			e.SetPolicy(emulator.AccessKey, emulator.AllowAllBut("identitystore:ListUsers"))
		}, awsapi.ErrAccessDenied, []string{"lacks identitystore:ListUsers", `"Action":"identitystore:ListUsers"`,
			`"arn:aws:identitystore::111122223333:identitystore/d-9067aaaaaa"`, `"arn:aws:identitystore:::user/*"`}},
		{"no permission to find the store", func(*identitycenter.Options) {
			e.SetPolicy(emulator.AccessKey, emulator.AllowAllBut("identitystore:ListIdentityStores"))
		}, awsapi.ErrAccessDenied, []string{"find the identity store",
			`"Action":"identitystore:ListIdentityStores","Resource":"*"`}},
		{"the store's key", func(*identitycenter.Options) {
			s := e.IdentityStore()
			s.KeyDenied = true
			if err := e.SetIdentityStore(s); err != nil {
				t.Fatal(err)
			}
		}, awsapi.ErrAccessDenied, []string{"KMS key of its own", "grant kms:Decrypt"}},
		{"throttling", ever(emulator.Throttle, "ListGroupMemberships"), awsapi.ErrThrottled,
			[]string{"20 calls a second for the whole organization", "[publish]"}},
		{"a page token that comes back", ever(emulator.OldMarker, "ListUsers"), awsapi.ErrIncomplete,
			[]string{"list users", "a marker that an earlier page had"}},
		{"a page without a list", ever(emulator.Bare, "ListGroups"), awsapi.ErrIncomplete,
			[]string{"list groups", "no list of groups"}},
		{"half a body", ever(emulator.Cut, "ListGroups"), awsapi.ErrIncomplete, []string{"has no proper end"}},
		{"a service failure", ever(emulator.Failure, "ListUsers"), awsapi.ErrService, []string{"InternalServerException"}},
		{"an expired token", ever(emulator.Expire, "ListUsers"), awsapi.ErrExpired, []string{"credentials expired"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := e.Reset(); err != nil {
				t.Fatal(err)
			}
			o := quick(e)
			o.Attempts = 2
			test.spoil(&o)
			_, err := identitycenter.NewSource(o).Directory(t.Context(), directory.Query{Groups: []string{"Platform Team"}})
			if !errors.Is(err, test.kind) {
				t.Fatalf("got %v, want %v", err, test.kind)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
}

func TestWhatAPersonHasToGrantIsSaidAtOnce(t *testing.T) {
	const refresh, login = "ListGroups ListGroupMemberships ListUsers DescribeUser", " IsMemberInGroups"
	for _, test := range []struct {
		name   string
		denied string // "KMS" is the store's key
		logins bool
		want   string // after the first one
	}{
		{"nothing is granted", refresh + login, true, "ListGroupMemberships ListUsers DescribeUser IsMemberInGroups"},
		{"nothing is granted, and logins do not ask", refresh + login, false, "ListGroupMemberships ListUsers DescribeUser"},
		{"one is missing", "ListGroupMemberships", true, ""},
		{"one of a refresh and one of a login", "ListUsers IsMemberInGroups", true, "IsMemberInGroups"},
		{"the store's key", "KMS", true, ""},
		{"the store is not found", "ListIdentityStores ListGroups", true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := company()
			store.KeyDenied = test.denied == "KMS"
			e := start(t, emulator.Options{Store: store})
			var actions []string
			for _, name := range strings.Fields(test.denied) {
				actions = append(actions, "identitystore:"+name)
			}
			e.SetPolicy(emulator.AccessKey, emulator.AllowAllBut(actions...))
			s := identitycenter.NewSource(quick(e))
			_, err := s.Directory(t.Context(), directory.Query{Groups: []string{"Platform Team"}})
			if !errors.Is(err, awsapi.ErrAccessDenied) {
				t.Fatal(err)
			}
			var got []string
			for _, err := range s.AlsoDenied(t.Context(), err, test.logins) {
				_, after, _ := strings.Cut(err.Error(), `{"Effect":"Allow","Action":"identitystore:`)
				action, _, _ := strings.Cut(after, `"`)
				got = append(got, action)
			}
			if got := strings.Join(got, " "); got != test.want {
				t.Errorf("after %v: %q, want %q", err, got, test.want)
			}
		})
	}
}

func TestMembershipsOfPeopleWhoAreGoneAreSaidAndServeNobody(t *testing.T) {
	store := company()
	store.Groups[0].Gone = []string{"99999999-7031-70c1-1f2e-3d4c5b6a7988"}
	e := start(t, emulator.Options{Store: store})
	s := identitycenter.NewSource(quick(e))
	for range 2 {
		d := read(t, s, directory.Query{Groups: []string{"Platform Team"}})
		if len(d.Users) != 2 || len(d.Groups[0].Members) != 2 {
			t.Errorf("users %v, members %v", d.Users, d.Groups[0].Members)
		}
		if len(d.Refused) != 1 || d.Refused[0].ID != store.Groups[0].Gone[0] || !strings.Contains(d.Refused[0].Reason,
			`"Platform Team"`) {
			t.Errorf("refused %+v, want the one who is gone", d.Refused)
		}
	}
	if got := e.Calls()["DescribeUser"]; got != 1 {
		t.Errorf("asked %d times for who is gone, want once", got)
	}
}

func TestAGroupThatIsDeletedIsMissingAndNoOutage(t *testing.T) {
	store, q := large()
	e := start(t, emulator.Options{Store: store})
	s := identitycenter.NewSource(quick(e))
	read(t, s, q)
	store.Groups = store.Groups[:4]
	for i := range store.People {
		store.People[i].Groups = slices.DeleteFunc(slices.Clone(store.People[i].Groups),
			func(g string) bool { return g == "group 4" })
	}
	if err := e.SetIdentityStore(store); err != nil {
		t.Fatal(err)
	}
	d := read(t, s, q)
	if !slices.Equal(d.Missing, []string{"group 4"}) || len(d.Groups) != 4 {
		t.Errorf("missing %q, %d groups", d.Missing, len(d.Groups))
	}
}

func TestALoginIsAskedWithTwoCalls(t *testing.T) {
	e := start(t, emulator.Options{Store: company()})
	s := identitycenter.NewSource(quick(e))
	d := read(t, s, directory.Query{Groups: []string{"Platform Team"}})
	alice := d.Users[slices.IndexFunc(d.Users, func(u directory.User) bool { return u.Name == "alice@example.com" })]
	among := []string{"platform team", "Finance", "nobody's"}
	ask := func() (groups []string, exists error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(directory.Urgent(t.Context()), 2*time.Second)
		defer cancel()
		groups, err := s.Groups(ctx, alice, among)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Keys(ctx, alice, directory.KeyQuery{})
		return groups, err
	}
	e.ResetCalls()
	if groups, err := ask(); err != nil || !slices.Equal(groups, []string{"Platform Team"}) {
		t.Errorf("got %q, %v", groups, err)
	}
	if calls := e.Calls(); calls["IsMemberInGroups"] != 1 || calls["DescribeUser"] != 1 || total(e) != 2 {
		t.Errorf("calls %v", calls)
	}
	store := e.IdentityStore()
	store.People[0].Groups = []string{"Platform Admins"}
	if err := e.SetIdentityStore(store); err != nil {
		t.Fatal(err)
	}
	if groups, err := ask(); err != nil || len(groups) != 0 {
		t.Errorf("taken out of the group: got %q, %v", groups, err)
	}
	store.People[0].Status = "DISABLED"
	if err := e.SetIdentityStore(store); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(); !errors.Is(err, directory.ErrNoSuchUser) || !strings.Contains(err.Error(), "disabled") {
		t.Errorf("disabled: got %v", err)
	}
	if err := e.SetFaults(emulator.Fault{Kind: emulator.Deny, Action: "DescribeUser", Times: -1}); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(); !errors.Is(err, directory.ErrUserRefused) || errors.Is(err, directory.ErrNoSuchUser) {
		t.Errorf("no permission: got %v", err)
	}
	store.KeyDenied = true
	if err := e.SetIdentityStore(store); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Groups(t.Context(), alice, among); err == nil || errors.Is(err, directory.ErrNoSuchUser) {
		t.Errorf("the store's key: got %v, want an outage", err)
	}
}

// Another may have the name by now: what is opened under it would be the first
// one's.
func TestAPersonWhoWasRenamedIsNotThereUnderTheOldName(t *testing.T) {
	for _, test := range []struct {
		nameFrom, had string
		change        func(*emulator.Person)
		there         bool
	}{
		{"user-name", "alice@example.com", func(p *emulator.Person) { p.UserName = "alicia@example.com" }, false},
		{"user-name", "alice@example.com", func(p *emulator.Person) { p.UserName = "ALICE@example.com" }, false},
		{"user-name", "alice@example.com", func(p *emulator.Person) { p.NickName = "alicia" }, true},
		{"nick-name", "alice", func(p *emulator.Person) { p.NickName = "" }, false},
		{"nick-name", "alice", func(p *emulator.Person) { p.UserName = "alicia@example.com" }, true},
		{"email", "alice.a@example.com", func(p *emulator.Person) { p.Emails = p.Emails[1:] }, false},
		// A host with a snapshot does not know which attribute its publisher takes.
		{"", "alice.a@example.com", func(p *emulator.Person) { p.UserName = "alicia@example.com" }, true},
		{"", "alice", func(p *emulator.Person) { p.NickName = "alicia" }, false},
	} {
		e := start(t, emulator.Options{Store: company()})
		o := quick(e)
		o.NameFrom = test.nameFrom
		s := identitycenter.NewSource(o)
		u := read(t, s, directory.Query{Groups: []string{"Platform Admins"}}).Users[0]
		u.Name = test.had
		if err := s.Exists(t.Context(), u, false); err != nil {
			t.Errorf("before: %v", err)
		}
		store := e.IdentityStore()
		test.change(&store.People[0])
		if err := e.SetIdentityStore(store); err != nil {
			t.Fatal(err)
		}
		if err := s.Exists(t.Context(), u, false); errors.Is(err, directory.ErrNoSuchUser) == test.there {
			t.Errorf("name_from %q: %q is asked about, the person is %+v now: %v", test.nameFrom, test.had, store.People[0], err)
		}
	}
}
