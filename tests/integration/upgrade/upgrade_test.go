// Package upgrade shows that a new version of the files costs nobody a login.
//
// A new version N takes two releases: the first reads N-1 and N and writes N-1,
// the second writes N. The test makes both of this tree, by raising the constants
// in copies of it, and takes a host from this tree's release through them and
// back while people log in. It imports no internal package.
package upgrade

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// versions are the files in which the versions of the formats are. The last
// are what the daemon and the helpers say to each other.
var versions = []string{
	"internal/cache/contract.go", "internal/cache/keys.go", "nss/format.h",
	"internal/snapshot/snapshot.go", "internal/control/control.go",
}

var (
	newest  = regexp.MustCompile(`(?m)^\t(Newest\w*Version|FORMAT_NEWEST_VERSION) *= (\d+)`)
	oldest  = regexp.MustCompile(`(?m)^\t(Oldest\w*Version|FORMAT_OLDEST_VERSION) *= (\d+)`)
	written = regexp.MustCompile(`(?m)^\t((?:Keys)?Version) *= (\d+)`)
)

const socket = "/run/nss-iam/cachefill.sock"

// A release is the folder of its built programs.
type release string

// later makes the release that reads version N, or the one that writes it.
func later(t *testing.T, name string, writes bool) release {
	t.Helper()
	tree := filepath.Join(t.TempDir(), name)
	if err := filepath.WalkDir(testbed.Root(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(testbed.Root(), path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (rel == "build" || rel == ".git" || rel == "docs"):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(tree, rel), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(tree, rel), content, info.Mode().Perm())
	}); err != nil {
		t.Fatal(err)
	}
	for _, name := range versions {
		raise(t, filepath.Join(tree, name), writes)
	}
	build := filepath.Join(tree, "build")
	// The same folder of programs that this tree has, with the same paths compiled in.
	if out, err := exec.Command("make", "--no-print-directory", "-C", tree, "build", "BUILD=build",
		"VERSION="+name).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return release(build)
}

// raise makes a file of a release that knows one version more.
func raise(t *testing.T, name string, writes bool) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	one := func(s string) string {
		i := strings.LastIndex(s, " ")
		n, err := strconv.Atoi(s[i+1:])
		if err != nil {
			t.Fatal(err)
		}
		return s[:i+1] + strconv.Itoa(n+1)
	}
	changed := newest.ReplaceAllStringFunc(string(text), one)
	if changed == string(text) {
		t.Fatalf("%s has no newest version to raise", name)
	}
	if !oldest.MatchString(changed) {
		t.Fatalf("%s has no oldest version", name)
	}
	if writes {
		// The reader in C writes nothing.
		if after := written.ReplaceAllStringFunc(changed, one); after != changed || strings.HasSuffix(name, ".h") {
			changed = after
		} else {
			t.Fatalf("%s has no version to raise", name)
		}
	}
	if err := os.WriteFile(name, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A site is a host with people logging in.
type site struct {
	*testbed.Host
	t      *testing.T
	iam    *testbed.IAM
	sshd   *testbed.SSHD
	daemon *testbed.Process
	libdir string
	hired  int
}

const lookForever = `
	$| = 1;
	while (1) {
		print time, " alice is unknown\n" unless getpwnam("alice");
		if (open my $f, "<", "/run/newcomer") {
			my $name = <$f>; chomp $name;
			if (!$seen{$name} && getpwnam($name)) { $seen{$name} = 1; print "knows $name\n"; }
		}
		select undef, undef, undef, 0.05;
	}`

// witness is a process that has loaded the module of now, and looks people up
// for as long as the test goes on.
func (s *site) witness() *testbed.Process { return s.Start(nil, "perl", "-e", lookForever) }

// install puts a release in place as a package does: file by file, each at
// once, and the daemon started after them.
func (s *site) install(r release) {
	s.t.Helper()
	for _, f := range []struct{ name, path string }{
		{"libnss_iam.so.2", s.libdir + "/libnss_iam.so.2"},
		{"iam-cachefill", testbed.Refresh},
		{"authkeys", testbed.Helper},
		{"account", testbed.Account},
	} {
		content, err := os.ReadFile(filepath.Join(string(r), f.name))
		if err != nil {
			s.t.Fatal(err)
		}
		s.Write(f.path+".dpkg-new", string(content), 0o755)
		s.Run("mv", f.path+".dpkg-new", f.path)
		time.Sleep(300 * time.Millisecond) // people log in while the files are of two releases
	}
	s.daemon.Stop()
	s.start()
}

func (s *site) start() {
	s.t.Helper()
	s.Run("rm", "-f", socket)
	s.daemon = s.StartDaemon()
	s.Eventually("the daemon answers", time.Minute, func() bool { return s.Try("test", "-S", socket).Code == 0 })
}

// eventuallyFor waits until a release can read both files, or neither. Nobody comes
// or goes meanwhile: they are written again for their format alone.
func (s *site) eventuallyFor(r release, readable bool) {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join(string(r), "iam-cachefill"))
	if err != nil {
		s.t.Fatal(err)
	}
	const command = "/opt/other/iam-cachefill"
	s.Write(command, string(content), 0o755)
	want := 2
	if readable {
		want = 0
	}
	s.Eventually(fmt.Sprintf("the other release finds fault with %d files", want), 2*time.Minute, func() bool {
		said := s.Try(command, "status")
		rows := regexp.MustCompile(`(?m)^(?:nss|keys)\.db .*format version`).FindAllString(said.Stdout, -1)
		return said.Stdout != "" && len(rows) == want
	})
}

// hire adds a person. New processes and these witnesses must learn of the person.
func (s *site) hire(witnesses ...*testbed.Process) {
	s.t.Helper()
	s.hired++
	name := fmt.Sprintf("newcomer%d", s.hired)
	s.iam.AddUser(testbed.User{Name: name, Groups: []string{"developers"},
		Keys: []testbed.IAMKey{{Body: testbed.NewKey(s.t, "ed25519", name).Public}}})
	s.Run(testbed.Refresh, "refresh")
	s.Run("getent", "passwd", name)
	s.Write("/run/newcomer", name+"\n", 0o644)
	for i, w := range witnesses {
		s.Eventually(fmt.Sprintf("process %d of %d learns of %s", i+1, len(witnesses), name), 20*time.Second,
			func() bool { return strings.Contains(w.Output(), "knows "+name+"\n") })
	}
	if r := s.sshd.Login(name, testbed.NewKey(s.t, "ed25519", name), "true"); r.Code != 0 {
		s.t.Errorf("%s: %v\n%s", name, r, s.sshd.Log())
	}
}

func TestANewVersionOfTheFilesCostsNobodyALogin(t *testing.T) {
	testbed.RequireArtifacts(t, "perl", "make", "ssh")
	now := release(testbed.Build())
	reads, writes := later(t, "reads", false), later(t, "writes", true)

	s := &site{Host: testbed.NewHost(t), t: t}
	s.Install()
	s.libdir = strings.TrimSuffix(s.Run("sh", "-c", "ls /usr/lib/*/libnss_iam.so.2 /lib/*/libnss_iam.so.2 2>/dev/null "+
		"| head -1"), "/libnss_iam.so.2")
	alice := testbed.NewKey(t, "ed25519", "alice")
	s.iam = s.StartIAM(testbed.Company{
		Groups: []testbed.Group{{Name: "developers"}},
		Users:  []testbed.User{{Name: "alice", Groups: []string{"developers"}, Keys: []testbed.IAMKey{{Body: alice.Public}}}},
	})
	s.Configure(s.iam.Source() + "\n[login]\ngroups = [\"developers\"]\n")
	s.Refreshed()
	s.start()
	s.sshd = s.StartSSHD()
	var over atomic.Bool
	logins, lookups := 0, 0
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !over.Load() {
			if r := s.sshd.Login("alice", alice, "true"); r.Code != 0 {
				t.Errorf("after %d logins: %v\n%s", logins, r, s.sshd.Log())
				return
			}
			logins++
			for range 5 {
				if r := s.Try("getent", "passwd", "alice"); r.Code != 0 {
					t.Errorf("after %d lookups: %v", lookups, r)
					return
				}
				lookups++
			}
		}
	}()

	first := s.witness()
	s.hire(first)
	t.Log("the release that reads version N is installed, and writes N-1")
	s.install(reads)
	second := s.witness()
	s.hire(first, second)
	t.Log("the release that writes version N is installed")
	s.install(writes)
	s.eventuallyFor(now, false)
	third := s.witness()
	s.hire(second, third)
	t.Log("and the way back")
	s.install(reads)
	s.eventuallyFor(now, true)
	s.hire(first, second, third) // the first reads again what its version is
	s.install(now)
	s.hire(first, second, third, s.witness())

	over.Store(true)
	<-ended
	t.Logf("%d logins and %d lookups of alice went on meanwhile", logins, lookups)
	if logins < 5 {
		t.Errorf("only %d logins", logins)
	}
	for i, w := range []*testbed.Process{first, second, third} {
		if strings.Contains(w.Output(), "is unknown") {
			t.Errorf("process %d had a moment without users:\n%s", i+1, w.Output())
		}
	}
}
