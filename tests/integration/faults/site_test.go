package faults

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/state"
	"github.com/nss-iam/nss-iam/tests/testbed"
)

// A site is a host with everything on it, and what a fault may change.
type site struct {
	*testbed.Host
	t      *testing.T
	iam    *testbed.IAM
	daemon *testbed.Process
	rules  string
	before string // what the journal had before the daemon was started again
}

const figures = "/var/lib/nss-iam-figures/nss-iam.prom"

const plain = `
[login]
groups = ["developers"]
[removal]
max_fraction = 0.3
[metrics]
textfile = "` + figures + `"
`

func newSite(t *testing.T) *site {
	t.Helper()
	testbed.RequireArtifacts(t)
	s := &site{Host: testbed.NewHost(t), t: t, rules: plain}
	s.Install()
	s.Run("mkdir", "-p", filepath.Dir(figures))
	person := func(name string, groups ...string) testbed.User {
		return testbed.User{Name: name, Groups: groups,
			Keys: []testbed.IAMKey{{ID: ("APKA" + strings.ToUpper(name) + "EXAMPLEEXAMPLEEXAMPLE")[:20],
				Body: testbed.NewKey(t, "rsa", name).Public}}}
	}
	s.iam = s.StartIAM(testbed.Company{
		Groups: []testbed.Group{{Name: "developers"}, {Name: "empty"}, {Name: "others"}},
		Users:  []testbed.User{person("alice", "developers"), person("bob", "developers"), person("carol", "others")},
	})
	s.configure(plain)
	s.Run("sh", "-ec", "mkdir -p /run/sshd; ssh-keygen -q -A") // as the package of sshd and its unit do
	s.Run(testbed.Refresh, "setup", "--offline")
	return s
}

func (s *site) configure(rules string) {
	s.rules = rules
	source := strings.Replace(s.iam.Source(), "[source]\n", "[source]\nrate = 50\n", 1)
	s.Configure(source + rules)
}

// start starts the daemon as systemd does: what it prints is the journal's.
func (s *site) start(env ...string) {
	if s.daemon != nil {
		s.daemon.Stop()
		s.before += s.daemon.Output()
	}
	if env == nil {
		env = testbed.Credentials()
	}
	s.daemon = s.Start(env, "sh", "-c", "JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "+testbed.Refresh+" run")
}

// serve starts the daemon, and waits until all keys are known.
func (s *site) serve() {
	s.t.Helper()
	s.start()
	s.Eventually("all is well", 2*time.Minute, func() bool {
		return s.Try(testbed.Refresh, "status").Code == 0 &&
			strings.Contains(s.Try(testbed.Refresh, "explain", "alice").Stdout, "yes  cached keys")
	})
}

// kill ends the daemon without a word.
func (s *site) kill() {
	s.daemon.Signal(unix.SIGKILL)
	s.daemon.Wait(time.Minute)
}

// refresh has the daemon refresh. The command would do it itself while none answers.
func (s *site) refresh() {
	s.t.Helper()
	s.Eventually("the daemon answers", time.Minute, func() bool {
		return regexp.MustCompile(`daemon +running`).MatchString(s.Try(testbed.Refresh, "status").Stdout)
	})
	s.Try(testbed.Refresh, "refresh")
}

// smallDisk puts the cache folder on a disk of its own.
func (s *site) smallDisk() {
	s.daemon.Stop()
	s.Run("sh", "-ec", "d="+testbed.CacheDir+"; cp -a $d /var/lib/copy; mount -t tmpfs -o size=1m,mode=755 none $d; cp "+
		"-a /var/lib/copy/. $d/")
	s.serve()
}

// redate has keys.db say that all keys were checked so much later than they were.
func (s *site) redate(by time.Duration) {
	s.t.Helper()
	s.rewrite(cache.KeysFile, "root:nss-iam", 0o640, func(dir string) error {
		known, _, err := cache.ReadKeys(dir)
		for i := range known.Users {
			known.Users[i].Checked = known.Users[i].Checked.Add(by)
		}
		if err == nil {
			_, err = cache.PublishKeys(dir, known, -1, time.Now())
		}
		return err
	})
}

// recall has the daemon's memory say so, too. It must not run.
func (s *site) recall(by time.Duration) {
	s.t.Helper()
	s.rewrite(state.File, "root:root", 0o600, func(dir string) error {
		store, err := state.Open(dir)
		if err != nil {
			return err
		}
		known, err := store.Listings()
		for id, listing := range known {
			listing.Checked = listing.Checked.Add(by)
			known[id] = listing
		}
		if err == nil {
			err = store.SaveListings(known)
		}
		return errors.Join(err, store.Close())
	})
}

// rewrite changes a file of the cache folder.
func (s *site) rewrite(file, owner string, mode os.FileMode, change func(dir string) error) {
	s.t.Helper()
	dir := s.t.TempDir()
	at := filepath.Join(dir, file)
	if err := os.WriteFile(at, []byte(s.Read(testbed.CacheDir+"/"+file)), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := change(dir); err != nil {
		s.t.Fatal(err)
	}
	body, err := os.ReadFile(at)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Write(testbed.CacheDir+"/"+file, string(body), mode)
	s.Run("chown", owner, testbed.CacheDir+"/"+file)
}

// trial waits until the daemon has tried what logins need.
func (s *site) trial() {
	s.Eventually("the daemon has tried a login", time.Minute,
		func() bool { return strings.Contains(s.daemon.Output(), "what logins ask") })
	s.Eventually("the figures have it", time.Minute, func() bool {
		return strings.Contains(s.Try("cat", figures).Stdout, `nss_iam_problems{check="logins",state="broken"} `+"1")
	})
}
