package hosts

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// visit logs in to every other host, in turn as somebody else.
func (s site) visit() {
	for i, to := range s.others() {
		person := []string{"alice", "dave"}[i%2]
		if r := s.login(to, person, person, "id -un; hostname"); !strings.HasPrefix(r.Stdout, person+"\n") {
			s.t.Errorf("%s on %s: %v", person, to.release, r)
		}
	}
	// Somebody whose name IAM allows and Unix does not.
	if r := s.login(s.others()[0], "eve@example.com", "eve.at.example.com", "id -un"); r.Stdout != "eve.at.example.com\n" {
		s.t.Errorf("eve: %v", r)
	}
}

// share writes as somebody who has logged in from elsewhere, and looks at what
// was written on all hosts.
func (s site) share() {
	s.carol = s.Run("id", "-u", "carol")
	for _, name := range []string{"alice", "bob", "carol", "dave", "eve.at.example.com"} {
		here := s.Run("id", name)
		for _, to := range s.others() {
			if there := to.host.On(s.t).Run("id", name); there != here {
				s.t.Errorf("%s on %s: %s, here: %s", name, to.release, there, here)
			}
		}
	}
	for name, want := range map[string]string{"alice": "alice developers iam-users team-blue",
		"carol": "admins carol developers iam-sudo iam-users"} {
		groups := strings.Fields(s.Run("id", "-nG", name))
		slices.Sort(groups)
		if got := strings.Join(groups, " "); got != want {
			s.t.Errorf("%s's groups: %s, want %s", name, got, want)
		}
	}
	for _, person := range []string{"alice", "carol"} {
		to := s.others()[0]
		file := fmt.Sprintf("/efs/%s-of-%s", person, s.release)
		if r := s.login(to, person, person, "umask 027; echo mine >"+file); r.Code != 0 {
			s.t.Fatalf("write: %v", r)
		}
		for _, on := range s.f.sites {
			if got := on.host.On(s.t).Run("stat", "-c", "%U:%G %a", file); got != person+":"+person+" 640" {
				s.t.Errorf("%s, written on %s, on %s: %s", file, to.release, on.release, got)
			}
		}
		if r := s.login(s.lasting, person, person, "cat "+file); r.Stdout != "mine\n" {
			s.t.Errorf("%s reads %s: %v", person, file, r)
		}
		if r := s.login(s.lasting, "dave", "dave", "cat "+file); r.Code == 0 {
			s.t.Errorf("dave reads %s: %v", file, r)
		}
	}
}

// revoke takes alice's key from her, and gives her another.
func (f *fleet) revoke() {
	f.iam.DeleteKey("alice", f.ids["alice"])
}

func (s site) revoked() {
	for _, to := range append(s.others(), s.lasting) {
		s.refused(to, "alice", "alice")
	}
	if r := s.login(s.others()[0], "dave", "dave", "id -un"); r.Stdout != "dave\n" {
		s.t.Errorf("dave: %v", r)
	}
}

// remove deletes bob, renames carol and gives alice her key back. Before,
// bob is at work on every host.
func (f *fleet) remove() {
	f.each("bob is at work", func(s site) {
		// Of the fleet's life: the step that ends it is another.
		session := s.f.sites[0].host.Start(nil, s.ssh(s.lasting, "bob", "bob", "echo at work; exec sleep 600")...)
		s.Eventually("bob is at work", 5*time.Minute, func() bool { return strings.Contains(session.Output(), "at work") })
		s.Eventually("logind has a session of his", 5*time.Minute, func() bool {
			return strings.Contains(s.Run("loginctl", "list-sessions", "--no-legend"), "bob")
		})
	})
	f.iam.DeleteUser("bob")
	f.iam.RenameUser("carol", "caroline")
	f.iam.AddKey("alice", f.iamKey("alice"))
	// The publisher first: what it reads is what the others read.
	f.sites[0].host.On(f.t).Run("iam-cachefill", "refresh")
}

func (s site) removed() {
	s.Eventually("caroline is known", 5*time.Minute, func() bool {
		s.refreshed()
		return s.Try("id", "caroline").Code == 0
	})
	s.known("caroline")
	if got := s.Run("id", "-u", "caroline"); got != s.carol {
		s.t.Errorf("caroline has the uid %s, as carol she had %s", got, s.carol)
	}
	if got := s.Run("stat", "-c", "%U", "/efs/carol-of-"+s.release); got != "caroline" {
		s.t.Errorf("what carol wrote is %s's", got)
	}
	if r := s.login(s.lasting, "carol", "caroline", "sudo -n id -u"); r.Stdout != "0\n" {
		s.t.Errorf("caroline: %v\n%s", r, s.journal())
	}
	for person, user := range map[string]string{"carol": "carol", "bob": "bob"} {
		s.refused(s.lasting, person, user)
	}
	if got := s.Run("getent", "passwd", "bob"); !strings.HasPrefix(got, "bob:x:") || !strings.HasSuffix(got, "/nologin") {
		s.t.Errorf("bob's uid has the name %q", got)
	}
	s.Eventually("bob's sessions have ended", 5*time.Minute, func() bool {
		return !strings.Contains(s.Run("loginctl", "list-sessions", "--no-legend"), "bob") &&
			s.Try("pgrep", "-u", "bob").Code == 1
	})
	s.Eventually("the log tells of it", 5*time.Minute, func() bool {
		return strings.Contains(s.logged("NSS_IAM_USER=bob"), "ended the processes of a user without the right to log in")
	})
	if log := s.logged("NSS_IAM_GENERATION=1"); !strings.Contains(log, "refreshed") {
		s.t.Errorf("the log has nothing of the first generation under its field: %q", log)
	}
	if s.Try("test", "-d", "/home/bob").Code != 0 {
		s.t.Error("bob's home is gone")
	}
	s.Eventually("alice logs in, with her key again", 5*time.Minute, func() bool {
		return s.login(s.lasting, "alice", "alice", "id -un").Stdout == "alice\n"
	})
}

// logged are the daemon's lines that match, as docs/operations.md has people look
// for them.
func (s site) logged(match ...string) string {
	s.t.Helper()
	s.Run("journalctl", "--sync") // journald writes a little later than the daemon speaks
	args := append([]string{"journalctl", "-q", "-u", "nss-iam", "-o", "cat", "--no-pager"}, match...)
	return s.Run(args...)
}

// refused waits until somebody is let in no more: what IAM said at a login
// holds for some seconds.
func (s site) refused(to *lasting, person, user string) {
	s.t.Helper()
	s.Eventually(person+"'s key opens "+user+" on "+to.release+" no more", 5*time.Minute, func() bool {
		return s.login(to, person, user, "id").Code == 255
	})
}

// reboot shuts the host down while nobody answers, and logs in after it.
func (s site) reboot() {
	// So far a machine under load was not to fall back to the cache in time.
	s.Run("sed", "-i", `s/^timeout = .*/timeout = "1s"/`, "/etc/nss-iam/config.toml")
	s.Run("systemctl", "reload", "nss-iam")
	if r := s.login(s.lasting, "alice", "alice", "id -un"); r.Stdout != "alice\n" {
		s.t.Errorf("without IAM: %v\n%s", r, s.journal())
	}
	down := time.Now()
	s.Reboot()
	// From here on the host is told at once that there is no way to IAM; silence
	// was tried above.
	s.Run("ip", "route", "add", "unreachable", testbed.PlaceAddress)
	if r := s.login(s.lasting, "dave", "dave", "id -un; pwd"); r.Stdout != "dave\n/home/dave\n" {
		s.t.Errorf("after a reboot without IAM: %v\n%s", r, s.journal())
	}
	if r := s.login(s.lasting, "alice", "root", "id"); r.Code != 255 {
		s.t.Errorf("alice's key opens root: %v", r)
	}
	if got := s.Run("systemctl", "is-active", "nss-iam"); got != "active" {
		s.t.Errorf("nss-iam.service is %s", got)
	}
	s.Eventually("the journal has the outage among its warnings", 5*time.Minute, func() bool {
		return strings.Contains(s.logged("-b", "-p", "warning"), "refresh failed")
	})
	if last := s.status().Last; last != nil && last.Success.After(down) {
		s.t.Errorf("there was a refresh: %+v", *last)
	}
}
