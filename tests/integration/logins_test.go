package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

const socket = "/run/nss-iam/cachefill.sock"

// reuse is a little more than the time for which the daemon reuses an answer,
// because sshd asks several times a login.
const reuse = 3500 * time.Millisecond

// loginRules is a config.toml but for [source]. The time limit is far above
// what an emulator on a busy machine needs: what falls back to the cache here
// is to do so because something is broken.
const loginRules = `
[login]
groups = ["developers"]

[sudo]
groups = ["admins"]

[keys]
tag_prefix = "ssh-key"
timeout = "5s"
options = ["no-agent-forwarding"]

[shared]
ec2-user = ["ops"]

[removal]
confirm = 1
max_fraction = 1.0
`

// staff is who the logins are tried with. Each has an RSA key of the name's
// own, but for eddy, whose keys are in tags: an ed25519 and an ECDSA one.
func staff(t testing.TB) testbed.Company {
	company := testbed.Company{Groups: []testbed.Group{{Name: "developers"}, {Name: "admins"}, {Name: "ops"}}}
	for _, u := range []struct {
		name   string
		groups []string
	}{
		{"alice", []string{"developers"}}, {"carol", []string{"developers", "admins"}},
		{"oscar", []string{"ops"}}, {"mallory", []string{"admins"}},
		{"root", []string{"developers", "admins"}}, {"ubuntu", []string{"developers", "admins", "ops"}},
		{"idle", []string{"developers"}}, {"dora", []string{"developers"}}, {"iris", []string{"developers"}},
		{"leo", []string{"developers"}}, {"frieda", []string{"developers"}},
	} {
		key := testbed.IAMKey{ID: keyID(u.name), Body: testbed.NewKey(t, "rsa", u.name).Public}
		if u.name == "idle" {
			key.Status = "Inactive"
		}
		company.Users = append(company.Users, testbed.User{Name: u.name, Groups: u.groups, Keys: []testbed.IAMKey{key}})
	}
	company.Users = append(company.Users, testbed.User{Name: "eddy", Groups: []string{"developers"},
		Tags: map[string]string{
			"ssh-key": testbed.NewKey(t, "ed25519", "eddy").Public, "ssh-key-1": testbed.NewKey(t, "ecdsa", "eddy").Public,
		}})
	return company
}

// daemon starts the daemon and waits until it answers on its socket.
func daemon(host *testbed.Host) *testbed.Process {
	host.Run("rm", "-f", socket)
	p := host.StartDaemon()
	host.Eventually("the daemon opens its socket", time.Minute,
		func() bool { return host.Try("test", "-S", socket).Code == 0 })
	return p
}

// A door is an sshd with one setting of UsePAM.
type door struct {
	*testbed.SSHD
	pam string
}

// logins is a host of the staff, with a daemon, local accounts of the names
// ubuntu and ec2-user, homes made by PAM, and an sshd with PAM and one without.
type logins struct {
	host   *testbed.Host
	iam    *testbed.IAM
	daemon *testbed.Process
	log    *testbed.Syslog
	doors  []door
}

func newLogins(t *testing.T, host *testbed.Host) *logins {
	t.Helper()
	l := &logins{host: host, log: host.Syslog()}
	host.Install()
	for _, name := range []string{"ubuntu", "ec2-user"} {
		if host.Try("getent", "passwd", name).Code != 0 {
			host.Run("useradd", "-m", "-s", "/bin/sh", "-p", "*", name)
		}
	}
	host.Write("/etc/pam.d/common-session", host.Read("/etc/pam.d/common-session")+
		"session optional pam_mkhomedir.so umask=0077\n", 0o644)
	host.Write("/etc/sudoers.d/nss-iam", "%iam-sudo ALL=(ALL) NOPASSWD: ALL\n", 0o440)
	l.iam = host.StartIAM(staff(t))
	host.Configure(l.iam.Source() + loginRules)
	host.Refreshed()
	l.daemon = daemon(host)
	// Without PAM first: with it the homes are made.
	for _, pam := range []string{"no", "yes"} {
		l.doors = append(l.doors, door{host.StartSSHD("UsePAM "+pam, "PermitUserEnvironment NSS_IAM_USER"), pam})
	}
	return l
}

// enters tries a login at every door, which must run the command and print want.
func (l *logins) enters(t *testing.T, user string, key testbed.Key, want string, command ...string) {
	t.Helper()
	for _, d := range l.doors {
		if r := d.Login(user, key, command...); r.Code != 0 || strings.TrimSpace(r.Stdout) != want {
			t.Errorf("UsePAM %s: want a login that prints %q: %v\n%s", d.pam, want, r, d.Log())
		}
	}
}

// stays tries a login at every door, which must not come about.
func (l *logins) stays(t *testing.T, user string, key testbed.Key) {
	t.Helper()
	for _, d := range l.doors {
		if r := d.Login(user, key, "true"); r.Code != 255 {
			t.Errorf("UsePAM %s: want no login: %v\n%s", d.pam, r, d.Log())
		}
	}
}

// TestWhoGetsInWithWhat tries every login on each release's own OpenSSH (8.4,
// 9.2, 10.0), with PAM and without.
func TestWhoGetsInWithWhat(t *testing.T) {
	for _, release := range testbed.Releases {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			testbed.RequireArtifacts(t, "debootstrap")
			begin := time.Now()
			l := newLogins(t, testbed.NewDebianHost(t, release))
			ready := time.Since(begin)
			l.gettingIn(t)
			l.stayingOut(t)
			l.atHome(t)
			l.takenAway(t)
			l.demandsOfSSHD(t)
			l.withoutDaemon(t)
			t.Logf("%s: ready after %v, ended after %v", strings.TrimSpace(l.host.Try("ssh", "-V").Stderr),
				ready.Round(time.Second), time.Since(begin).Round(time.Second))
		})
	}
}

func (l *logins) gettingIn(t *testing.T) {
	t.Run("an RSA key of IAM", func(t *testing.T) {
		alice := testbed.NewKey(t, "rsa", "alice")
		l.enters(t, "alice", alice, "alice", "id", "-un")
		if len(l.log.Lines(`user "alice"`, keyID("alice"), alice.Fingerprint(), "from the directory")) == 0 {
			t.Errorf("the log does not tell who came in with what:\n%s", strings.Join(l.log.Lines("authkeys"), "\n"))
		}
	})
	t.Run("an ed25519 key and an ECDSA key of tags", func(t *testing.T) {
		for _, kind := range []string{"ed25519", "ecdsa"} {
			l.enters(t, "eddy", testbed.NewKey(t, kind, "eddy"), "eddy", "id", "-un")
		}
	})
	t.Run("a shared account, and the session knows the person", func(t *testing.T) {
		l.enters(t, "ec2-user", testbed.NewKey(t, "rsa", "oscar"), "ec2-user oscar", `echo "$(id -un) $NSS_IAM_USER"`)
		if len(l.log.Lines(`user "ec2-user"`, keyID("oscar"), "of oscar")) == 0 {
			t.Errorf("the log does not tell the person:\n%s", strings.Join(l.log.Lines("ec2-user"), "\n"))
		}
	})
	t.Run("sftp", func(t *testing.T) {
		for _, d := range l.doors {
			if r := d.SFTP("alice", testbed.NewKey(t, "rsa", "alice"), "put /etc/hostname /tmp/sent-"+d.pam+
				"\nls -l /tmp/sent-"+d.pam+"\n"); r.Code != 0 {
				t.Errorf("UsePAM %s: %v\n%s", d.pam, r, d.Log())
			}
			if owner := l.host.Run("stat", "-c", "%U", "/tmp/sent-"+d.pam); owner != "alice" {
				t.Errorf("UsePAM %s: the file that was sent is %s's", d.pam, owner)
			}
		}
	})
	t.Run("sudo for admins, without a password", func(t *testing.T) {
		l.enters(t, "carol", testbed.NewKey(t, "rsa", "carol"), "0", "sudo", "-n", "id", "-u")
		for _, d := range l.doors {
			if r := d.Login("alice", testbed.NewKey(t, "rsa", "alice"), "sudo", "-n", "id", "-u"); r.Code != 1 ||
				r.Stdout != "" {
				t.Errorf("UsePAM %s: want sudo to refuse alice: %v", d.pam, r)
			}
		}
	})
}

func (l *logins) stayingOut(t *testing.T) {
	rsa := func(owner string) testbed.Key { return testbed.NewKey(t, "rsa", owner) }
	for _, c := range []struct {
		name, user string
		key        testbed.Key
	}{
		{"another's key", "alice", rsa("carol")},
		{"a key that IAM has not", "alice", testbed.NewKey(t, "ed25519", "stranger")},
		{"an inactive key", "idle", rsa("idle")},
		{"a user of no login group", "mallory", rsa("mallory")},
		{"a user of a shared account's group, under the user's own name", "oscar", rsa("oscar")},
		{"a shared account by one who is not of its group", "ec2-user", rsa("alice")},
		{"root by the IAM user root", "root", rsa("root")},
		{"root by an admin", "root", rsa("carol")},
		{"the local ubuntu by the IAM user ubuntu", "ubuntu", rsa("ubuntu")},
		{"the helper's user", "nss-iam", rsa("alice")},
		{"a user that nobody knows", "zoe", rsa("alice")},
	} {
		t.Run(c.name, func(t *testing.T) { l.stays(t, c.user, c.key) })
	}
}

func (l *logins) atHome(t *testing.T) {
	t.Run("PAM makes the home", func(t *testing.T) {
		if got := l.host.Run("stat", "-c", "%U %G %a", "/home/alice"); got != "alice alice 700" {
			t.Errorf("/home/alice is %q", got)
		}
		l.enters(t, "alice", testbed.NewKey(t, "rsa", "alice"), "/home/alice", "pwd")
	})
}

func (l *logins) takenAway(t *testing.T) {
	rsa := func(owner string) testbed.Key { return testbed.NewKey(t, "rsa", owner) }
	names := []string{"dora", "iris", "leo", "frieda"}
	for _, name := range names {
		l.enters(t, name, rsa(name), name, "id", "-un")
	}
	uid := l.host.Run("id", "-u", "frieda")
	l.iam.DeleteKey("dora", keyID("dora"))
	l.iam.SetKeyStatus("iris", keyID("iris"), "Inactive")
	l.iam.RemoveMember("developers", "leo")
	l.iam.DeleteUser("frieda")
	time.Sleep(reuse)
	for name, what := range map[string]string{
		"dora": "a deleted key", "iris": "a key made inactive", "leo": "a user taken out of the group",
		"frieda": "a deleted user",
	} {
		t.Run(what+" opens nothing at the next attempt", func(t *testing.T) { l.stays(t, name, rsa(name)) })
	}
	t.Run("a former user does not get in, and keeps the uid", func(t *testing.T) {
		l.host.Run(testbed.Refresh, "refresh")
		l.stays(t, "frieda", rsa("frieda"))
		if got := l.host.Run("getent", "passwd", uid); !strings.Contains(got, "nologin") {
			t.Errorf("getent passwd %s: %q, want an entry that cannot log in", uid, got)
		}
	})
	t.Run("a key uploaded a moment ago opens the login", func(t *testing.T) {
		l.iam.AddKey("dora", testbed.IAMKey{Body: testbed.NewKey(t, "rsa", "stranger").Public})
		time.Sleep(reuse)
		l.enters(t, "dora", rsa("stranger"), "dora", "id", "-un")
	})
}

func (l *logins) demandsOfSSHD(t *testing.T) {
	alice := testbed.NewKey(t, "rsa", "alice")
	t.Run("sshd refuses a helper that another may change, and not the installed one", func(t *testing.T) {
		if got := l.host.Run("stat", "-c", "%U %a", testbed.Helper); got != "root 755" {
			t.Errorf("installed, it is %q", got)
		}
		// Debian's sshd lets root's own group write.
		for _, c := range []struct{ spoil, repair []string }{
			{[]string{"chmod", "o+w", testbed.Helper}, []string{"chmod", "o-w", testbed.Helper}},
			{[]string{"chmod", "o+w", "/usr/libexec/nss-iam"}, []string{"chmod", "o-w", "/usr/libexec/nss-iam"}},
			{[]string{"chown", "nss-iam", testbed.Helper}, []string{"chown", "root", testbed.Helper}},
		} {
			l.host.Run(c.spoil...)
			l.stays(t, "alice", alice)
			l.host.Run(c.repair...)
		}
		l.enters(t, "alice", alice, "alice", "id", "-un")
	})
}

func (l *logins) withoutDaemon(t *testing.T) {
	alice, dora := testbed.NewKey(t, "rsa", "alice"), testbed.NewKey(t, "rsa", "dora")
	t.Run("a helper that is killed opens nothing, and the next login works", func(t *testing.T) {
		l.daemon.Signal(unix.SIGSTOP)
		for _, d := range l.doors {
			done := make(chan testbed.Result, 1)
			go func() { done <- d.Login("alice", alice, "true") }()
			var r testbed.Result
			l.host.Eventually("the login ends", time.Minute, func() bool {
				// Each of the login's helpers waits for the daemon, and is killed there.
				l.host.Try("sh", "-c", `for p in $(pgrep -x authkeys); do kill -9 $p; done`)
				select {
				case r = <-done:
					return true
				default:
					return false
				}
			})
			if r.Code != 255 {
				t.Errorf("UsePAM %s: want no login: %v", d.pam, r)
			}
		}
		l.daemon.Signal(unix.SIGCONT)
		l.enters(t, "alice", alice, "alice", "id", "-un")
	})
	t.Run("a daemon that hangs costs a wait, and the cache opens the login", func(t *testing.T) {
		time.Sleep(reuse)
		l.daemon.Signal(unix.SIGSTOP)
		r := l.host.TryAs("nss-iam", testbed.Helper, "alice", l.host.Run("id", "-u", "alice"))
		if r.Code != 0 || !strings.Contains(r.Stdout, keyID("alice")) || r.Took < 5*time.Second || r.Took > 15*time.Second {
			t.Errorf("want alice's key after keys.timeout, 5 s: %v", r)
		}
		d := l.doors[1]
		if r := d.Login("alice", alice, "id", "-un"); r.Stdout != "alice\n" {
			t.Errorf("UsePAM %s: %v\n%s", d.pam, r, d.Log())
		}
		l.daemon.Signal(unix.SIGCONT)
	})
	t.Run("with the daemon stopped the cache opens the login", func(t *testing.T) {
		l.daemon.Stop()
		l.enters(t, "alice", alice, "alice", "id", "-un")
		l.enters(t, "ec2-user", testbed.NewKey(t, "rsa", "oscar"), "oscar", `echo $NSS_IAM_USER`)
		l.stays(t, "dora", dora)
	})
}

// TestWithIAMDownTheCacheDecidesByKeysOnline waits until the cache is older
// than max_stale; the tests beside it go on meanwhile.
func TestWithIAMDownTheCacheDecidesByKeysOnline(t *testing.T) {
	for _, release := range testbed.Releases {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			testbed.RequireArtifacts(t, "debootstrap")
			withIAMDown(t, testbed.NewDebianHost(t, release))
		})
	}
}

func withIAMDown(t *testing.T, host *testbed.Host) {
	// Long enough for all the logins by a fresh cache on a busy machine.
	const maxStale = 90 * time.Second
	host.Install()
	iam := host.StartIAM(company(t))
	configure := func(online string) {
		host.Configure(iam.Source() + rules + fmt.Sprintf("[keys]\nonline = %q\ntimeout = \"1s\"\nmax_stale = %q\n", online,
			maxStale))
	}
	configure("prefer")
	host.Refreshed()
	listed := time.Now()
	iam.Stop()
	doors := []door{{host.StartSSHD("UsePAM no"), "no"}, {host.StartSSHD("UsePAM yes"), "yes"}}
	alice := testbed.NewKey(t, "rsa", "alice")
	for _, cache := range []struct {
		name    string
		prepare func()
		opens   map[string]bool
	}{
		{"fresh", func() {}, map[string]bool{"prefer": true, "off": true}},
		{"stale", func() { time.Sleep(time.Until(listed.Add(maxStale + 2*time.Second))) }, nil},
		{"absent", func() { host.Run("rm", "-f", testbed.CacheDir+"/keys.db", testbed.CacheDir+"/state.db") }, nil},
	} {
		cache.prepare()
		for _, online := range []string{"prefer", "require", "off"} {
			t.Run(cache.name+" cache, online "+online, func(t *testing.T) {
				configure(online)
				d := daemon(host)
				defer d.Stop()
				for _, door := range doors {
					begin := time.Now()
					r := door.Login("alice", alice, "id", "-un")
					if in := r.Code == 0 && r.Stdout == "alice\n"; in != cache.opens[online] {
						t.Errorf("UsePAM %s: alice gets in: %v, want %v: %v\n%s\n%s", door.pam, in, cache.opens[online], r, door.Log(),
							d.Output())
					}
					t.Logf("UsePAM %s: %v after the listing, in %v", door.pam, begin.Sub(listed).Round(time.Second),
						r.Took.Round(time.Millisecond))
				}
			})
		}
	}
}
