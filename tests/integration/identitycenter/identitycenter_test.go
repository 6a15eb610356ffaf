// Package identitycenter tests the logins of people of IAM Identity Center, who
// have no key in the directory: by Session Manager, EC2 Instance Connect, opkssh
// and SSH certificates, with the real sshd, PAM and sudo of three Debian releases.
// AWS's half of each is a stand-in that does what AWS's documents say. It imports
// no internal package.
package identitycenter

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

func TestMain(m *testing.M) {
	if _, err := exec.LookPath("debootstrap"); err == nil && os.Getuid() == 0 {
		testbed.PrepareTrees()
	}
	os.Exit(m.Run())
}

// rules is a config.toml but for [source].
const rules = `
[login]
groups = ["Developers"]

[sudo]
groups = ["Platform Admins"]

[accounts]
strip_domains = ["example.com"]
homes = "create"

[shared]
ec2-user = ["Developers"]

[removal]
confirm = 1
max_fraction = 1.0

[keys]
timeout = "10s"
`

// reuse is a little more than the time for which the daemon reuses an answer.
const reuse = 3500 * time.Millisecond

// A site is a host that serves the people of a directory.
type site struct {
	*testbed.Host
	t         *testing.T
	directory directory
	log       *testbed.Syslog
	daemon    *testbed.Process
	sshd      *testbed.SSHD
}

func TestPeopleWithoutAKeyInTheDirectoryLogIn(t *testing.T) {
	testbed.RequireArtifacts(t, "debootstrap")
	buildStandIn(t)
	for _, release := range testbed.Releases {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			host := testbed.NewDebianHost(t, release)
			s := &site{Host: host, t: t, log: host.Syslog()}
			s.Install()
			s.Run("useradd", "-m", "-s", "/bin/sh", "-p", "*", "ec2-user")
			s.Run("useradd", "-m", "-s", "/bin/sh", "-p", "*", "ubuntu")
			s.Run("mkdir", "-p", "/run/sshd")
			s.directory = newDirectory(s.Host)
			s.serve("")
			s.Run(testbed.Refresh, "setup", "--offline")
			s.step("Session Manager gives a shell to a person whose home was made", s.sessionManager)
			s.step("Instance Connect opens the account of the pushed key", s.instanceConnect)
			s.step("opkssh opens the account that its list names", s.opkssh)
			s.step("a certificate opens the person's own account", s.certificates)
			s.step("a certificate opens a shared account", s.sharedAccount)
		})
	}
}

// step runs a part of the test that begins with everybody active.
func (s *site) step(name string, f func()) {
	s.t.Run(name, func(t *testing.T) {
		outer, host := s.t, s.Host
		s.t = t
		defer func() { s.t, s.Host = outer, host }()
		s.Host = s.Host.On(t)
		f()
	})
}

// serve starts the daemon and sshd with further lines of the section [keys] and
// of sshd_config.
func (s *site) serve(keys string, sshd ...string) {
	s.t.Helper()
	if s.daemon != nil {
		s.daemon.Stop()
		s.sshd.Process.Stop()
	}
	s.Configure(s.directory.Source() + rules + keys)
	const socket = "/run/nss-iam/cachefill.sock"
	s.Run("rm", "-f", socket)
	s.daemon = s.StartDaemon()
	s.Eventually("the daemon serves alice", time.Minute, func() bool {
		return s.Try("test", "-S", socket).Code == 0 && s.Try("getent", "passwd", "alice").Code == 0
	})
	s.sshd = s.StartSSHD(append([]string{"PermitUserEnvironment NSS_IAM_USER"}, sshd...)...)
}

// enters wants a login that runs a command and prints this.
func (s *site) enters(user string, key testbed.Key, want string, command ...string) {
	s.t.Helper()
	if r := s.sshd.Login(user, key, command...); r.Code != 0 || strings.TrimSpace(r.Stdout) != want {
		s.t.Errorf("%s: want a login that prints %q: %v\n%s\n%s", user, want, r, s.sshd.Log(),
			strings.Join(s.log.Lines(), "\n"))
	}
}

// stays wants no login.
func (s *site) stays(why, user string, key testbed.Key) {
	s.t.Helper()
	if r := s.sshd.Login(user, key, "id", "-un"); r.Code != 255 && r.Code != 254 {
		s.t.Errorf("%s: %s: want no login: %v\n%s", why, user, r, s.sshd.Log())
	}
}

// doctor wants a finding of this check and state that says this.
func (s *site) doctor(check, state, says string) {
	s.t.Helper()
	r := s.TryInput("", testbed.Credentials(), testbed.Refresh, "doctor", "--json")
	var d struct {
		Findings []struct{ Check, State, What string }
	}
	if err := json.Unmarshal([]byte(r.Stdout), &d); err != nil {
		s.t.Fatalf("%v: %v", err, r)
	}
	for _, f := range d.Findings {
		if f.Check == check && f.State == state && strings.Contains(f.What, says) {
			return
		}
	}
	s.t.Errorf("doctor does not say of %q that it is %s, with %q: %s", check, state, says, r.Stdout)
}

// without runs f while a person is out: of the login group first, then disabled.
func (s *site) without(person string, f func()) {
	s.t.Helper()
	s.directory.Leave(person)
	time.Sleep(reuse)
	f()
	s.directory.Disable(person)
	s.directory.Join(person)
	time.Sleep(reuse)
	f()
	s.directory.Enable(person)
	s.Run(testbed.Refresh, "refresh")
	time.Sleep(reuse)
}

func (s *site) sessionManager() {
	s.doctor("way in", "broken", "nothing lets people in")
	s.doctor("rate", "good", "refreshes every 10m: about 4 calls each; ")
	s.Write("/usr/bin/amazon-ssm-agent", "#!/bin/sh\n", 0o755)
	s.doctor("way in", "good", "Session Manager")
	s.doctor("run as", "good", "2 without the domain")
	s.Run("rm", "/usr/bin/amazon-ssm-agent")
	r, err := s.SessionManager("alice", "pwd\nid -un\ntest -f .bashrc && echo skeleton\nsudo -n id -u\nexit\n")
	if want := "/home/alice\nalice\nskeleton\n0\n"; err != nil || r.Code != 0 || r.Stdout != want {
		s.t.Errorf("alice's session: %v, %v, want %q", r, err, want)
	}
	if r, err := s.SessionManager("bob", "sudo -n id -u || echo no sudo\nexit\n"); err != nil || r.Stdout != "no sudo\n" {
		s.t.Errorf("bob's session: %v, %v", r, err)
	}
	if r, err := s.SessionManager("mallory", ""); err == nil {
		s.t.Errorf("mallory is in no login group, and has a session: %v", r)
	}
	s.without("alice", func() {
		s.Run(testbed.Refresh, "refresh")
		// The agent asks AWS, not the host, who may have a session. What the host
		// grants is gone: sudo with the refresh, and the shell.
		if r, err := s.SessionManager("alice", "sudo -n id -u\nexit\n"); err == nil && r.Code == 0 {
			s.t.Errorf("alice is out, and has a session: %v", r)
		}
	})
	if r, err := s.SessionManager("alice", "id -un\nexit\n"); err != nil || r.Stdout != "alice\n" {
		s.t.Errorf("alice is back: %v, %v", r, err)
	}
}
