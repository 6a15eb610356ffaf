package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/hostsetup"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

const sshdT = "usepam yes\nauthorizedkeysfile none\nauthorizedkeyscommand " + hostsetup.Helper +
	" %u %U %f %k %t\nauthorizedkeyscommanduser nss-iam\n"

const asked = "account required pam_unix.so\naccount [success=1 default=ignore] pam_localuser.so\n" +
	"account [success=ok default=bad] pam_exec.so quiet seteuid " + hostsetup.AccountHelper + "\n"

// healthy is a host on which nothing is wrong, run by stand-ins: answers has
// what commands print, by their first words.
func healthy(t *testing.T) (Input, map[string]string) {
	t.Helper()
	unmet.Root(t, "files of root's are needed")
	root := t.TempDir()
	for name, mode := range map[string]os.FileMode{
		"/usr/libexec/nss-iam/authkeys": 0o755, "/usr/libexec/nss-iam/account": 0o755, "/etc/pam.d/sshd": 0o644,
		"/etc/pam.d/su": 0o644,
		"/usr/bin/sudo": 0o755, "/etc/sudo.conf": 0o644, "/usr/lib/x86_64-linux-gnu/libnss_iam.so.2": 0o644,
		"/etc/nss-iam/config.toml": 0o644, "/var/lib/nss-iam/nss.db": 0o644, "/var/lib/nss-iam/keys.db": 0o640,
		"/var/lib/nss-iam/state.db": 0o600, "/usr/sbin/sshd": 0o755, "/etc/ssh/sshd_config": 0o644,
		"/etc/nsswitch.conf": 0o644, "/etc/pam.d/common-session": 0o644,
	} {
		content := map[string]string{
			"/etc/nsswitch.conf":        "passwd: files iam\ngroup: files iam\n",
			"/etc/pam.d/common-session": "session optional pam_mkhomedir.so\n",
			"/etc/pam.d/sshd":           asked, "/etc/pam.d/su": asked,
			"/etc/sudo.conf": "Set group_source dynamic\n",
		}[name]
		if err := os.MkdirAll(filepath.Dir(root+name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+name, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(root+name, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	answers := map[string]string{
		"/usr/sbin/sshd -t": "", "/usr/sbin/sshd -T": sshdT,
		"getent -s":      "alice:*:2001000001:2001000001::/home/alice:/bin/bash\n",
		"getent pa":      "alice:*:2001000001:2001000001::/home/alice:/bin/bash\n",
		"sudo --version": "Sudo version 1.9.13\n", "timedatec": "CanNTP=yes\nNTPSynchronized=yes\n", "journalctl": "",
	}
	return Input{
		Host: &hostsetup.Host{Root: root, Run: func(_ context.Context, argv ...string) (string, error) {
			line := strings.Join(argv, " ")
			for start, answer := range answers {
				if strings.HasPrefix(line, start) {
					if fault, bad := strings.CutPrefix(answer, "FAIL "); bad {
						return "", errors.New(fault)
					}
					return answer, nil
				}
			}
			return "", errors.New("no such program")
		}},
		ConfigFile: "/etc/nss-iam/config.toml", CacheDir: "/var/lib/nss-iam", HelperGID: 0, HomesByPAM: true, Sudo: true,
		Served: Served{Name: "alice", UID: 2001000001}, Health: []Finding{{Check: "daemon", State: Good, What: "the " +
			"daemon answers"}},
		AWS: func(context.Context) []Attempt { return []Attempt{{What: "users"}} },
	}, answers
}

func TestAHealthyHostIsWell(t *testing.T) {
	p, _ := healthy(t)
	for _, f := range Examine(context.Background(), p) {
		if f.State != Good {
			t.Errorf("%+v", f)
		}
	}
}

func TestEachFaultIsNamedWithWhatMendsIt(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault func(*Input, map[string]string)
		check string
		fix   string
	}{
		{"nobody may log in", func(p *Input, _ map[string]string) { p.ConfigError = config.ErrNotConfigured },
			"configuration", "[login]"},
		{"a configuration that others may write", func(p *Input, _ map[string]string) {
			_ = os.Chmod(p.Host.Root+"/etc/nss-iam/config.toml", 0o666)
		}, "permissions", "chmod 0644 /etc/nss-iam/config.toml"},
		{"keys that everybody may read", func(p *Input, _ map[string]string) {
			_ = os.Chmod(p.Host.Root+"/var/lib/nss-iam/keys.db", 0o644)
		}, "permissions", "chmod 0640"},
		{"a cache that nobody may read", func(p *Input, _ map[string]string) {
			_ = os.Chmod(p.Host.Root+"/var/lib/nss-iam/nss.db", 0o600)
		}, "permissions", "chmod 0644"},
		{"keys of another group", func(p *Input, _ map[string]string) { p.HelperGID = 998 }, "permissions", "chgrp 998"},
		{"a helper of somebody else's", func(p *Input, _ map[string]string) {
			_ = os.Chown(p.Host.Root+hostsetup.Helper, 1000, 0)
		}, "permissions", "chown root"},
		{"no library", func(p *Input, _ map[string]string) {
			_ = os.RemoveAll(p.Host.Root + "/usr/lib")
		}, "library", "install"},
		{"a library that does not answer", func(_ *Input, a map[string]string) { a["getent -s"] = "" }, "library",
			"reinstall"},
		{"a module that answers with another uid",
			func(_ *Input, a map[string]string) { a["getent -s"] = "alice:*:7:7:::\n" }, "library", "reinstall"},
		{"glibc that does not ask it", func(_ *Input, a map[string]string) { a["getent pa"] = "FAIL exit status 2" },
			"nsswitch", setUp},
		{"nsswitch.conf without it", func(p *Input, _ map[string]string) {
			_ = os.WriteFile(p.Host.Root+"/etc/nsswitch.conf", []byte("passwd: files iam\ngroup: files\n"), 0o644)
		}, "nsswitch", setUp},
		{"a broken nsswitch.conf", func(p *Input, _ map[string]string) {
			_ = os.WriteFile(p.Host.Root+"/etc/nsswitch.conf", []byte("passwd files\n"), 0o644)
		}, "nsswitch", "nsswitch.conf(5)"},
		{"a broken sshd_config", func(_ *Input, a map[string]string) { a["/usr/sbin/sshd -t"] = "FAIL bad option" }, "sshd",
			"sshd -t"},
		{"no key command", func(_ *Input, a map[string]string) {
			a["/usr/sbin/sshd -T"] = "authorizedkeyscommand none\nusepam yes\n"
		}, "sshd", setUp},
		{"another key command", func(_ *Input, a map[string]string) {
			a["/usr/sbin/sshd -T"] = "authorizedkeyscommand /opt/eic %u\nusepam yes\n"
		}, "sshd", `write under [keys] in /etc/nss-iam/config.toml: chain = ["/opt/eic", "%u"]; otherwise`},
		{"another key command that ours is to ask", func(p *Input, a map[string]string) {
			a["/usr/sbin/sshd -T"] = "authorizedkeyscommand /opt/eic %u\nusepam yes\n"
			p.Chain = []string{"/opt/eic", "%u"}
		}, "sshd", setUp},
		{"the helper as another user", func(_ *Input, a map[string]string) {
			a["/usr/sbin/sshd -T"] = strings.Replace(sshdT, "user nss-iam", "user nobody", 1)
		}, "sshd", setUp},
		{"own keys that sshd reads", func(_ *Input, a map[string]string) {
			a["/usr/sbin/sshd -T"] = strings.Replace(sshdT, "file none", "file .ssh/authorized_keys", 1)
		}, "own keys", setUp},
		{"own keys that are allowed, and no PAM", func(p *Input, a map[string]string) {
			p.AllowOwn = true
			a["/usr/sbin/sshd -T"] = strings.Replace(strings.Replace(sshdT, "file none", "file .ssh/authorized_keys", 1),
				"usepam yes", "usepam no", 1)
		}, "own keys", "UsePAM yes"},
		{"certificates, and no PAM", func(_ *Input, a map[string]string) {
			a["/usr/sbin/sshd -T"] = strings.Replace(sshdT, "usepam yes", "usepam no\ntrustedusercakeys /etc/ssh/ca.pub", 1)
		}, "certificates", "UsePAM yes"},
		{"a service that does not ask", func(p *Input, _ map[string]string) {
			_ = os.WriteFile(p.Host.Root+"/etc/pam.d/su", []byte("account required pam_unix.so\n"), 0o644)
		}, "pam", setUp},
		{"a line that ends the account phase", func(p *Input, _ map[string]string) {
			_ = os.WriteFile(p.Host.Root+"/etc/pam.d/su", []byte("account sufficient pam_unix.so\n"+asked), 0o644)
		}, "pam", "required"},
		{"local accounts that are not jumped over", func(p *Input, _ map[string]string) {
			_ = os.WriteFile(p.Host.Root+"/etc/pam.d/su", []byte(strings.Replace(asked, "success=1", "success=2", 1)), 0o644)
		}, "pam", "--undo"},
		{"no account helper", func(p *Input, _ map[string]string) { _ = os.Remove(p.Host.Root + hostsetup.AccountHelper) },
			"permissions", "install"},
		{"a sudo that looks at the process",
			func(p *Input, _ map[string]string) { _ = os.Remove(p.Host.Root + "/etc/sudo.conf") }, "sudo", setUp},
		{"an initgroups line that ends before ours", func(p *Input, _ map[string]string) {
			_ = os.WriteFile(p.Host.Root+"/etc/nsswitch.conf", []byte("passwd: files iam\ngroup: files iam\ninitgroups: "+
				"files iam\n"), 0o644)
		}, "nsswitch", setUp},
		{"what package health finds", func(p *Input, _ map[string]string) {
			p.Health = append(p.Health, Finding{Check: "keys", State: Broken, What: "too old", Why: "nobody gets in",
				Fix: "iam-cachefill refresh"})
		}, "keys", "refresh"},
		{"a missing permission", func(p *Input, _ map[string]string) {
			p.AWS = func(context.Context) []Attempt {
				return []Attempt{{"users",
					errors.New(`read group "x": access denied: iam:GetGroup; add to the policy: {"Effect": "Allow"}`)}}
			}
		}, "source", `add to the policy: {"Effect": "Allow"}`},
		{"a snapshot that the daemon does not see", func(p *Input, _ map[string]string) { p.Snapshot = "/root/snapshot" },
			"source", "source.url"},
		{"homes that the daemon may not make", func(p *Input, _ map[string]string) {
			p.HomesByPAM, p.HomesFolder = false,
				"/home"
		}, "homes", setUp},
		{"a denial of SELinux's", func(_ *Input, a map[string]string) {
			a["journalctl"] = `avc:  denied  { map } for  pid=1 comm="systemd-userdbd" path="/var/lib/nss-iam/nss.db"` + "\n"
		}, "confinement", "restorecon"},
		{"a denial of SELinux's that knows the folder's bare name", func(_ *Input, a map[string]string) {
			a["journalctl"] = `avc:  denied  { search } for  pid=1 comm="systemd-user-ru" name="nss-iam" dev="vda" ino=7 ` +
				"tcontext=system_u:object_r:var_lib_t:s0 tclass=dir\n"
		}, "confinement", "restorecon"},
		{"an enforcing SELinux without our module", func(p *Input, a map[string]string) {
			enforce(p.Host.Root)
			p.HomesByPAM = false
			a["stat -L"] = "system_u:object_r:var_lib_t:s0\n"
		}, "selinux", "semodule -i"},
		{"an enforcing SELinux without our module, where there are rpms", func(p *Input, a map[string]string) {
			enforce(p.Host.Root)
			p.HomesByPAM = false
			a["stat -L"] = "system_u:object_r:var_lib_t:s0\n"
			_ = os.WriteFile(p.Host.Root+"/usr/bin/dnf", nil, 0o755)
		}, "selinux", "dnf install nss-iam-selinux && restorecon"},
		{"homes that an enforcing SELinux lets nobody make", func(p *Input, a map[string]string) {
			enforce(p.Host.Root)
			labeled(a)
		}, "selinux", `homes = "create"`},
		{"a denial of AppArmor's", func(_ *Input, a map[string]string) {
			a["journalctl"] = `audit: apparmor="DENIED" operation="open" name="/var/lib/nss-iam/nss.db"` + "\n"
		}, "confinement", "reload apparmor"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, answers := healthy(t)
			c.fault(&p, answers)
			findings := Examine(context.Background(), p)
			if Sound(findings) {
				t.Errorf("found well: %+v", findings)
			}
			for _, f := range findings {
				if f.State == Broken && f.Check == c.check && strings.Contains(f.Fix, c.fix) && f.Why != "" {
					return
				}
			}
			t.Errorf("no finding about %s that is fixed with %q: %+v", c.check, c.fix, findings)
		})
	}
}

// enforce makes SELinux enforce on the host, as far as doctor sees it.
func enforce(root string) {
	_ = os.MkdirAll(root+"/sys/fs/selinux", 0o755)
	_ = os.WriteFile(root+"/sys/fs/selinux/enforce", []byte("1"), 0o644)
}

// labeled gives our files the labels of our policy module.
func labeled(answers map[string]string) {
	answers["stat -L -c %C /var/lib/nss-iam"] = "system_u:object_r:nss_iam_cache_t:s0\n"
	answers["stat -L -c %C "+hostsetup.AccountHelper] = "system_u:object_r:nss_iam_account_exec_t:s0\n"
}

func TestFindingsAreInTheSameOrderEachTime(t *testing.T) {
	p, answers := healthy(t)
	enforce(p.Host.Root)
	answers["stat -L"] = "system_u:object_r:var_lib_t:s0\n"
	_ = os.Chmod(p.Host.Root+"/var/lib/nss-iam/nss.db", 0o600)
	delete(answers, "sudo --version")
	first := Examine(context.Background(), p)
	for range 20 { // maps begin anywhere
		if again := Examine(context.Background(), p); !slices.Equal(again, first) {
			t.Fatalf("%+v\nand then\n%+v", first, again)
		}
	}
}

func TestAHostWhoseSELinuxEnforcesIsWellWithOurModuleAndHomesThatMayBeMade(t *testing.T) {
	for name, arrange := range map[string]func(*Input){
		"the daemon makes them": func(p *Input) { p.HomesByPAM = false },
		"oddjob makes them": func(p *Input) {
			_ = os.WriteFile(p.Host.Root+"/etc/pam.d/common-session", []byte("session optional pam_oddjob_mkhomedir.so\n"),
				0o644)
		},
		"SELinux only says what it saw": func(p *Input) {
			_ = os.WriteFile(p.Host.Root+"/sys/fs/selinux/enforce",
				[]byte("0"), 0o644)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, answers := healthy(t)
			enforce(p.Host.Root)
			labeled(answers)
			arrange(&p)
			for _, f := range Examine(context.Background(), p) {
				if f.State != Good {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

func TestDenialsOfOtherPeoplesFilesAreNotOurs(t *testing.T) {
	for name, line := range map[string]string{
		"a name that begins as ours": `avc:  denied  { unlink } for  pid=1 comm="rm" name="nss-iam.XX" dev="vda" ino=7 ` +
			`tcontext=u:object_r:tmp_t:s0 tclass=file`,
		"our name on a file in /tmp": `avc:  denied  { read } for  pid=1 comm="cat" name="nss.db" dev="vda" ino=7 ` +
			`tcontext=u:object_r:tmp_t:s0 tclass=file`,
		"our name in a path elsewhere": `avc:  denied  { read } for  pid=1 comm="cat" path="/srv/nss-iam/nss.db" ` +
			`dev="vda" ino=7 tcontext=u:object_r:var_lib_t:s0 tclass=file`,
		"our program on others' files": `avc:  denied  { read } for  pid=1 comm="nss-iam" name="shadow" dev="vda" ino=7 ` +
			`tcontext=u:object_r:shadow_t:s0 tclass=file`,
		"AppArmor, and another folder": `audit: apparmor="DENIED" operation="open" name="/tmp/nss-iam/nss.db" ` +
			`comm="authkeys"`,
		"what was granted": `avc:  granted  { read } for  pid=1 path="/var/lib/nss-iam/nss.db" ` +
			`tcontext=u:object_r:nss_iam_cache_t:s0`,
	} {
		t.Run(name, func(t *testing.T) {
			p, answers := healthy(t)
			answers["journalctl"] = line + "\n"
			for _, f := range Examine(context.Background(), p) {
				if f.State != Good {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

func TestWhatWorksButShouldBeLookedAtIsADoubt(t *testing.T) {
	for _, c := range []struct {
		name  string
		doubt func(*Input, map[string]string)
		check string
		what  string
	}{
		{"files that sshd ignores", func(p *Input, _ map[string]string) { p.OwnKeys = []string{"alice", "bob"} }, "own keys",
			"2 served users have an authorized_keys file: alice, bob"},
		{"a local account that uses a served group", func(p *Input, _ map[string]string) {
			p.LocalFiles = []Fault{{What: `the local account "x" has the served group "developers"`,
				Remedy: "usermod -g GROUP x"}}
		}, "local files", `"x" has the served group`},
		{"removals that are held back", func(p *Input, _ map[string]string) {
			p.Directory = []Fault{{What: "5 of 6 users have lost their rights",
				Remedy: "iam-cachefill refresh --accept-removals"}}
		}, "directory", "5 of 6 users"},
		{"a home that another uid owns", func(p *Input, _ map[string]string) {
			p.ForeignHomes = []Fault{{What: `the user "bob" has the home`, Remedy: "chown"}}
		}, "homes", `"bob"`},
		{"many files that sshd ignores", func(p *Input, _ map[string]string) { p.OwnKeys = make([]string, 21) }, "own keys",
			"21 served users have an authorized_keys file: , , "},
		{"files that sshd may read", func(p *Input, a map[string]string) {
			p.OwnKeys, p.AllowOwn = []string{"alice"}, true
			a["/usr/sbin/sshd -T"] = strings.Replace(sshdT, "file none", "file .ssh/authorized_keys", 1)
		}, "own keys", `1 served users have`},
		{"an sshd without PAM", func(p *Input, a map[string]string) {
			a["/usr/sbin/sshd -T"] = strings.Replace(sshdT, "usepam yes", "usepam no", 1)
		}, "sshd", "does not use PAM"},
		{"principals in the user's hands", func(_ *Input, a map[string]string) {
			a["/usr/sbin/sshd -T"] = sshdT + "trustedusercakeys /etc/ssh/ca.pub\nauthorizedprincipalsfile %h/.ssh/principals\n"
		}, "certificates", "%h/.ssh/principals"},
		{"broken_shadow", func(p *Input, _ map[string]string) {
			_ = os.WriteFile(p.Host.Root+"/etc/pam.d/sshd", []byte(strings.Replace(asked, "pam_unix.so", "pam_unix.so "+
				"broken_shadow", 1)), 0o644)
		}, "pam", "broken_shadow at: sshd"},
		{"a sudo.conf with another choice", func(p *Input, _ map[string]string) {
			_ = os.WriteFile(p.Host.Root+"/etc/sudo.conf", []byte("Set group_source static\n"), 0o644)
		}, "sudo", "group_source static"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, answers := healthy(t)
			c.doubt(&p, answers)
			for _, f := range Examine(context.Background(), p) {
				if f.State == Warning && f.Check == c.check && strings.Contains(f.What, c.what) && f.Why != "" && f.Fix != "" {
					return
				}
			}
			t.Errorf("no doubt about %s: %+v", c.check, Examine(context.Background(), p))
		})
	}
	p, answers := healthy(t)
	answers["/usr/sbin/sshd -T"] = sshdT + "trustedusercakeys /etc/ssh/ca.pub\nauthorizedprincipalsfile " +
		"/etc/ssh/principals/%u\n"
	for _, f := range Examine(context.Background(), p) {
		if f.State != Good {
			t.Errorf("certificates that PAM is asked about: %+v", f)
		}
	}
}

// "timedatectl set-ntp true" is refused where nothing is installed that sets the clock.
func TestAClockThatNothingSetsNeedsAProgramFirst(t *testing.T) {
	for can, want := range map[string]string{"yes": "timedatectl set-ntp true", "no": "install chrony"} {
		p, answers := healthy(t)
		answers["timedatec"] = "CanNTP=" + can + "\nNTPSynchronized=no\n"
		i := slices.IndexFunc(Examine(t.Context(), p), func(f Finding) bool {
			return f.Check == "clock" && f.State == Warning && strings.HasPrefix(f.Fix, want)
		})
		if i < 0 {
			t.Errorf("where the clock can be set: %s: %+v", can, Examine(t.Context(), p))
		}
	}
}
