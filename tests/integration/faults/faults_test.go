// Package faults makes what can go wrong on a host go wrong, with the real daemon,
// helpers and sshd, and holds every witness to it that docs/operations.md names:
// status, explain, doctor, the alerts, the journal. What they say is the table in
// that page: go test ./tests/integration/faults -update writes it.
package faults

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/tests/alerts"
	"github.com/nss-iam/nss-iam/tests/testbed"
)

var update = flag.Bool("update", false, "write the table into docs/operations.md")

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
	testbed.RequireArtefacts(t)
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

// A witness is what one of them says of a fault. Only one of the fields is set.
type witness struct {
	says  string // a regular expression
	quiet string // why it does not show there
}

func says(pattern string) witness { return witness{says: pattern} }
func quiet(reason string) witness { return witness{quiet: reason} }

// A fault is a row of the table.
type fault struct {
	name string
	// person is the login name that explain is asked about; "" is alice.
	person string
	make   func(*site)
	heals  bool // by itself, so that good is the truth
	code   int  // of status
	later  time.Duration
	// What is said.
	status, explain, doctor, alert, journal witness
}

const (
	openStill  = "cached keys open logins until the time that it names"
	notRunning = "it does not run; systemd says how it ended"
	notTold    = "nothing of it is the daemon's to see"
	healed     = "it is in order again within seconds"
	asked      = "it asks about people, not about the host"
)

var faults = []fault{
	{name: "the daemon is killed", make: func(s *site) { s.kill() }, code: 1, later: time.Hour,
		status: says(`broken +daemon`), explain: quiet(openStill), doctor: says(`broken +daemon`), alert: says("NSSIAMGone"),
		journal: quiet(notRunning)},
	{name: "the daemon hangs",
		make: func(s *site) { s.daemon.Signal(unix.SIGSTOP); s.t.Cleanup(func() { s.daemon.Signal(unix.SIGCONT) }) },
		code: 1, later: time.Hour,
		status: says(`broken +daemon`), explain: says(`no answer in time`), doctor: says(`broken +daemon`),
		alert: says("NSSIAMGone"), journal: quiet("systemd's watchdog ends it, and says so")},
	{name: "the daemon is dead for longer than keys.max_stale", make: func(s *site) {
		s.configure(plain + "[keys]\nmax_stale = \"1m\"\n")
		s.start()
		s.refresh()
		time.Sleep(2 * time.Second)
		s.kill()
		time.Sleep(63 * time.Second)
	}, code: 1, status: says(`broken +keys .*open nothing`), explain: says(`NO +cached keys: cached keys are .* old`),
		doctor: says(`broken +keys`),
		alert:  says("NSSIAMKeysOpenNothing"), journal: quiet(notRunning)},
	{name: "nss.db is gone and no daemon runs", make: func(s *site) { s.kill(); s.Run("rm", testbed.CacheDir+"/nss.db") },
		code: 1, later: time.Hour,
		status: says(`broken +cache +nss.db`), explain: says(`NO +this host: nss.db`), doctor: says(`broken +cache +nss.db`),
		alert: says("NSSIAMGone"), journal: quiet(notRunning)},
	{name: "keys.db is gone and no daemon runs",
		make: func(s *site) { s.kill(); s.Run("rm", testbed.CacheDir+"/keys.db") }, code: 1, later: time.Hour,
		status: says(`broken +cache +keys.db`), explain: says(`NO +(this host|cached keys):.*keys.db`),
		doctor: says(`broken +cache +keys.db`), alert: says("NSSIAMGone"), journal: quiet(notRunning)},
	{name: "nss.db is half written and no daemon runs",
		make: func(s *site) { s.kill(); s.Run("truncate", "-s", "5000", testbed.CacheDir+"/nss.db") }, code: 1,
		later:  time.Hour,
		status: says(`broken +cache +nss.db.*damaged`), explain: says(`NO +this host: nss.db`),
		doctor: says(`broken +cache +nss.db`), alert: says("NSSIAMGone"), journal: quiet(notRunning)},
	{name: "keys.db is overwritten and no daemon runs", make: func(s *site) {
		s.kill()
		s.Run("dd", "if=/dev/zero", "of="+testbed.CacheDir+"/keys.db", "bs=16384", "count=1", "conv=notrunc", "status=none")
	}, code: 1, later: time.Hour,
		status: says(`broken +cache +keys.db.*damaged`), explain: says(`NO +(this host|cached keys):.*keys.db`),
		doctor: says(`broken +cache +keys.db`), alert: says("NSSIAMGone"), journal: quiet(notRunning)},
	{name: "nss.db belongs to somebody else and no daemon runs",
		make: func(s *site) { s.kill(); s.Run("chown", "nobody", testbed.CacheDir+"/nss.db") }, code: 1, later: time.Hour,
		status: says(`broken +cache +nss.db`), explain: says(`NO +this host: nss.db`),
		doctor: says(`broken +(cache|permissions)`), alert: says("NSSIAMGone"), journal: quiet(notRunning)},
	{name: "nss.db is deleted under the daemon", heals: true,
		make:   func(s *site) { s.Run("rm", testbed.CacheDir+"/nss.db"); time.Sleep(5 * time.Second) },
		status: quiet(healed), explain: quiet(healed), doctor: quiet(healed), alert: quiet(healed), journal: quiet(healed)},
	{name: "state.db is damaged at a start", heals: true, make: func(s *site) {
		s.daemon.Stop()
		s.Run("dd", "if=/dev/zero", "of="+testbed.CacheDir+"/state.db", "bs=8192", "count=1", "conv=notrunc", "status=none")
		s.serve()
	}, status: quiet(healed), explain: quiet(healed), doctor: quiet(healed), alert: quiet(healed),
		journal: says(`state file is damaged`)},
	{name: "IAM is down", make: func(s *site) { s.iam.Stop(); s.refresh() }, code: 1, later: time.Hour,
		status: says(`broken +refresh .*unreachable`), explain: quiet(openStill),
		doctor: says(`broken +source .*unreachable`), alert: says("NSSIAMNotRefreshed"),
		journal: says(`refresh failed.*unreachable`)},
	{name: "IAM is down and the host was booted", make: func(s *site) {
		s.daemon.Stop()
		s.Run("rm", "-rf", "/run/nss-iam")
		s.iam.Stop()
		s.start()
		s.Eventually("the daemon has tried", time.Minute,
			func() bool { return strings.Contains(s.daemon.Output(), "refresh failed") })
		s.refresh()
	}, code: 1, later: time.Hour,
		status: says(`broken +refresh .*unreachable`), explain: quiet(openStill), doctor: says(`broken +source`),
		alert: says("NSSIAMNotRefreshed"), journal: says(`refresh failed.*unreachable`)},
	{name: "IAM throttles every call",
		make: func(s *site) { s.iam.Spoil(testbed.Fault{Kind: "throttle", Times: -1}); s.refresh() }, code: 1,
		status: says(`broken +refresh .*throttled`), explain: quiet(openStill),
		doctor: says(`broken +(refresh|source) .*throttled`), alert: says("NSSIAMBroken"),
		journal: says(`refresh failed.*throttled`)},
	{name: "IAM has a fault of its own",
		make: func(s *site) { s.iam.Spoil(testbed.Fault{Kind: "failure", Times: -1}); s.refresh() }, code: 1,
		status: says(`broken +refresh .*service failure`), explain: quiet(openStill),
		doctor: says(`broken +source .*service failure`), alert: says("NSSIAMBroken"),
		journal: says(`refresh failed.*service failure`)},
	{name: "IAM's answers are cut off",
		make: func(s *site) { s.iam.Spoil(testbed.Fault{Kind: "cut", Times: -1}); s.refresh() }, code: 1,
		status: says(`broken +refresh .*incomplete`), explain: quiet(openStill), doctor: says(`broken +source .*incomplete`),
		alert: says("NSSIAMBroken"), journal: says(`refresh failed.*incomplete`)},
	{name: "iam:GetGroup is not granted", make: func(s *site) { s.iam.Deny("iam:GetGroup"); s.refresh() }, code: 1,
		status: says(`broken +refresh .*iam:GetGroup`), explain: quiet(openStill),
		doctor: says(`broken +source .*iam:GetGroup`), alert: says("NSSIAMBroken"),
		journal: says(`refresh failed.*iam:GetGroup`)},
	{name: "iam:ListSSHPublicKeys is not granted",
		make: func(s *site) { s.iam.Deny("iam:ListSSHPublicKeys"); s.start(); s.trial() }, code: 1,
		status: says(`broken +logins .*iam:ListSSHPublicKeys`), explain: quiet(openStill),
		doctor: says(`broken +source .*iam:ListSSHPublicKeys`), alert: says("NSSIAMBroken"),
		journal: says(`does not answer what logins ask.*iam:ListSSHPublicKeys`)},
	{name: "iam:ListGroupsForUser is not granted",
		make: func(s *site) { s.iam.Deny("iam:ListGroupsForUser"); s.start(); s.trial() }, code: 1,
		status: says(`broken +logins .*iam:ListGroupsForUser`), explain: quiet(openStill),
		doctor: says(`broken +source .*iam:ListGroupsForUser`), alert: says("NSSIAMBroken"),
		journal: says(`does not answer what logins ask.*iam:ListGroupsForUser`)},
	{name: "the same with keys.online = \"require\"", make: func(s *site) {
		s.configure(plain + "[keys]\nonline = \"require\"\n")
		s.iam.Deny("iam:ListGroupsForUser")
		s.start()
		s.trial()
	}, code: 1,
		status: says(`broken +logins .*iam:ListGroupsForUser`), explain: says(`NO +this host: .*iam:ListGroupsForUser`),
		doctor: says(`broken +source .*iam:ListGroupsForUser`), alert: says("NSSIAMBroken"),
		journal: says(`does not answer what logins ask.*iam:ListGroupsForUser`)},
	{name: "the daemon has no credentials, root's shell has",
		make: func(s *site) { s.start("AWS_EC2_METADATA_DISABLED=true"); s.refresh() }, code: 1,
		status: says(`broken +refresh .*no credentials`), explain: quiet(openStill),
		doctor: says(`broken +source .*no credentials`), alert: says("NSSIAMBroken"),
		journal: says(`refresh failed.*no credentials`)},
	{name: "the credentials are nobody's",
		make:   func(s *site) { s.start("AWS_ACCESS_KEY_ID=AKIANOBODYEXAMPLE", "AWS_SECRET_ACCESS_KEY=x"); s.refresh() },
		code:   1,
		status: says(`broken +refresh .*credentials`), explain: quiet(openStill),
		doctor: says(`broken +source .*credentials`), alert: says("NSSIAMBroken"),
		journal: says(`refresh failed.*credentials`)},
	{name: "a login group is spelled wrong", make: func(s *site) {
		s.configure(strings.Replace(plain, `"developers"`, `"developers", "developpers"`, 1))
		s.daemon.Signal(unix.SIGHUP)
		s.refresh()
	}, code: 1,
		status: says(`broken +refresh .*developpers`), explain: says(`nothing is known yet`),
		doctor: says(`broken +(refresh|source) .*developpers`), alert: says("NSSIAMBroken"),
		journal: says(`refresh failed.*developpers`)},
	{name: "all login groups are suddenly empty",
		make: func(s *site) { s.iam.Spoil(testbed.Fault{Kind: "none", Action: "GetGroup", Times: -1}); s.refresh() }, code: 1,
		status: says(`broken +refresh .*not believed`), explain: quiet(openStill),
		doctor: says(`broken +refresh .*not believed`), alert: says("NSSIAMBroken"),
		journal: says(`refresh failed.*not believed`)},
	{name: "removals are held back", person: "bob", make: func(s *site) {
		const more = 4
		for i := range more {
			s.iam.AddUser(testbed.User{Name: fmt.Sprintf("guest%d", i), Groups: []string{"developers"}})
		}
		s.refresh()
		s.iam.DeleteUser("bob")
		for i := range more {
			s.iam.DeleteUser(fmt.Sprintf("guest%d", i))
		}
		s.refresh()
		s.refresh()
	}, code: 0,
		status: says(`5 of 6 users.*--accept-removals`), explain: says(`removals were held back`),
		doctor: says(`warning +directory +5 of 6 users`), alert: says("NSSIAMAnswerDoubted"),
		journal: says(`not served as might be expected.*max_fraction`)},
	{name: "a login group is deleted", make: func(s *site) {
		s.configure(strings.Replace(plain, `"developers"`, `"developers", "empty"`, 1))
		s.start()
		s.refresh()
		s.iam.DeleteGroup("empty")
		s.refresh()
	}, code: 0,
		status: says(`group "empty".*does not exist`), explain: quiet("alice is in another group"),
		doctor: says(`warning +directory .*"empty"`), alert: says("NSSIAMAnswerDoubted"),
		journal: says(`not served as might be expected.*empty`)},
	{name: "the keys of one person may not be listed", person: "dave", make: func(s *site) {
		s.iam.DenyFor("dave", "iam:ListSSHPublicKeys")
		s.iam.AddUser(testbed.User{Name: "dave", Groups: []string{"developers"}})
		s.refresh()
		s.Eventually("the daemon has asked for the keys", time.Minute, func() bool {
			return strings.Contains(s.Try(testbed.Refresh, "explain", "dave").Stdout, "ListSSHPublicKeys")
		})
		s.refresh()
	}, code: 0,
		status: says(`dave`), explain: says(`iam:ListSSHPublicKeys`),
		doctor: says(`warning +directory .*"dave"`), alert: says("NSSIAMAnswerDoubted"), journal: says(`dave.*iam:ListSSHPublicKeys`)},
	{name: "the clock was two hours ahead, was set back, and no daemon runs", make: func(s *site) {
		s.kill()
		s.redate(2 * time.Hour)
	}, code: 1, later: time.Hour,
		status: says(`broken +keys .*ahead`), explain: says(`NO +cached keys`),
		doctor: says(`broken +keys .*ahead`), alert: says("NSSIAMGone"), journal: quiet(notRunning)},
	{name: "the same under the daemon", heals: true, make: func(s *site) { s.redate(2 * time.Hour); time.Sleep(5 * time.Second) },
		status: quiet(healed), explain: quiet(healed), doctor: quiet(healed), alert: quiet(healed), journal: quiet(healed)},
	{name: "sshd_config has a mistake", make: func(s *site) {
		s.Run(testbed.Refresh, "setup", "--offline")
		s.Write("/etc/ssh/sshd_config.d/00-mistake.conf", "PasswordAuthentification no\n", 0o644)
	}, code: 0,
		status: quiet("it says what is served; only doctor looks at files of the host's owner"), explain: quiet(asked),
		doctor: says(`broken +sshd .*PasswordAuthentification`), alert: quiet("see status"), journal: quiet(notTold)},
	{name: "another AuthorizedKeysCommand comes before ours", make: func(s *site) {
		s.Run(testbed.Refresh, "setup", "--offline")
		s.Write("/etc/ssh/sshd_config.d/00-other.conf", "AuthorizedKeysCommand /usr/bin/false\n"+
			"AuthorizedKeysCommandUser nobody\n", 0o644)
	}, code: 0,
		status: quiet("it says what is served; only doctor looks at files of the host's owner"), explain: quiet(asked),
		doctor: says(`broken +sshd .*/usr/bin/false`), alert: quiet("see status"), journal: quiet(notTold)},
	{name: "a name that is no Unix name",
		make:   func(s *site) { s.iam.AddUser(testbed.User{Name: "1234", Groups: []string{"developers"}}); s.refresh() },
		code:   0,
		status: says(`1234`), explain: quiet("alice is not the person; explain 1234 says it"),
		doctor: quiet("nothing of the host is wrong"), alert: quiet("one person is skipped: a figure, nss_iam_skipped, " +
			"and no alert"), journal: says(`not served as might be expected.*1234`)},
	{name: "the configuration is wrong at a reload", make: func(s *site) {
		s.configure("[login]\ngroups = \"developers\"\n")
		s.daemon.Signal(unix.SIGHUP)
		time.Sleep(time.Second)
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
		make: func(s *site) { s.configure("[sudo]\ngroups = [\"developers\"]\n"); s.start(); time.Sleep(time.Second) },
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
		journal: says(`<4>tell the status.*write metrics`)},
	{name: "nsswitch.conf does not name iam", make: func(s *site) {
		s.Write("/etc/nsswitch.conf", "passwd: files\n"+
			"group: files\n", 0o644)
	}, code: 0,
		status: quiet("it says what is served; only doctor looks at files of the host's owner"), explain: quiet(asked),
		doctor: says(`broken +nsswitch`), alert: quiet("see status"), journal: quiet(notTold)},
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
	dir := s.t.TempDir()
	at := filepath.Join(dir, cache.KeysFile)
	if err := os.WriteFile(at, []byte(s.Read(testbed.CacheDir+"/"+cache.KeysFile)), 0o600); err != nil {
		s.t.Fatal(err)
	}
	known, _, err := cache.ReadKeys(dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range known.Users {
		known.Users[i].Checked = known.Users[i].Checked.Add(by)
	}
	if _, err := cache.PublishKeys(dir, known, -1, time.Now()); err != nil {
		s.t.Fatal(err)
	}
	body, err := os.ReadFile(at)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Write(testbed.CacheDir+"/"+cache.KeysFile, string(body), 0o640)
	s.Run("chown", "root:nss-iam", testbed.CacheDir+"/"+cache.KeysFile)
}

// trial waits until the daemon has tried what logins need.
func (s *site) trial() {
	s.Eventually("the daemon has tried a login", time.Minute,
		func() bool { return strings.Contains(s.daemon.Output(), "what logins ask") })
	s.Eventually("the figures have it", time.Minute, func() bool {
		return strings.Contains(s.Try("cat", figures).Stdout, `nss_iam_problems{check="logins",state="broken"} `+"1")
	})
}

// A said is what was heard of a fault, for the table.
type said struct{ status, explain, doctor, alert, journal string }

func TestEveryFaultIsSaid(t *testing.T) {
	rules, err := alerts.Load(filepath.Join(testbed.Root(), "docs/alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(faults) < 25 {
		t.Errorf("%d faults", len(faults))
	}
	var mu sync.Mutex
	heard := map[string]said{}
	t.Run("faults", func(t *testing.T) {
		for _, f := range faults {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				s.serve()
				text := s.Read(figures)
				began := time.Now()
				f.make(s)
				x := witnesses(t, s, f, rules, text, began)
				mu.Lock()
				heard[f.name] = x
				mu.Unlock()
			})
		}
	})
	if !t.Failed() {
		inDocument(t, table(heard))
	}
}

// witnesses hears all of them.
func witnesses(t *testing.T, s *site, f fault, rules []alerts.Rule, figuresBefore string, began time.Time) said {
	var x said
	hear := func(who string, w witness, text, summary string) string {
		if w.says == "" {
			return "–"
		}
		if !regexp.MustCompile(w.says).MatchString(text) {
			t.Errorf("%s does not say %q:\n%s", who, w.says, text)
		}
		return summary
	}
	status := s.Try(testbed.Refresh, "status")
	if status.Code != f.code {
		t.Errorf("status: want exit status %d: %v", f.code, status)
	}
	x.status = fmt.Sprintf("%d, %s", f.code, hear("status", f.status, status.Stdout+status.Stderr, broken(f.status.says)))
	if f.status.says != "" && f.code == 0 {
		x.status = "0, a finding"
	}
	explain := s.Try(testbed.Refresh, "explain", cmp.Or(f.person, "alice"))
	if no := explain.Code != 0; no != (f.explain.says != "") {
		t.Errorf("explain: %v", explain)
	}
	x.explain = hear("explain", f.explain, explain.Stdout+explain.Stderr, "no")
	doctor := s.TryInput("", testbed.Credentials(), testbed.Refresh, "doctor")
	x.doctor = hear("doctor", f.doctor, doctor.Stdout+doctor.Stderr, broken(f.doctor.says))
	x.alert = hear("the alerts", f.alert, pending(t, s, f, rules, figuresBefore, began), f.alert.says)
	var lines []string
	for line := range strings.Lines(s.before + s.daemon.Output()) {
		if regexp.MustCompile(`^<[34]>`).MatchString(line) {
			lines = append(lines, line)
		}
	}
	x.journal = hear("the journal", f.journal, strings.Join(lines, ""), "yes")
	if f.code == 0 && f.status.says == "" && f.alert.says == "" && f.doctor.says == "" && !f.heals {
		t.Error("nobody says it")
	}
	if f.heals && (status.Code != 0 || explain.Code != 0) {
		t.Errorf("it has not healed: %v\n%v", status, explain)
	}
	return x
}

// pending are the alerts that hold of the figures some time later.
func pending(t *testing.T, s *site, f fault, rules []alerts.Rule, before string, began time.Time) string {
	t.Helper()
	var record alerts.Record
	now := time.Now()
	texts := map[time.Time]string{began: before}
	if after := s.Try("cat", figures); after.Code == 0 {
		texts[now.Add(f.later)] = after.Stdout // a file that nobody replaces is scraped on and on
	}
	for _, at := range []time.Time{began, now.Add(f.later)} {
		if text, ok := texts[at]; ok {
			if err := record.Scrape("web-1", text, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	all, err := record.Pending(rules, now.Add(f.later))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, a := range all {
		names = append(names, a.Rule)
	}
	if f.alert.says == "" && len(names) > 0 {
		t.Errorf("alerts: %v", names)
	}
	return strings.Join(names, " ")
}

var checkForm = regexp.MustCompile(`(?:broken|warning) \+\(?([a-z]+)`)

// broken is the name of the check in a pattern.
func broken(pattern string) string {
	if m := checkForm.FindStringSubmatch(pattern); m != nil {
		return m[1]
	}
	return pattern
}

func table(heard map[string]said) string {
	var b, notes strings.Builder
	reasons := map[string]int{}
	b.WriteString("| fault | `status` | `explain` of the person | `doctor` | alert | journal |\n|---|---|---|---|---|---|\n")
	for _, f := range faults {
		x := heard[f.name]
		cell := func(text string, w witness) string {
			if w.quiet == "" {
				return text
			}
			n, ok := reasons[w.quiet]
			if !ok {
				n = len(reasons) + 1
				reasons[w.quiet] = n
				fmt.Fprintf(&notes, "%d. %s\n", n, w.quiet)
			}
			return fmt.Sprintf("%s (%d)", strings.TrimSuffix(text, ", –"), n)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", f.name, cell(x.status, f.status), cell(x.explain, f.explain),
			cell(x.doctor, f.doctor), cell(x.alert, f.alert), cell(x.journal, f.journal))
	}
	return b.String() + "\nWhere it does not show, and why:\n\n" + notes.String()
}

const (
	tableBegins = "<!-- table of faults: go test ./tests/integration/faults -update -->\n"
	tableEnds   = "<!-- end of the table of faults -->\n"
)

// inDocument holds the page against the table, or writes it there.
func inDocument(t *testing.T, table string) {
	t.Helper()
	page := filepath.Join(testbed.Root(), "docs/operations.md")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegins)
	had, after, closed := strings.Cut(rest, tableEnds)
	switch {
	case !ok || !closed:
		t.Errorf("%s has no table of faults", page)
	case *update:
		if err := os.WriteFile(page, []byte(before+tableBegins+"\n"+table+"\n"+tableEnds+after), 0o644); err != nil {
			t.Fatal(err)
		}
	case had != "\n"+table+"\n":
		t.Errorf("docs/operations.md has another table of faults; go test ./tests/integration/faults -update writes this "+
			"one:\n%s", table)
	}
}

// docs/operations.md says what to do when keys grow too old while IAM is down: raise
// keys.max_stale and start the daemon. It is down too, here.
func TestRaisingMaxStaleOpensLoginsAgainWhileIAMIsDown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.configure(plain + "[keys]\nmax_stale = \"1m\"\n")
	s.serve()
	s.kill()
	s.iam.Stop()
	s.Eventually("the cached keys are too old", 3*time.Minute, func() bool {
		r := s.Try(testbed.Refresh, "explain", "alice")
		return r.Code == 1 && strings.Contains(r.Stdout, "NO   cached keys")
	})
	if r := s.Try(testbed.Refresh, "status"); r.Code != 1 {
		t.Errorf("nobody gets in, and status is content: %v", r)
	}
	key := func() testbed.Result { return s.Try("/usr/libexec/nss-iam/authkeys", "alice") }
	if r := key(); strings.Contains(r.Stdout, "ssh-rsa") {
		t.Errorf("a key that is too old is given: %v", r)
	}

	s.configure(plain + "[keys]\nmax_stale = \"24h\"\n")
	s.start()
	s.Eventually("cached keys open logins again", time.Minute, func() bool {
		return strings.Contains(s.Try(testbed.Refresh, "explain", "alice").Stdout, "yes  cached keys") &&
			strings.Contains(key().Stdout, "ssh-rsa")
	})
	if r := s.Try(testbed.Refresh, "status"); r.Code != 1 || !strings.Contains(r.Stdout, "unreachable") {
		t.Errorf("IAM is down still: %v", r)
	}
}
