package faults

import (
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// hostFaults are of the host: its clock, its disk, and files that people write.
var hostFaults = []fault{
	{name: "the clock was two hours ahead, was set back, and no daemon runs", make: func(s *site) {
		s.kill()
		s.redate(2 * time.Hour)
	}, code: 1, later: time.Hour,
		status: says(`broken +keys .*ahead`), explain: says(`NO +cached keys`),
		doctor: says(`broken +keys .*ahead`), alert: says("NSSIAMGone"), journal: quiet(notRunning)},
	{name: "the same under the daemon", heals: true,
		make:   func(s *site) { s.redate(2 * time.Hour) },
		status: quiet(healed), explain: quiet(healed), doctor: quiet(healed), alert: quiet(healed), journal: quiet(healed)},
	{name: "the clock is 12 minutes behind at a boot, and IAM is down", make: func(s *site) {
		s.daemon.Stop()
		s.redate(12 * time.Minute)
		s.recall(12 * time.Minute)
		s.Run("rm", "-rf", "/run/nss-iam")
		s.iam.Stop()
		s.start()
		s.Eventually("the daemon has tried", time.Minute,
			func() bool { return strings.Contains(s.daemon.Output(), "refresh failed") })
		s.refresh()
	}, code: 1,
		status: says(`broken +keys .*1[12]m.* ahead`), explain: says(`NO +cached keys: cached keys are dated ` +
			`1[12]m\S* ahead`),
		doctor: says(`broken +keys .*1[12]m.* ahead`), alert: says("NSSIAMBroken"),
		journal: says(`refresh failed.*unreachable`)},
	{name: "the clock is two hours behind at a boot", heals: true, make: func(s *site) {
		s.daemon.Stop()
		s.redate(2 * time.Hour)
		s.recall(2 * time.Hour)
		s.Run("rm", "-rf", "/run/nss-iam")
		s.serve()
	}, status: quiet(healed), explain: quiet(healed), doctor: quiet(healed), alert: quiet(healed), journal: quiet(healed)},
	{name: "sshd_config has a mistake", make: func(s *site) {
		s.Write("/etc/ssh/sshd_config.d/00-mistake.conf", "PasswordAuthentification no\n", 0o644)
		s.refresh()
	}, code: 1,
		status: says(`broken +sshd .*PasswordAuthentification`), explain: quiet("sshd goes on as it was until it is " +
			"started again"),
		doctor: says(`broken +sshd .*PasswordAuthentification`), alert: says("NSSIAMBroken"), journal: says(`sshd.*refuses`)},
	{name: "an option of sshd_config has a wrong value", make: func(s *site) {
		s.Write("/etc/ssh/sshd_config.d/00-mistake.conf", "PermitRootLogin maybe\n", 0o644)
		s.refresh()
	}, code: 1,
		status: says(`broken +sshd .*maybe`), explain: quiet("sshd goes on as it was until it is " +
			"started again"),
		doctor: says(`broken +sshd .*maybe`), alert: says("NSSIAMBroken"), journal: says(`sshd.*refuses`)},
	{name: "another AuthorizedKeysCommand comes before ours", make: func(s *site) {
		s.Write("/etc/ssh/sshd_config.d/00-other.conf", "AuthorizedKeysCommand /usr/bin/false\n"+
			"AuthorizedKeysCommandUser nobody\n", 0o644)
		s.refresh()
	}, code: 1,
		status: says(`broken +sshd .*/usr/bin/false`), explain: says(`NO +this host: .*/usr/bin/false`),
		doctor: says(`broken +sshd .*/usr/bin/false`), alert: says("NSSIAMBroken"), journal: says(`/usr/bin/false`)},
	{name: "setup's file for sshd is gone", make: func(s *site) {
		s.Run("rm", "/etc/ssh/sshd_config.d/10-nss-iam.conf")
		s.refresh()
	}, code: 1,
		status: says(`broken +sshd .*no AuthorizedKeysCommand`), explain: says(`NO +this host: sshd has no`),
		doctor: says(`broken +sshd .*no AuthorizedKeysCommand`), alert: says("NSSIAMBroken"),
		journal: says(`no AuthorizedKeysCommand`)},
	{name: "a name that is no Unix name",
		make:   func(s *site) { s.iam.AddUser(testbed.User{Name: "1234", Groups: []string{"developers"}}); s.refresh() },
		code:   0,
		status: says(`1234`), explain: quiet("alice is not the person; explain 1234 says it"),
		doctor: quiet("nothing of the host is wrong"), alert: quiet("one person is skipped: a figure, nss_iam_skipped, " +
			"and no alert"), journal: says(`user or group not served as configured.*1234`)},
	{name: "the configuration is wrong at a reload", make: func(s *site) {
		s.configure("[login]\ngroups = \"developers\"\n")
		s.daemon.Signal(unix.SIGHUP)
		s.Eventually("the daemon has read it", time.Minute,
			func() bool { return strings.Contains(s.daemon.Output(), "reload failed") })
	}, code: 2,
		status: says(`broken +configuration +.*config.toml:\d+`), explain: quiet("the daemon goes on with the " +
			"configuration before"), doctor: says(`broken +configuration`),
		alert: quiet("the daemon goes on with the configuration before"), journal: says(`reload failed.*config.toml:\d+`)},
	{name: "the configuration is wrong at a start", make: func(s *site) {
		s.configure("[login]\ngroups = \"developers\"\n")
		s.start()
		s.daemon.Wait(time.Minute)
	}, code: 2, later: time.Hour,
		status: says(`broken +configuration +.*config.toml:\d+`), explain: says(`config.toml:\d+`),
		doctor: says(`broken +configuration`), alert: says("NSSIAMGone"),
		journal: says(`<3>iam-cachefill: .*config.toml:\d+`)},
	{name: "config.toml has keys of aws-ec2-ssh", make: func(s *site) {
		s.Configure("IAM_AUTHORIZED_GROUPS=\"developers\"\nSUDOERS_GROUPS=\"admins\"\n")
		s.start()
		s.daemon.Wait(time.Minute)
	}, code: 2, later: time.Hour,
		status: says(`broken +configuration +.*config.toml:1`), explain: says(`config.toml:1`),
		doctor: says(`broken +configuration`), alert: says("NSSIAMGone"), journal: says(`<3>iam-cachefill: .*config.toml:1`)},
	{name: "there is no config.toml",
		make: func(s *site) { s.Run("rm", testbed.Config); s.start(); s.daemon.Wait(time.Minute) }, code: 2, later: time.Hour,
		status: says(`broken +configuration +.*config.toml`), explain: says(`config.toml`),
		doctor: says(`broken +configuration`), alert: says("NSSIAMGone"), journal: says(`<3>iam-cachefill: .*config.toml`)},
	{name: "no login rule is set",
		make: func(s *site) {
			s.configure("[sudo]\ngroups = [\"developers\"]\n")
			s.start()
			s.Eventually("the daemon has read it", time.Minute,
				func() bool { return strings.Contains(s.daemon.Output(), "not configured") })
		},
		code: 2, later: time.Hour,
		status: says(`broken +configuration +no login rule`), explain: says(`.`), doctor: says(`broken +configuration`),
		alert: says("NSSIAMGone"), journal: says(`<4>not configured`)},
	{name: "another configuration fails beside the host's own", heals: true, make: func(s *site) {
		s.Write("/etc/nss-iam/other.toml", s.iam.Source()+"[login]\ngroups = [\"nobodys\"]\n[metrics]\ntextfile = \""+
			figures+"\"\n", 0o644)
		s.Try(testbed.Refresh, "refresh", "--config", "/etc/nss-iam/other.toml")
	}, status: quiet("the host serves as before; status --config says it"), explain: quiet("the host serves as before"),
		doctor: quiet("the host serves as before"), alert: quiet("the host serves as before"),
		journal: quiet("the command says it")},
	{name: "the disk is full", make: func(s *site) {
		s.smallDisk()
		s.Try("sh", "-c", "dd if=/dev/zero of="+testbed.CacheDir+"/filler bs=4096 status=none")
		s.iam.AddMember("developers", "carol")
		s.refresh()
	}, code: 1,
		status: says(`broken +refresh .*no space left`), explain: quiet(openStill),
		doctor: says(`broken +refresh .*no space left`), alert: says("NSSIAMBroken"), journal: says(`no space left`)},
	{name: "the disk is read-only", make: func(s *site) {
		s.smallDisk()
		s.daemon.Stop()
		s.Run("mount", "-o", "remount,ro", testbed.CacheDir)
		s.start()
		s.daemon.Wait(time.Minute)
	}, code: 1, later: time.Hour,
		status: says(`broken +daemon`), explain: quiet(openStill), doctor: says(`broken +daemon`), alert: says("NSSIAMGone"),
		journal: says(`<3>iam-cachefill: .*read-only`)},
	{name: "the folder of the figures is gone",
		make: func(s *site) { s.Run("rm", "-rf", filepath.Dir(figures)); s.refresh() }, code: 0, later: 30 * time.Minute,
		status: quiet("nobody logs in by figures"), explain: quiet("nobody logs in by figures"),
		doctor: quiet("nobody logs in by figures"), alert: says("NSSIAMGone"),
		journal: says(`<4>cannot report the status.*write metrics`)},
	{name: "nsswitch.conf does not name iam", make: func(s *site) {
		s.Write("/etc/nsswitch.conf", "passwd: files\n"+
			"group: files\n", 0o644)
		s.refresh()
	}, code: 1,
		status: says(`broken +nsswitch`), explain: says(`NO +this host: .*does not name iam`),
		doctor: says(`broken +nsswitch`), alert: says("NSSIAMBroken"), journal: says(`does not name iam`)},
	{name: "everybody may read keys.db",
		make: func(s *site) { s.kill(); s.Run("chmod", "0644", testbed.CacheDir+"/keys.db") }, code: 1, later: time.Hour,
		status: says(`broken +daemon`), explain: quiet(openStill), doctor: says(`broken +permissions +.*keys.db`),
		alert: says("NSSIAMGone"), journal: quiet(notRunning)},
	{name: "the snapshot's file is gone", make: func(s *site) {
		s.Run(testbed.Refresh, "publish", "--new-key", "/etc/nss-iam/signing")
		public := strings.TrimSpace(s.Read("/etc/nss-iam/signing.pub"))
		s.Configure("[source]\nkind = \"file\"\nurl = \"file:///var/lib/none/snapshot\"\ntrusted_keys = [\"" + public +
			"\"]\n[keys]\nonline = \"off\"\n" + plain)
		s.start()
		s.refresh()
	}, code: 1,
		status: says(`broken +refresh .*/var/lib/none/snapshot`), explain: quiet(openStill),
		doctor: says(`broken +source .*/var/lib/none/snapshot`), alert: says("NSSIAMBroken"),
		journal: says(`refresh failed.*/var/lib/none/snapshot`)},
}
