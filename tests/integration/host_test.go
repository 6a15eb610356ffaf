package integration

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// The two ways in which a private host can be made.
var ways = []struct {
	name    string
	options []testbed.Option
}{
	{"with overlays", nil},
	{"without overlays", []testbed.Option{testbed.WithoutOverlay()}},
}

// census is what is to be the same afterwards: every file of folders, with
// mode, owner and content.
func census(t *testing.T, folders ...string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if os.IsNotExist(err) {
				return nil
			} else if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			owner := info.Sys().(*syscall.Stat_t)
			content := ""
			switch {
			case info.Mode().IsRegular():
				bytes, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				content = fmt.Sprintf("%x", sha256.Sum256(bytes))
			case info.Mode()&fs.ModeSymlink != 0:
				if content, err = os.Readlink(path); err != nil {
					return err
				}
			}
			files[path] = fmt.Sprintf("%v %d:%d %s", info.Mode(), owner.Uid, owner.Gid, content)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestAHostMayBeRuinedAndTheMachineStaysAsItWas(t *testing.T) {
	testbed.Require(t)
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			folders := []string{"/etc", "/usr/libexec", "/usr/sbin", "/var/lib/nss-iam", "/home", "/root/.ssh"}
			before := census(t, folders...)
			host := testbed.NewHost(t, way.options...)
			t.Logf("made of %s", host.Way)
			host.Run("sh", "-ec", `
				echo changed >/etc/nsswitch.conf
				echo added >/etc/nss-iam.conf
				rm -rf /etc/ssh
				chmod 0777 /etc
				useradd -m -s /bin/sh local
				mkdir -p /var/lib/nss-iam /usr/libexec/nss-iam /root/.ssh
				echo '#!/bin/sh' >/usr/libexec/nss-iam/authkeys
				echo '#!/bin/sh' >/usr/sbin/iam-cachefill
				rm -f /usr/sbin/useradd
				test -d /home/local
				test ! -e /usr/sbin/useradd`)
			after := census(t, folders...)
			for path, was := range before {
				if is := after[path]; is != was {
					t.Errorf("%s on this machine: %q, was %q", path, is, was)
				}
			}
			for path := range after {
				if _, ok := before[path]; !ok {
					t.Errorf("%s is new on this machine", path)
				}
			}
		})
	}
}

func TestProcessesOfAHostEndWithIt(t *testing.T) {
	testbed.Require(t)
	var pid int
	t.Run("host", func(t *testing.T) {
		host := testbed.NewHost(t)
		// The shell ends at once and leaves an orphan that ignores what it can.
		host.Run("sh", "-c", `nohup setsid sh -c 'trap "" HUP TERM INT; while :; do sleep 1; done' >/dev/null 2>&1 &`)
		process := host.Start(nil, "sleep", "1000")
		host.Eventually("the host sees one process called \"sleep 1000\"", time.Minute, func() bool {
			pid = process.Pid()
			return pid != 0 && host.Try("sh", "-c", "ps ax -o args= | grep -c '^sleep 1000'").Stdout == "1\n"
		})
	})
	if cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.HasPrefix(string(cmdline),
		"sleep") {
		t.Errorf("process %d goes on after its host's end", pid)
	}
}

func TestALocalUserLogsInOnAHost(t *testing.T) {
	testbed.Require(t, "sshd", "ssh")
	for _, way := range ways {
		for _, pam := range []string{"yes", "no"} {
			t.Run(way.name+", UsePAM "+pam, func(t *testing.T) {
				host := testbed.NewHost(t, way.options...)
				loginAsLocal(t, host, pam)
			})
		}
	}
}

func TestALocalUserLogsInOnDebian(t *testing.T) {
	for _, release := range testbed.Releases {
		for _, pam := range []string{"yes", "no"} {
			t.Run(release+", UsePAM "+pam, func(t *testing.T) {
				host := testbed.NewDebianHost(t, release)
				loginAsLocal(t, host, pam)
				t.Logf("%s: %s, %s", release, strings.SplitN(host.Run("getent", "--version"), "\n", 2)[0],
					strings.TrimSpace(host.Try("ssh", "-V").Stderr))
			})
		}
	}
}

// loginAsLocal is the login that IAM users' logins are compared with: where it
// fails, the test bed is at fault and not nss-iam.
func loginAsLocal(t *testing.T, host *testbed.Host, pam string) {
	t.Helper()
	key, other := testbed.NewKey(t, "ed25519", "local"), testbed.NewKey(t, "ed25519", "other")
	// "!", which useradd sets, locks the account where sshd does not use PAM.
	host.Run("useradd", "-m", "-s", "/bin/sh", "-p", "*", "local")
	// sshd asks for the helper's user even where the helper answers nothing.
	host.Run("useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent", "nss-iam")
	host.Run("mkdir", "-m", "0700", "/home/local/.ssh")
	host.Write("/home/local/.ssh/authorized_keys", key.Public+"\n", 0o600)
	host.Run("chown", "-R", "local:local", "/home/local/.ssh")
	sshd := host.StartSSHD("UsePAM "+pam, "AuthorizedKeysCommand /bin/true")
	if r := sshd.Login("local", key, "id", "-un"); r.Code != 0 || r.Stdout != "local\n" {
		t.Errorf("login: %v\n%s", r, sshd.Log())
	}
	if r := sshd.Login("local", other, "id", "-un"); r.Code != 255 {
		t.Errorf("login with another key: %v", r)
	}
	if r := sshd.SFTP("local", key, "pwd\n"); !strings.Contains(r.Stdout, "/home/local") {
		t.Errorf("sftp: %v\n%s", r, sshd.Log())
	}
}

func TestDebianBoots(t *testing.T) {
	for _, release := range testbed.Releases {
		t.Run(release, func(t *testing.T) {
			host := testbed.NewBootedHost(t, release)
			if got := host.Run("systemctl", "is-active", "dbus", "systemd-logind", "ssh"); got != "active\nactive\nactive" {
				t.Errorf("D-Bus, logind and sshd are %q", got)
			}
		})
	}
}
