package hostsetup

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
)

func TestWatchTellsWhatSetupRecordedAndNoMore(t *testing.T) {
	const dropIns = "/etc/ssh/sshd_config.d/"
	for _, c := range []struct {
		name   string
		change func(tree)
		setup  bool
		want   func(Sight) bool
	}{
		{"a host that was never set up", func(tree) {}, false, func(s Sight) bool { return !s.SetUp && !s.SSHD }},
		{"a host whose setup was undone", func(d tree) { d.mustUndo() }, true,
			func(s Sight) bool { return !s.SetUp && !s.SSHD }},
		{"a host as setup left it", func(tree) {}, true, func(s Sight) bool {
			return s.SetUp && s.Passwd && s.Group && s.SSHD && s.SSHDError == nil && s.KeysCommand[0] == Helper
		}},
		{"nsswitch.conf without iam", func(d tree) { d.write(nsswitchPath, "passwd: files\ngroup: files\n") }, true,
			func(s Sight) bool { return s.SetUp && !s.Passwd && !s.Group }},
		{"a mistake in a file of sshd's", func(d tree) { d.write(dropIns+"00-mistake.conf", "BROKEN x\n") }, true,
			func(s Sight) bool { return s.SSHD && s.SSHDError != nil }},
		{"another key command before ours",
			func(d tree) { d.write(dropIns+"00-other.conf", "AuthorizedKeysCommand /usr/bin/other\n") }, true,
			func(s Sight) bool { return s.SSHD && s.KeysCommand[0] == "/usr/bin/other" }},
		{"our file of sshd's is gone", func(d tree) { _ = os.Remove(d.at(sshdDropInPath)) }, true,
			func(s Sight) bool { return s.SSHD && len(s.KeysCommand) == 0 }},
		{"sshd came after setup", func(d tree) {
			d.mustUndo()
			_ = os.Rename(d.at("/usr/sbin/sshd"), d.at("/usr/sbin/later"))
			d.mustSetup(all)
			_ = os.Rename(d.at("/usr/sbin/later"), d.at("/usr/sbin/sshd"))
		}, true, func(s Sight) bool { return s.SetUp && s.Passwd && !s.SSHD }},
		{"a daemon where SELinux is on, and would note that it starts sshd", func(d tree) {
			d.write("/sys/fs/selinux/enforce", "1")
			d.noNewPrivileges = func() bool { return true }
		}, true, func(s Sight) bool { return s.SetUp && s.Passwd && !s.SSHD }},
		{"a person where SELinux is on", func(d tree) {
			d.write("/sys/fs/selinux/enforce", "1")
			d.noNewPrivileges = func() bool { return false }
		}, true, func(s Sight) bool { return s.SSHD && s.KeysCommand[0] == Helper }},
		{"sshd cannot be asked", func(d tree) { d.write("/usr/sbin/sshd", "no folder") }, true,
			func(s Sight) bool { return s.SetUp && s.Passwd && !s.SSHD }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newTree(t)
			d.Run = func(ctx context.Context, argv ...string) (string, error) {
				if d.text("/usr/sbin/sshd") == "no folder" {
					return "", errors.New("Missing privilege separation directory: /run/sshd")
				}
				return d.run(ctx, argv...)
			}
			if c.setup {
				d.mustSetup(all)
			}
			c.change(d)
			if s, _ := d.Watch(t.Context(), Verdict{}); !c.want(s) {
				t.Errorf("%+v", s)
			}
			if _, err := os.Stat(d.at("/run/sshd")); err == nil {
				t.Error("who watches has made /run/sshd")
			}
		})
	}
}

func TestSSHDIsAskedAgainOnlyAfterAChangeOfItsFiles(t *testing.T) {
	d := newTree(t)
	d.write("/etc/ssh/sshd_config.d/50-a.conf", "Include /etc/other/*.conf\n")
	d.mustSetup(all)
	asked := 0
	d.Run = func(ctx context.Context, argv ...string) (string, error) {
		if strings.HasSuffix(argv[0], "sshd") && argv[1] == "-t" {
			asked++
		}
		return d.run(ctx, argv...)
	}
	var v Verdict
	for _, c := range []struct {
		name   string
		change func()
		again  bool
	}{
		{"the first time", func() {}, true},
		{"nothing has changed", func() {}, false},
		{"a file of ours elsewhere has changed", func() { d.write(nsswitchPath, "passwd: files\ngroup: files\n") }, false},
		{"a drop-in came", func() { d.write("/etc/ssh/sshd_config.d/00-mistake.conf", "BROKEN x\n") }, true},
		{"nothing has changed since the mistake", func() {}, false},
		{"the drop-in has other words of the same length",
			func() { d.write("/etc/ssh/sshd_config.d/00-mistake.conf", "UsePAM yes") }, true},
		{"it is gone", func() { _ = os.Remove(d.at("/etc/ssh/sshd_config.d/00-mistake.conf")) }, true},
		{"a file came that a drop-in includes", func() { d.write("/etc/other/a.conf", "UsePAM no\n") }, true},
		{"sshd is another", func() { d.write("/usr/sbin/sshd", "newer") }, true},
	} {
		c.change()
		before := asked
		if _, v = d.Watch(t.Context(), v); asked > before != c.again {
			t.Errorf("%s: sshd was asked: %v, want %v", c.name, asked > before, c.again)
		}
	}
}
