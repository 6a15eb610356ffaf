package identitycenter

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

func TestWhatIdentityCenterAnswersWronglyLetsNobodyInAndNobodyOut(t *testing.T) {
	s := newSiege(t)
	s.step("a person is renamed, and a host reads a snapshot", s.snapshot)
	s.step("answers are refused, or wrong", s.answers)
	s.step("the store is another one, with people of the same names", s.otherStore)
}

// snapshot has the host read a snapshot that a publisher makes of user names. The name
// that dave had stays his e-mail address, which might be what names are made from.
func (s *siege) snapshot() {
	const publisher = "/etc/nss-iam/publisher.toml"
	s.Run("mkdir", "-p", "/srv/publisher")
	s.Run(testbed.Refresh, "publish", "--config", testbed.Config, "--new-key", "/etc/nss-iam/signing")
	s.Write(publisher, s.iam.PeopleSource()+siegeRules+"[publish]\nurl = \"file:///srv/snapshot\"\nkey = "+
		"\"/etc/nss-iam/signing\"\n[cache]\ndir = \"/srv/publisher\"\n", 0o644)
	publish := func() {
		s.t.Helper()
		if r := s.TryInput("", testbed.Credentials(), testbed.Refresh, "publish", "--config", publisher); r.Code != 0 {
			s.t.Fatal(r)
		}
		s.refreshed()
	}
	if r := s.TryInput("", testbed.Credentials(), testbed.Refresh, "publish", "--config", publisher); r.Code != 0 {
		s.t.Fatal(r)
	}
	was := s.uid("dave")
	s.source = fmt.Sprintf("[source]\nkind = \"file\"\nurl = \"file:///srv/snapshot\"\nendpoint = %q\n"+
		"trusted_keys = [%q]\n", s.iam.URL, strings.TrimSpace(s.Read("/etc/nss-iam/signing.pub")))
	s.open(siegeRules)
	s.in("dave", "root")
	s.change(func(store *testbed.IdentityStore) {
		p := person(store, "dave@example.com")
		p.UserName, p.Emails = "david@example.com", []string{"dave@example.com"}
	})
	s.out("the old name is an e-mail address still, and no user name", "dave")
	publish()
	s.enters("david", s.key("david"), "david", "id", "-un")
	// The snapshot may be of the second in which the login was refused: a right that a
	// login took away is back with the first refresh after one that gave it again.
	s.refreshed()
	s.in("david", "root")
	if is := s.uid("david"); is != was {
		s.t.Errorf("who was dave has the uid %s, had %s", is, was)
	}
	s.change(func(store *testbed.IdentityStore) { person(store, "david@example.com").UserName = "dave@example.com" })
	publish()
	s.enters("dave", s.key("dave"), "dave", "id", "-un")
	s.source = s.iam.PeopleSource()
}

// answers has Identity Center refuse, or say what it should not. Who was in stays in
// by the last good answer, who was out stays out, and one line says why.
func (s *siege) answers() {
	s.open(siegeRules)
	for _, bad := range []struct {
		name  string
		begin func() (end func())
		says  string // what a refresh says; "": it is good
		known string // what status says then
		in    bool   // a login goes by the answer, and not by the one before
	}{
		{"the store's key is refused", func() func() {
			s.change(func(store *testbed.IdentityStore) { store.KeyDenied = true })
			return func() { s.change(func(store *testbed.IdentityStore) { store.KeyDenied = false }) }
		}, "kms:Decrypt", "kms:Decrypt", false},
		{"every call is throttled", s.fault("throttle", ""), "throttled", "throttled", false},
		{"a page token comes back", s.fault("old-marker", "ListGroupMemberships"), "marker", "marker", true},
		{"DescribeUser answers about somebody else", s.fault("other", "DescribeUser"), "", "the answer is about user",
			false},
		{"DescribeUser answers nothing", s.fault("bare", "DescribeUser"), "", "a user has no id", false},
		{"a membership is of somebody who was deleted", func() func() {
			s.change(func(store *testbed.IdentityStore) {
				for i := range store.Groups {
					store.Groups[i].Gone = []string{another(99)}
				}
			})
			return func() {
				s.change(func(store *testbed.IdentityStore) {
					for i := range store.Groups {
						store.Groups[i].Gone = nil
					}
				})
			}
		}, "", another(99), true},
	} {
		s.step(bad.name, func() {
			before := s.Run("getent", "-s", "passwd:iam", "passwd")
			s.in("erin", "root")
			end := bad.begin()
			defer end()
			s.in("erin", "root")
			s.out("out before it began", "frank")
			r := s.Try(testbed.Refresh, "refresh")
			_, said, slow := strings.Cut(r.Stderr, "(Ctrl-C ends the wait)\n")
			if !slow {
				said = r.Stderr
			}
			if said = strings.TrimSpace(said); bad.says != "" &&
				(r.Code == 0 || !strings.Contains(said, bad.says) || strings.Contains(said, "\n")) {
				s.t.Errorf("a refresh: %v, want one line with %q", r, bad.says)
			} else if bad.says == "" && r.Code != 0 {
				s.t.Errorf("a refresh: %v", r)
			}
			if r := s.Try(testbed.Refresh, "status"); !strings.Contains(r.Stdout, bad.known) {
				s.t.Errorf("status does not say %q: %v", bad.known, r)
			}
			if after := s.Run("getent", "-s", "passwd:iam", "passwd"); after != before {
				s.t.Errorf("other people are served:\n%s\nwere\n%s", after, before)
			}
			s.in("erin", "root")
			if bad.in {
				s.change(func(store *testbed.IdentityStore) { person(store, "erin@example.com").Status = "DISABLED" })
				s.out("disabled, and DescribeUser says so", "erin")
				s.change(func(store *testbed.IdentityStore) { person(store, "erin@example.com").Status = "ENABLED" })
			}
		})
		s.refreshed()
	}
}

// fault has an operation, or each, spoiled for ever.
func (s *siege) fault(kind, action string) func() (end func()) {
	return func() func() {
		s.iam.SetFaults(map[string]any{"kind": kind, "action": action, "times": -1})
		time.Sleep(reuse)
		return func() { s.iam.SetFaults() }
	}
}

// otherStore is an Identity Center that was set up again, or one of an attacker that
// somebody believed: all names are there, and each is somebody else's.
func (s *siege) otherStore() {
	const id = "d-9067bbbbbb"
	names := []string{"alice", "bob", "carol", "dave", "erin"}
	was := map[string]string{}
	for _, name := range names {
		was[name] = s.uid(name)
	}
	const owners = "stat -c '%n %u' /srv/files/* /home/*"
	files := s.Run("sh", "-c", owners)
	s.open(siegeRules)
	s.change(func(store *testbed.IdentityStore) {
		store.ID = id
		for i := range store.Groups {
			store.Groups[i].ID = another(200 + i)
		}
		for i := range store.People {
			store.People[i].ID = another(100 + i)
		}
	})
	s.in("erin", "root") // the store that this host reads is not there: an outage
	r := s.Try(testbed.Refresh, "refresh")
	if said := strings.TrimSpace(r.Stderr); r.Code == 0 || !strings.Contains(said, "d-9067aaaaaa") ||
		strings.Contains(said, "\n") {
		s.t.Errorf("a refresh of a store that is not there: %v", r)
	}

	s.source = s.iam.PeopleSource() + "identity_store = \"" + id + "\"\n"
	s.open(siegeRules)
	nobody := func(why string) {
		s.t.Helper()
		for _, name := range names {
			s.out(why, name)
		}
	}
	nobody("the groups are others, which only have the names")
	const why = `the name "Developers" was that of the group`
	if r := s.Try(testbed.Refresh, "status"); !strings.Contains(r.Stdout, why) {
		s.t.Errorf("status does not say why nobody may log in: %v", r)
	}
	s.Run(testbed.Refresh, "refresh", "--accept-groups")
	for range 2 { // the refresh that confirms, and after
		for _, name := range names {
			if r := s.sshd.Login(name, s.key(name), "cat /srv/files/* /home/*/*"); strings.Contains(r.Stdout, "of ") {
				s.t.Errorf("the new %s reads what the first people had: %v", name, r)
			}
		}
		s.refreshed()
	}
	for _, name := range names {
		if is := s.uid(name); is == was[name] {
			s.t.Errorf("the new %s has the uid %s of the first", name, is)
		}
	}
	s.in("erin", "root") // the new one
	all := s.Run("sh", "-c", owners)
	for line := range strings.Lines(files) {
		if !strings.Contains(all+"\n", strings.TrimSuffix(line, "\n")+"\n") {
			s.t.Errorf("files have other owners:\n%s\nhad\n%s", all, files)
			break
		}
	}
}
