package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// setupFiles are what setup edits on Debian for the doors that no listed key opens.
var setupFiles = []string{"/etc/pam.d/common-account", "/etc/sudo.conf", "/etc/ssh/sshd_config"}

func TestTheAccountPhaseOfPAMDecidesAboutPeopleOfOursOnly(t *testing.T) {
	for _, release := range testbed.Releases {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			testbed.RequireArtifacts(t, "debootstrap")
			host := testbed.NewDebianHost(t, release)
			log := host.Syslog()
			iam := serving(t, host)
			host.Run("useradd", "-m", "-s", "/bin/sh", "local")
			host.Run("useradd", "-m", "-s", "/bin/sh", "other")
			before := map[string]string{}
			for _, name := range setupFiles {
				before[name] = host.Read(name)
			}
			host.Run("mkdir", "-p", "/run/sshd")
			host.Run("iam-cachefill", "setup", "--offline")
			in := func(user string) bool {
				r := host.Try("su", user, "-s", "/bin/sh", "-c", "id -un")
				return r.Code == 0 && r.Stdout == user+"\n"
			}
			want := func(when string, users map[string]bool) {
				t.Helper()
				for user, want := range users {
					if got := in(user); got != want {
						t.Errorf("%s: %s comes in: %v, want %v\n%s", when, user, got, want, strings.Join(log.Lines(user), "\n"))
					}
				}
			}
			want("from the cache", map[string]bool{"local": true, "root": true, "alice": true, "bob": true})

			host.StartDaemon()
			host.Eventually("the daemon answers", time.Minute,
				func() bool { return host.Try("test", "-S", "/run/nss-iam/cachefill.sock").Code == 0 })
			iam.RemoveMember("developers", "alice")
			want("before the refresh", map[string]bool{"local": true, "alice": false, "bob": true})
			if lines := log.Lines(`user "alice" refused at "su": may not log in, says the directory`); len(lines) != 1 {
				t.Errorf("want one line about the refusal: %q", lines)
			}
			host.Run("iam-cachefill", "refresh")
			want("pending removal", map[string]bool{"local": true, "alice": false, "bob": true})

			// Whatever becomes of the helper costs a local account nothing.
			for _, helper := range []string{"kill -SEGV $$", "exit 0", "exit 3"} {
				host.Write(testbed.Account, "#!/bin/sh\n"+helper+"\n", 0o755)
				want("a helper that does "+helper, map[string]bool{"local": true, "root": true, "bob": helper == "exit 0"})
			}
			host.Run("rm", testbed.Account)
			want("no helper", map[string]bool{"local": true, "root": true, "bob": false})

			host.Run("iam-cachefill", "setup", "--undo", "--offline")
			for name, was := range before {
				if now := host.Read(name); now != was {
					t.Errorf("%s after undo: %q, want %q", name, now, was)
				}
			}
		})
	}
}

func TestSSHDIgnoresTheOwnKeysOfServedUsersOnly(t *testing.T) {
	const own = "authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2"
	for _, release := range testbed.Releases {
		for _, config := range []string{"", "UsePAM yes\nX11Forwarding no",
			"UsePAM yes\nMatch User git\n\tX11Forwarding yes\n"} {
			t.Run(release+" "+config, func(t *testing.T) {
				testbed.RequireArtifacts(t, "debootstrap")
				host := testbed.NewDebianHost(t, release)
				serving(t, host)
				host.Run("mkdir", "-p", "/run/sshd")
				host.Run("ssh-keygen", "-A")
				host.Run("useradd", "-m", "-s", "/bin/sh", "local")
				if config != "" {
					host.Write("/etc/ssh/sshd_config", config, 0o644)
				}
				was := host.Read("/etc/ssh/sshd_config")
				keysFile := func(user string) string {
					text := host.Run("/usr/sbin/sshd", "-T", "-C",
						"user="+user+",host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22")
					for line := range strings.Lines(text) {
						if strings.HasPrefix(line, "authorizedkeysfile ") {
							return strings.TrimSpace(line)
						}
					}
					return ""
				}
				set := func(ownFile, want string) {
					t.Helper()
					text := host.Read(testbed.Config)
					host.Configure(text + "[keys]\nown_file = \"" + ownFile + "\"\n")
					host.Run("iam-cachefill", "setup", "--offline")
					host.Configure(text)
					for user, want := range map[string]string{"alice": want, "carol": want, "local": own, "root": own} {
						if got := keysFile(user); got != want {
							t.Errorf("own_file = %q: %s: %q, want %q", ownFile, user, got, want)
						}
					}
				}
				set("ignore", "authorizedkeysfile none")
				set("allow", own)
				set("ignore", "authorizedkeysfile none")
				host.Run("iam-cachefill", "setup", "--undo", "--offline")
				if now := host.Read("/etc/ssh/sshd_config"); now != was ||
					host.Try("test", "-e", "/etc/ssh/sshd_config.d/10-nss-iam.conf").Code == 0 {
					t.Errorf("after undo: %q, want %q", now, was)
				}
			})
		}
	}
}

func TestSudoFollowsTheGroupDatabaseInAnOpenSession(t *testing.T) {
	for _, release := range testbed.Releases {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			testbed.RequireArtifacts(t, "debootstrap")
			host := testbed.NewDebianHost(t, release)
			iam := serving(t, host)
			host.Run("mkdir", "-p", "/run/sshd")
			host.Run("iam-cachefill", "setup", "--offline")
			// The session's groups are those of its beginning: its file says when to ask again.
			session := host.Start(nil, "su", "carol", "-s", "/bin/sh", "-c", `
				sudo -n id -u
				while [ ! -e /tmp/demoted ]; do sleep 0.1; done
				id -nG; sudo -n id -u; echo "status $?"`)
			host.Eventually("carol is root", time.Minute, func() bool { return strings.HasPrefix(session.Output(), "0\n") })
			iam.RemoveMember("admins", "carol@example.com")
			host.Refreshed()
			host.Refreshed()
			host.Run("touch", "/tmp/demoted")
			host.Eventually("the session has ended", time.Minute,
				func() bool { return strings.Contains(session.Output(), "status ") })
			if got := session.Output(); !strings.HasSuffix(got, "status 1\n") || strings.Count(got, "0\n") != 1 {
				t.Errorf("the session: %q, want that sudo refuses carol", got)
			}
			if r := host.TryAs("bob", "sudo", "-n", "true"); r.Code == 0 {
				t.Errorf("bob, who never had sudo: %v", r)
			}
		})
	}
}

func TestJobsOfManyPeopleCostIAMNothing(t *testing.T) {
	testbed.RequireArtifacts(t)
	host := testbed.NewHost(t)
	iam := serving(t, host)
	host.StartDaemon()
	ask := func(user, service string) int {
		return host.TryInput("", []string{"PAM_USER=" + user, "PAM_SERVICE=" + service, "PAM_TYPE=account"},
			testbed.Account).Code
	}
	host.Eventually("the daemon answers", time.Minute,
		func() bool { return host.Try("test", "-S", "/run/nss-iam/cachefill.sock").Code == 0 })
	host.Run("iam-cachefill", "refresh")
	tried := 0
	host.Eventually("the daemon has tried a login after each of two refreshes, its first in the background", time.Minute,
		func() bool { tried += iam.Calls()["ListGroupsForUser"]; return tried >= 2 })
	for range 5 {
		for _, user := range []string{"alice", "bob", "carol"} {
			for _, service := range []string{"cron", "atd", "systemd-user"} {
				if code := ask(user, service); code != 0 {
					t.Errorf("%s at %s: exit status %d", user, service, code)
				}
			}
		}
	}
	if calls := iam.Calls(); calls["GetUser"]+calls["ListGroupsForUser"] != 0 {
		t.Errorf("45 jobs cost %v", calls)
	}
	if code := ask("alice", "sshd"); code != 0 {
		t.Errorf("alice at sshd: exit status %d", code)
	}
	if calls := iam.Calls(); calls["GetUser"] != 1 || calls["ListGroupsForUser"] != 1 {
		t.Errorf("a login cost %v, want that IAM is asked", calls)
	}
	iam.RemoveMember("developers", "bob")
	if code := ask("bob", "su"); code == 0 {
		t.Error("bob, who is out, comes in by su")
	}
	if code := ask("bob", "cron"); code == 0 {
		t.Error("bob's jobs run after a refusal that the daemon knows of")
	}
}

// sudo makes no difference between capitals and small letters in the names of groups, and its rules outlive groups.
func TestNobodyGetsAGroupsRuleOfSudoByTakingItsName(t *testing.T) {
	testbed.RequireArtifacts(t, "sudo")
	host := testbed.NewHost(t)
	iam := serving(t, host)
	host.Write("/etc/sudoers.d/rules", "%admins ALL=(ALL) NOPASSWD: ALL\n", 0o440)
	host.Run("iam-cachefill", "setup", "--offline")
	if r := host.TryAs("carol", "sudo", "-n", "id", "-u"); r.Stdout != "0\n" {
		t.Errorf("carol, who is in the group: %v", r)
	}
	now := "bob"
	takes := func(name string) {
		t.Helper()
		iam.RenameUser(now, name)
		now = name
		host.Refreshed()
		if host.Try("id", "-u", name).Code != 0 {
			return // nobody is served under that name
		}
		if r := host.TryAs(name, "sudo", "-n", "id", "-u"); r.Code == 0 {
			t.Errorf("bob, who calls himself %s: %v", name, r)
		}
	}
	takes("Admins")
	takes("aDMINS")
	iam.DeleteGroup("admins")
	takes("admins")
	takes("ADMINS")
}

// A program that runs as root has the limits of who starts it: doas, and sudo.
func TestNoLimitOfWhoStartsAProgramLetsThePersonIn(t *testing.T) {
	testbed.RequireArtifacts(t, "prlimit")
	host := testbed.NewHost(t)
	iam := serving(t, host)
	iam.RemoveMember("developers", "alice")
	host.Refreshed()
	ask := func(user string, limit ...string) int {
		command := append(append([]string{"prlimit"}, limit...), testbed.Account)
		return host.TryInput("", []string{"PAM_USER=" + user, "PAM_SERVICE=doas", "PAM_TYPE=account"}, command...).Code
	}
	if code := ask("bob", "--nofile=1024:1024"); code != 0 {
		t.Errorf("bob, who may come in: exit status %d", code)
	}
	for limit, values := range map[string][]int{
		"nofile": {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 1024},
		"as":     {1 << 20, 1 << 26, 1 << 29, 1 << 31},
		"data":   {0, 1 << 20, 1 << 24},
		"stack":  {0, 1 << 14, 1 << 16},
		"cpu":    {0, 1},
		"nproc":  {0, 1},
		"fsize":  {0},
	} {
		for _, n := range values {
			if code := ask("alice", fmt.Sprintf("--%s=%d:%d", limit, n, n)); code == 0 {
				t.Errorf("alice, who is out, comes in with the limit %s = %d", limit, n)
			}
		}
	}
}
