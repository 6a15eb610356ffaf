// Package remedies takes doctor at its word: on a booted Debian host that is well, one thing
// is broken at a time, and what doctor prints as the remedy is typed. Then nothing may be left
// of the finding, or of any other. It imports no internal package.
package remedies

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
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

const release = "bookworm"

func TestWhatDoctorPrintsAsTheRemedyEndsTheFinding(t *testing.T) {
	testbed.RequireArtifacts(t, "debootstrap", "systemd-nspawn")
	s := newSite(t)
	for _, c := range remedies {
		if !t.Run(c.name, func(t *testing.T) { site{s.On(t), t, s.well}.follow(c) }) {
			s.restore() // one fault that lasts hides no other
		}
	}
}

// A finding is one of doctor's.
type finding struct{ Check, State, What, Why, Fix string }

// A site is the host. What doctor finds on it in any case, as that a container has no clock of
// its own, is well.
type site struct {
	*testbed.Host
	t    *testing.T
	well []finding
}

func newSite(t *testing.T) *site {
	net := testbed.NewNet(t)
	key := testbed.NewKey(t, "rsa", "alice")
	iam := net.Place.StartIAM(testbed.Company{
		Groups: []testbed.Group{{Name: "developers"}, {Name: "admins"}},
		Users: []testbed.User{
			{Name: "alice", Groups: []string{"developers", "admins"}, Keys: []testbed.IAMKey{{Body: key.Public}}},
			{ID: "AIDABOBEXAMPLE0000001", Name: "bob", Groups: []string{"developers"}},
		},
	}, "-listen", testbed.PlaceAddress+":8000")
	debs := testbed.Pack(t, "deb", "0.2.0")
	s := &site{Host: net.NewHost(release).Boot(t), t: t}
	s.AptInstall(debs...)
	s.Write("/etc/nss-iam/environment", strings.Join(testbed.Credentials(), "\n")+"\nAWS_ENDPOINT_URL="+iam.URL+
		"\nNO_PROXY=*\n", 0o600)
	s.Write("/etc/nss-iam/config.toml", `[source]
region = "us-east-1"
rate = 100
[login]
groups = ["developers"]
[sudo]
groups = ["admins"]
[accounts]
homes = "create"
`, 0o644)
	s.Run("systemctl", "restart", "nss-iam")
	s.Run("iam-cachefill", "setup")
	s.Eventually("alice is known and has a home", time.Minute, func() bool {
		return s.Try("sh", "-c", "id alice && test -d /home/alice").Code == 0
	})
	s.Eventually("all keys are known", time.Minute, func() bool { return s.Try("iam-cachefill", "status").Code == 0 })
	s.Run("tar", "cf", "/root/etc.tar", "-C", "/etc", ".")
	s.well = s.trouble()
	for _, f := range s.well {
		if f.State == "broken" {
			t.Fatalf("%+v", f)
		}
	}
	return s
}

// restore puts /etc back as it was when the host was well.
func (s *site) restore() {
	s.Run("bash", "-ec", "cd /etc; rm -rf ssh pam.d systemd/system/ssh.service.d; tar xf /root/etc.tar; "+
		"systemctl daemon-reload; systemctl restart ssh nss-iam")
	s.Eventually("the host is well again", time.Minute, func() bool { return slices.Equal(s.trouble(), s.well) })
}

// ages are what two looks at one fault differ in.
var ages = regexp.MustCompile(`\b(\d+(\.\d+)?(ms|s|m|h))+\b|\d{4}-\d\d-\d\dT[0-9:]+Z?`)

// trouble is what doctor does not find good.
func (s *site) trouble() []finding {
	s.t.Helper()
	r := s.Try("iam-cachefill", "doctor", "--json")
	var said struct {
		Findings []finding
		Error    *struct{ Message string }
	}
	if err := json.Unmarshal([]byte(r.Stdout), &said); err != nil || said.Error != nil {
		s.t.Fatalf("doctor: %v: %v", err, r)
	}
	said.Findings = slices.DeleteFunc(said.Findings, func(f finding) bool { return f.State == "good" })
	for i, f := range said.Findings {
		said.Findings[i].What = ages.ReplaceAllString(f.What, "…")
	}
	return said.Findings
}

// follow makes a fault, asks doctor twice, does what it says, and asks again.
func (s site) follow(c remedy) {
	s.Run("bash", "-ec", c.fault)
	var found []finding
	for _, f := range s.trouble() {
		if !slices.Contains(s.well, f) {
			found = append(found, f)
		}
	}
	i := slices.IndexFunc(found, func(f finding) bool { return f.Check == c.check && f.Fix == c.fix })
	if i < 0 {
		s.t.Errorf("no finding of %s with the remedy %q: %+v", c.check, c.fix, found)
	} else if len(found) != 1 {
		s.t.Errorf("one cause, and %d findings: %+v", len(found), found)
	}
	var again []finding
	for _, f := range s.trouble() {
		if !slices.Contains(s.well, f) {
			again = append(again, f)
		}
	}
	if !slices.Equal(found, again) {
		s.t.Errorf("doctor says another thing when it is asked again: %+v and %+v", found, again)
	}
	typed := c.typed
	if typed == "" {
		typed = c.fix
	}
	r := s.Try("bash", "-c", typed)
	var left []finding
	ended := func() bool { left = s.trouble(); return slices.Equal(left, s.well) }
	for deadline := time.Now().Add(90 * time.Second); !ended() && time.Now().Before(deadline); {
		time.Sleep(time.Second) // the daemon does its part
	}
	if !slices.Equal(left, s.well) {
		s.t.Errorf("after %q doctor still finds %+v\n%v", typed, left, r)
	}
}

// A remedy is a fault and what ends it.
type remedy struct {
	name  string
	fault string // commands of bash
	check string
	fix   string // exactly as doctor prints it
	typed string // what a person makes of it; "" where it is a command
}

const (
	cacheDir = "/var/lib/nss-iam"
	setup    = "iam-cachefill setup"
	pack     = "reinstall the package"
	again    = "apt-get -y -qq --reinstall install /opt/*nss-iam_*.deb"
	daemon   = "systemctl enable --now nss-iam; journalctl -u nss-iam"
	dropIns  = "/etc/ssh/sshd_config.d/"
	ours     = dropIns + "10-nss-iam.conf"
	edited   = "mv " + ours + " /root/ && " + setup
	account  = "/etc/pam.d/common-account"
)

var remedies = []remedy{
	{"everybody may change config.toml", "chmod 0666 /etc/nss-iam/config.toml", "permissions",
		"chmod 0644 /etc/nss-iam/config.toml", ""},
	{"config.toml is somebody else's", "chown nobody /etc/nss-iam/config.toml", "permissions",
		"chown root /etc/nss-iam/config.toml", ""},
	{"the folder of the configuration can be changed", "chmod g+w /etc/nss-iam", "permissions",
		"chmod 0755 /etc/nss-iam", ""},
	{"everybody may read credentials", "chmod 0644 /etc/nss-iam/environment", "permissions",
		"chmod 0600 /etc/nss-iam/environment", ""},
	{"nobody may look into the cache folder", "chmod 0700 " + cacheDir, "permissions", "chmod 0755 " + cacheDir, ""},
	{"the refresher's own file is open", "chmod 0666 " + cacheDir + "/state.db", "permissions",
		"chmod 0600 " + cacheDir + "/state.db", ""},
	{"the helper's folder can be changed", "chmod g+w /usr/libexec/nss-iam", "permissions",
		"chmod 0755 /usr/libexec/nss-iam", ""},
	{"the helper does not run", "chmod 0644 /usr/libexec/nss-iam/authkeys", "permissions",
		"chmod 0755 /usr/libexec/nss-iam/authkeys", ""},
	{"the helper is not there", "rm /usr/libexec/nss-iam/authkeys", "permissions", pack, again},
	{"the module is not there", "rm /usr/lib/*/libnss_iam.so.2", "library", pack, again},
	{"the module is no module", "f=$(echo /usr/lib/*/libnss_iam.so.2); rm $f; echo no module >$f", "library",
		"ldconfig; if that is not it, reinstall the package", again},

	{"config.toml is not there", "mv /etc/nss-iam/config.toml /root/", "configuration",
		"write it: nss-iam.toml(5) has examples", "mv /root/config.toml /etc/nss-iam/"},
	{"config.toml has a mistake", "sed -i s/groups/gruops/ /etc/nss-iam/config.toml", "configuration",
		"iam-cachefill check-config", "sed -i s/gruops/groups/ /etc/nss-iam/config.toml"},
	{"config.toml lets nobody in", "sed -i 's/.*developers.*/#&/' /etc/nss-iam/config.toml", "configuration",
		"name the groups of the directory under [login] in /etc/nss-iam/config.toml",
		"sed -i 's/^#//' /etc/nss-iam/config.toml"},

	{"nsswitch.conf does not name iam", "sed -i 's/ iam$//' /etc/nsswitch.conf", "nsswitch", setup, ""},
	{"an initgroups line stops before iam", "echo 'initgroups: files iam' >>/etc/nsswitch.conf", "nsswitch", setup, ""},
	{"nsswitch.conf cannot be read", "sed -i 's/^passwd:/passwd/' /etc/nsswitch.conf", "nsswitch",
		"correct it; nsswitch.conf(5) says how", "sed -i 's/^passwd/passwd:/' /etc/nsswitch.conf"},

	{"sshd asks nobody", "rm " + ours + "; systemctl reload ssh", "sshd", setup, ""},
	{"sshd asks another helper first", "printf 'AuthorizedKeysCommand /bin/false\nAuthorizedKeysCommandUser nobody\n' >" +
		dropIns + "00-other.conf", "sshd",
		`to keep its keys, write under [keys] in /etc/nss-iam/config.toml: chain = ["/bin/false"]; otherwise take it ` +
			"out of sshd's configuration; then iam-cachefill setup", "rm " + dropIns + "00-other.conf; iam-cachefill setup"},
	{"a unit of sshd names another helper", "mkdir -p /etc/systemd/system/ssh.service.d; printf '[Service]\nExecStart=\n" +
		"ExecStart=/usr/sbin/sshd -D -o AuthorizedKeysCommand=/bin/false -o AuthorizedKeysCommandUser=nobody\n' " +
		">/etc/systemd/system/ssh.service.d/other.conf; systemctl daemon-reload", "sshd",
		"take it out of that file, then systemctl daemon-reload and " + setup + "; setup says how to keep the other command",
		"rm /etc/systemd/system/ssh.service.d/other.conf; systemctl daemon-reload; iam-cachefill setup"},
	{"sshd passes no login name", "sed -i 's/authkeys %u/authkeys/' " + ours, "sshd", edited, ""},
	{"sshd passes no number", "sed -i 's/ %U//' " + ours, "sshd", "with OpenSSH 7.7 or later: " + edited, edited},
	{"sshd runs the helper as somebody else", "sed -i '/CommandUser/s/nss-iam/nobody/' " + ours, "sshd", edited, ""},
	{"sshd_config has a mistake", "echo 'PermitRootLogins no' >" + dropIns + "90-mistake.conf", "sshd", "sshd -t",
		"rm " + dropIns + "90-mistake.conf"},
	{"sshd reads people's own keys", "sed -i '/AuthorizedKeysFile/d; /^Match/d' " + ours, "own keys",
		edited + `; or set keys.own_file = "allow"`, edited},
	{"sshd asks no PAM", "echo 'UsePAM no' >" + dropIns + "00-pam.conf", "sshd", "UsePAM yes",
		"echo 'UsePAM yes' >" + dropIns + "00-pam.conf"},
	{"sshd reads from homes whose certificates it takes", "ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ca; " +
		"printf 'TrustedUserCAKeys /etc/ssh/ca.pub\nAuthorizedPrincipalsFile .ssh/principals\n' >" + dropIns + "00-ca.conf",
		"certificates", "AuthorizedPrincipalsFile none; or a path outside homes",
		"sed -i 's/File .*principals/File none/' " + dropIns + "00-ca.conf"},
	{"a person has a file of keys", "install -d -o bob /home/bob/.ssh; echo ssh-rsa >/home/bob/.ssh/authorized_keys",
		"own keys", "have them upload the keys to the directory, and remove the files", "rm -r /home/bob/.ssh"},

	{"PAM does not ask", "sed -i '/libexec.nss-iam.account/d; /pam_localuser/d' " + account, "pam", setup, ""},
	{"the line before the helper's is another", "sed -i 's/pam_localuser.so/pam_permit.so/' " + account,
		"pam", "pam-auth-update --package --force, which undoes every edit of /etc/pam.d/common-*",
		"pam-auth-update --package --force"},
	{"PAM ends before the helper", "sed -i '1i account sufficient pam_permit.so' " + account, "pam",
		"make that line required, or move it behind the helper's",
		"sed -i 's/^account sufficient/account required/' " + account},
	{"sudo does not look", "sed -i /group_source/d /etc/sudo.conf", "sudo", setup, ""},
	{"sudo is told not to look", "sed -i 's/group_source dynamic/group_source static/' /etc/sudo.conf", "sudo",
		"write in /etc/sudo.conf: Set group_source dynamic",
		"sed -i 's/group_source static/group_source dynamic/' /etc/sudo.conf"},

	{"the daemon may make no homes", "rm /etc/systemd/system/nss-iam.service.d/homes.conf; systemctl daemon-reload",
		"homes", setup, ""},
	{"a home is gone", "rm -r /home/bob", "homes", "iam-cachefill refresh; journalctl -u nss-iam -g home", ""},
	{"the daemon does not run", "systemctl stop nss-iam", "daemon", daemon, ""},
	{"the daemon does not run, and nothing starts it", "systemctl disable --now nss-iam", "daemon", daemon, ""},
	{"a local user has the name",
		"cp /etc/passwd /root/; echo bob:x:4711:4711::/:/bin/sh >>/etc/passwd; iam-cachefill refresh",
		"local files", "rename the user in the directory, or remove the local one",
		"cp /root/passwd /etc/passwd; iam-cachefill refresh"},
	{"a home is somebody else's", "rm -r /home/bob; " +
		"mkdir -m 700 /home/bob; chown 4711 /home/bob; iam-cachefill refresh", "homes",
		`find out whose files "/home/bob" holds; move the folder away, or, if all of it is this user's, run "chown -R -h ` +
			`2027268876:2027268876 /home/bob"`, "chown -R -h 2027268876:2027268876 /home/bob; iam-cachefill refresh"},
	{"containers have our numbers", "echo 'nobody:2050000000:100000' >>/etc/subuid", "subordinate ids",
		`give a range below 2001000000 instead: "Rootless podman" in docs/operations.md`,
		"sed -i /2050000000/d /etc/subuid"},
	{"lastlog is large", "truncate -s 600G /var/log/lastlog", "lastlog",
		`have backups keep holes, or do without the file: "lastlog" in docs/operations.md`, "truncate -s 0 /var/log/lastlog"},
}
