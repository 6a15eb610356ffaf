package packaging

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// census is every file of a host with mode, owner and size, and the content of
// those outside /usr. Left out is what other programs keep about any
// installation or any account made: dpkg's and systemd's own state, logs,
// caches, and the backups and lock of passwd(5).
const census = `cd / && LC_ALL=C; export LC_ALL
skip="-path var/log -o -path var/cache -o -path var/tmp -o -path var/lib/dpkg -o -path var/lib/systemd -o -path var/lib/apt -o -path root/.ssh
-o -name passwd- -o -name shadow- -o -name group- -o -name gshadow- -o -name subuid- -o -name subgid- -o -path etc/.pwd.lock"
{
find etc usr var root \( $skip \) -prune -o \( -type d -printf '%p %y %m %U:%G\n' -o -printf '%p %y %m %U:%G %s %l\n' \)
find etc var root \( $skip \) -prune -o -type f -print0 | xargs -0 sha256sum | awk '{ print $2, $1 }'
} | sort`

func put(t *testing.T, host *testbed.Host, file, name string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	host.Write(name, string(content), 0o755)
}

func apt(host *testbed.Host, args ...string) string {
	return host.Run(append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold"}, args...)...)
}

// differences are the lines of two texts that only one has.
func differences(before, after string) (all []string) {
	count := make(map[string]int)
	for line := range strings.Lines(before) {
		count[line]--
	}
	for line := range strings.Lines(after) {
		count[line]++
	}
	for line, n := range count {
		if n != 0 {
			all = append(all, fmt.Sprintf("%+d %s", n, strings.TrimSpace(line)))
		}
	}
	return all
}

func TestADebianHostFromInstallationToPurge(t *testing.T) {
	t.Parallel()
	for _, release := range testbed.Releases {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			fromInstallationToPurge(t, release)
		})
	}
}

func fromInstallationToPurge(t *testing.T, release string) {
	old, young := deb(t, older), deb(t, newer)
	host := testbed.NewBootedHost(t, release)
	put(t, host, old, "/tmp/old.deb")
	put(t, host, young, "/tmp/new.deb")
	put(t, host, filepath.Join(testbed.Build(), "iam-emulator"), "/tmp/iam-emulator")
	before := host.Run("sh", "-c", census)
	sshd := host.Run("sshd", "-T")

	start := time.Now()
	apt(host, "install", "/tmp/old.deb")
	t.Logf("installed after %v", time.Since(start).Round(10*time.Millisecond))
	t.Run("installed but not configured, it does nothing and says so", func(t *testing.T) {
		if got := host.Run("systemctl", "is-active", "nss-iam"); got != "active" {
			t.Errorf("nss-iam.service is %s", got)
		}
		log := host.Run("journalctl", "-u", "nss-iam", "-o", "cat", "--no-pager")
		if !strings.Contains(log, "nothing is served until") {
			t.Errorf("the daemon's log: %s", log)
		}
		if got := host.Run("sshd", "-T"); got != sshd {
			t.Errorf("sshd's configuration changed")
		}
		if r := host.Try("iam-cachefill", "setup"); r.Code != 2 {
			t.Errorf("setup without a login rule: %v", r)
		}
		expected := host.Run("dpkg", "-L", "nss-iam") + `
/etc/passwd
/etc/group
/etc/shadow
/etc/gshadow
/etc/ld.so.cache
/etc/systemd/system/multi-user.target.wants/nss-iam.service
/var/lib/nss-iam/state.db
`
		for _, line := range differences(before, host.Run("sh", "-c", census)) {
			if path := strings.Fields(line)[1]; !strings.Contains(expected, "/"+path+"\n") {
				t.Errorf("changed by the installation: %s", line)
			}
		}
	})

	configure(t, host)
	host.Run("iam-cachefill", "setup")
	host.Run("systemctl", "restart", "nss-iam")
	t.Run("an IAM user logs in, and root's own key still does", func(t *testing.T) {
		host.Eventually("alice is known", 30*time.Second, func() bool { return host.Try("id", "alice").Code == 0 })
		if r := login(host, "alice", "id -un; pwd"); r.Stdout != "alice\n/home/alice\n" {
			t.Errorf("login: %v\n%s", r, host.Run("journalctl", "-n", "40", "--no-pager"))
		}
		t.Logf("from installation to the first login: %v", time.Since(start).Round(10*time.Millisecond))
		if r := login(host, "alice", "sudo -n id -u"); r.Code == 0 {
			t.Errorf("alice is root: %v", r)
		}
		if r := login(host, "carol", "sudo -n id -u"); r.Stdout != "0\n" {
			t.Errorf("carol is not root: %v", r)
		}
		if r := login(host, "root", "id -un"); r.Stdout != "root\n" {
			t.Errorf("root: %v", r)
		}
	})
	t.Run("doctor finds it well, and a fault with the command that mends it", func(t *testing.T) {
		if r := host.Try("iam-cachefill", "doctor"); r.Code != 0 {
			t.Errorf("doctor: %v\n%s", r, r.Stdout)
		}
		for _, c := range []struct{ fault, mend string }{
			{"chmod 0666 /var/lib/nss-iam/keys.db", "chmod 0640 /var/lib/nss-iam/keys.db"},
			{"sed -i 's/ iam$//' /etc/nsswitch.conf", "iam-cachefill setup"},
			{"chmod g+w /usr/libexec/nss-iam", "chmod 0755 /usr/libexec/nss-iam"},
			{"rm /etc/ssh/sshd_config.d/10-nss-iam.conf", "iam-cachefill setup"},
			{"systemctl stop nss-iam", "systemctl enable --now nss-iam"},
		} {
			host.Run("sh", "-c", c.fault)
			if r := host.Try("iam-cachefill", "doctor"); r.Code != 1 || !strings.Contains(r.Stdout, "mend: "+c.mend) {
				t.Errorf("doctor after %q: %v\n%s", c.fault, r, r.Stdout)
			}
			host.Run("sh", "-c", c.mend)
		}
		host.Eventually("doctor finds it well again", 30*time.Second, func() bool { return host.Try("iam-cachefill", "doctor").Code == 0 })
	})
	t.Run("a second setup changes nothing", func(t *testing.T) {
		if got := host.Run("iam-cachefill", "setup"); !strings.Contains(got, "nothing to change") {
			t.Errorf("a second setup: %s", got)
		}
	})
	t.Run("an upgrade disturbs no login", func(t *testing.T) {
		logins := host.Start(nil, "sh", "-c", "for i in 1 2 3 4 5 6 7 8; do "+strings.Join(ssh("alice"), " ")+" id -un; done; echo done")
		apt(host, "install", "/tmp/new.deb")
		logins.Wait(time.Minute)
		if got := logins.Output(); strings.Count(got, "alice\n") != 8 {
			t.Errorf("logins meanwhile: %s", got)
		}
		if got := host.Run("systemctl", "is-active", "nss-iam"); got != "active" {
			t.Errorf("nss-iam.service is %s", got)
		}
	})
	t.Run("a removal leaves nothing", func(t *testing.T) {
		apt(host, "purge", "nss-iam")
		if got := host.Run("sshd", "-T"); got != sshd {
			t.Errorf("sshd's configuration: %q", differences(sshd, got))
		}
		for _, line := range differences(before, host.Run("sh", "-c", census)) {
			t.Errorf("left: %s", line)
		}
		if r := host.Try("id", "alice"); r.Code == 0 {
			t.Errorf("alice is still known: %v", r)
		}
	})
}

// configure starts an account with alice, who may log in, and carol, who may
// also use sudo, and writes the configuration for it.
func configure(t *testing.T, host *testbed.Host) {
	t.Helper()
	alice, carol, root := testbed.NewKey(t, "rsa", "alice"), testbed.NewKey(t, "rsa", "carol"), testbed.NewKey(t, "ed25519", "root")
	company, err := json.Marshal(testbed.Company{
		Groups: []testbed.Group{{Name: "developers"}, {Name: "admins"}},
		Users: []testbed.User{
			{Name: "alice", Groups: []string{"developers"}, Keys: []testbed.IAMKey{{Body: alice.Public}}},
			{Name: "carol", Groups: []string{"developers", "admins"}, Keys: []testbed.IAMKey{{Body: carol.Public}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	host.Write("/run/testbed/company.json", string(company), 0o644)
	host.Start(nil, "/tmp/iam-emulator", "-company", "/run/testbed/company.json", "-address-file", "/run/testbed/iam.url")
	host.Eventually("the emulator has an address", time.Minute, func() bool { return host.Try("test", "-s", "/run/testbed/iam.url").Code == 0 })
	iam := testbed.IAM{URL: strings.TrimSpace(host.Read("/run/testbed/iam.url"))}
	host.Write("/etc/nss-iam/environment", strings.Join(testbed.Credentials(), "\n")+"\n", 0o600)
	host.Write(testbed.Config, iam.Source()+"[login]\ngroups = [\"developers\"]\n[sudo]\ngroups = [\"admins\"]\n", 0o644)
	for name, key := range map[string]testbed.Key{"alice": alice, "carol": carol, "root": root} {
		host.Write("/run/testbed/"+name, key.Private, 0o600)
	}
	host.Write("/root/.ssh/authorized_keys", root.Public+"\n", 0o600)
}

func ssh(user string) []string {
	return []string{"ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
		"-i", "/run/testbed/" + user, user + "@127.0.0.1"}
}

func login(host *testbed.Host, user, command string) testbed.Result {
	return host.Try(append(ssh(user), command)...)
}
