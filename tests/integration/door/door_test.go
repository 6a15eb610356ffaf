// Package door shows who gets in where: a table of every way into an account,
// for a person in every state, on booted hosts of three Debian releases with
// their own sshd, sudo, cron and at, where sshd uses PAM and where it does not.
// Each cell has its expected answer in states.go, and the tables of what was
// seen are those of docs/security.md. It imports no internal package.
package door

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

var update = flag.Bool("update", false, "write the tables into docs/security.md")

func TestMain(m *testing.M) {
	flag.Parse()
	if _, err := exec.LookPath("debootstrap"); err == nil && os.Getuid() == 0 {
		testbed.PrepareTrees()
	}
	os.Exit(m.Run())
}

func TestWhoGetsInWhere(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.each("installed and set up, everybody is served", site.install)
	f.each("everybody has sessions open, and jobs", site.prepare)
	f.leave()
	f.each("every way is tried for everybody; odd names open nothing, and nobody becomes another", func(s site) {
		var both sync.WaitGroup
		both.Go(s.strangers)
		s.try(peopleBut("stale"))
		both.Wait()
	})
	f.each("IAM is out of reach for longer than keys.max_stale", site.alone)
	f.each("… and every way is tried again", func(s site) { s.try([]string{"stale"}) })
	f.judge()
}

// strangers has an active person try what nobody may.
func (s site) strangers() {
	refused := 0
	note := func(name, attempt, as, reason string) {
		if as != "no" {
			s.t.Errorf("%s: %s: %s %s", name, attempt, as, reason)
		}
		refused++
	}
	person := []string{"active"}
	for _, pam := range []string{"yes", "no"} {
		s.people(person, note, func(name string) testbed.Result {
			return s.Try(script, "odd", name, s.lasting.uids[name], pam)
		})
	}
	s.people(person, note, func(name string) testbed.Result {
		return s.Try(script, "become", name, s.lasting.uids[name], "demoted")
	})
	if refused < 40 {
		s.t.Errorf("only %d attempts were refused", refused)
	}
	for file, want := range map[string]string{
		"keys.db": "root nss-iam 640", "state.db": "root root 600", "nss.db": "root root 644",
	} {
		if got := s.Run("stat", "-c", "%U %G %a", "/var/lib/nss-iam/"+file); got != want {
			s.t.Errorf("%s is %s, want %s", file, got, want)
		}
	}
}

// peopleBut are the names of all states but one.
func peopleBut(but string) (names []string) {
	for _, s := range states {
		if s.name != but {
			names = append(names, s.name)
		}
	}
	return names
}

// leave brings everybody into the state of the name.
func (f *fleet) leave() {
	f.iam.DeleteUser("former")
	f.iam.DeleteUser("again")
	f.iam.AddUser(testbed.User{Name: "again", Groups: []string{"developers"},
		Keys: []testbed.IAMKey{{Body: testbed.NewKey(f.t, "rsa", "newcomer").Public}}})
	f.each("two have been deleted, and one of the name is new", site.refreshed)
	f.each("they are former", site.refreshed)

	for _, name := range append([]string{"held"}, crowd...) {
		f.iam.RemoveMember("developers", name)
	}
	f.iam.DeleteGroup("interns")
	f.iam.DeleteGroup("operators")
	f.each("many have left, and two groups are gone", site.refreshed)
	f.iam.RemoveMember("developers", "pending")
	f.iam.RemoveMember("admins", "demoted")
	f.each("these are too many, and one more has left", site.refreshed)

	f.iam.RemoveMember("developers", "early")
	f.iam.SetKeyStatus("inactive", keyID("inactive"), "Inactive")
	time.Sleep(reuse)
}

// reuse is a little more than the time for which the daemon reuses what IAM
// said of a person.
const reuse = 6 * time.Second

// refreshed has the daemon refresh now. What it makes of the answer the tables
// show.
func (s site) refreshed() {
	s.t.Helper()
	if r := s.Try("iam-cachefill", "refresh"); r.Code != 0 || r.Stderr != "" {
		s.t.Log(r)
	}
}

// alone takes IAM away, and waits until what the host knows is too old.
func (s site) alone() {
	s.Write("/etc/nss-iam/config.toml", s.config("30s", "max_stale = \"2m\"\n"), 0o644)
	s.Run("iam-cachefill", "check-config")
	s.Run("systemctl", "restart", "nss-iam")
	s.refreshed()
	s.Run("ip", "route", "add", "unreachable", testbed.PlaceAddress)
	time.Sleep(125 * time.Second)
}

// judge holds what was seen against the rules, and against the page.
func (f *fleet) judge() {
	t := f.t
	seen := make(map[string]results)
	for _, s := range f.sites {
		seen[s.release] = s.lasting.seen
		for _, pam := range []string{"yes", "no", ""} {
			for _, w := range waysOf(pam) {
				for _, p := range states {
					c := cell{w.id, p.name, pam}
					if got, want := s.lasting.seen[c], w.rule(p, pam); got != want {
						t.Errorf("%s, UsePAM %q: %s: %s: %q, want %q; %s", s.release, pam, p.title, w.title, got, want,
							s.lasting.reasons[c])
					}
				}
			}
		}
	}
	page := filepath.Join(testbed.Root(), "docs", "security.md")
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, shown, after, ok := between(string(content))
	if !ok {
		t.Fatalf("%s has no place for the tables", page)
	}
	run := tables(testbed.Releases, seen)
	switch {
	case shown == run:
	case *update:
		if err := os.WriteFile(page, []byte(before+tablesBegin+run+tablesEnd+after), 0o644); err != nil {
			t.Error(err)
		}
	default:
		t.Errorf("docs/security.md shows other tables than this run's; to write these: go test ./tests/integration/door "+
			"-update\n%s", run)
	}
}
