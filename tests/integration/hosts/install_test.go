package hosts

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// put copies a file of this machine to the host.
func (s site) put(file, name string) {
	s.t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Write(name, string(content), 0o644)
}

func (s site) install() {
	s.subscribe()
	for name, key := range s.f.keys {
		s.Write("/root/.ssh/"+name, key.Private, 0o600)
	}
	s.Write("/root/.ssh/authorized_keys", s.f.keys["root"].Public+"\n", 0o600)
	// From 9.8 on sshd turns an address away for a while after refused logins.
	if s.Try("grep", "-qi", "persourcepenalties", "/usr/sbin/sshd").Code == 0 {
		s.Write("/etc/ssh/sshd_config.d/99-testbed.conf", "PerSourcePenalties no\n", 0o644)
		s.Run("systemctl", "reload", "ssh")
	}
	s.before, s.sshd = s.census(), s.Run("sshd", "-T")

	apt(s.Host, "install", "nss-iam")
	if got := s.Run("systemctl", "is-active", "nss-iam"); got != "active" {
		s.t.Errorf("nss-iam.service is %s", got)
	}
	if log := s.logged(); !strings.Contains(log, "nothing is served until") {
		s.t.Errorf("the daemon's log: %s", log)
	}
	if got := s.Run("sshd", "-T"); got != s.sshd {
		s.t.Errorf("sshd's configuration changed: %q", differences(s.sshd, got))
	}
	if r := s.Try("iam-cachefill", "setup"); r.Code != 2 {
		s.t.Errorf("setup without a login rule: %v", r)
	}
	s.withoutConfiguration()
	// Its /lib is a link to usr/lib, and dpkg does not know.
	expected := strings.ReplaceAll(s.Run("dpkg", "-L", "nss-iam", "libnss-iam"), "\n/lib/", "\n/usr/lib/") + `
/etc/passwd
/etc/group
/etc/shadow
/etc/gshadow
/etc/ld.so.cache
/etc/systemd/system/multi-user.target.wants/nss-iam.service
/var/lib/nss-iam/state.db
/etc/nss-iam/environment
`
	for _, line := range differences(s.before, s.census()) {
		if path := strings.Fields(line)[1]; !strings.Contains(expected, "/"+path+"\n") {
			s.t.Errorf("changed by the installation: %s", line)
		}
	}
	apt(s.Host, "purge", "nss-iam", "libnss-iam")
	s.same("left by a package that was never configured", s.before, false)
}

// withoutConfiguration starts the daemon without a configuration: systemd leaves it at
// that, since only a person changes it.
func (s site) withoutConfiguration() {
	s.Run("mv", "/etc/nss-iam/config.toml", "/etc/nss-iam/config.toml.away")
	if r := s.Try("systemctl", "restart", "nss-iam"); r.Code == 0 {
		s.t.Errorf("started without a configuration: %v", r)
	}
	// A unit that is to be restarted is not failed but activating.
	got := s.Run("systemctl", "show", "-p", "ActiveState", "-p", "ExecMainStatus", "-p", "NRestarts", "nss-iam")
	for _, want := range []string{"ActiveState=failed", "ExecMainStatus=2", "NRestarts=0"} {
		if !strings.Contains(got, want) {
			s.t.Errorf("want %s without a configuration: %q", want, got)
		}
	}
	s.Run("mv", "/etc/nss-iam/config.toml.away", "/etc/nss-iam/config.toml")
	s.Run("systemctl", "start", "nss-iam")
	// Who reloads learns that the file is wrong, and the daemon goes on.
	sound := s.Read("/etc/nss-iam/config.toml")
	s.Write("/etc/nss-iam/config.toml", "[login]\ngroups = developers\n", 0o644)
	if r := s.Try("systemctl", "reload", "nss-iam"); r.Code == 0 {
		s.t.Errorf("reloaded with a wrong configuration: %v", r)
	}
	if got := s.Run("systemctl", "is-active", "nss-iam"); got != "active" {
		s.t.Errorf("after a reload with a wrong configuration it is %s", got)
	}
	s.Write("/etc/nss-iam/config.toml", sound, 0o644)
}

// setUp is the way of a new host, against the clock.
func (s site) setUp() {
	s.publish(older)
	start := time.Now()
	apt(s.Host, "install", "nss-iam")
	s.Write("/etc/nss-iam/environment", s.environment(), 0o600)
	s.Write("/etc/nss-iam/publisher.key", s.f.key, 0o600)
	s.Write("/etc/nss-iam/config.toml", s.config(), 0o644)
	s.after = s.census()
	s.Run("iam-cachefill", "check-config")
	s.setup()
	s.Run("systemctl", "restart", "nss-iam")
	s.known("alice")
	if r := s.login(s.lasting, "alice", "alice", "id -un; pwd"); r.Stdout != "alice\n/home/alice\n" {
		s.t.Fatalf("login: %v\n%s", r, s.journal())
	}
	s.t.Logf("from installation to the first login: %v, on %d hosts at the same time",
		time.Since(start).Round(10*time.Millisecond), len(s.f.sites))
	if r := s.login(s.lasting, "alice", "alice", "sudo -n id -u"); r.Code == 0 {
		s.t.Errorf("alice is root: %v", r)
	}
	if r := s.login(s.lasting, "carol", "carol", "sudo -n id -u"); r.Stdout != "0\n" {
		s.t.Errorf("carol is not root: %v", r)
	}
	if r := s.login(s.lasting, "root", "root", "id -un"); r.Stdout != "root\n" {
		s.t.Errorf("root's own key: %v", r)
	}
	for person, user := range map[string]string{"mallory": "mallory", "bob": "alice", "alice": "root"} {
		if r := s.login(s.lasting, person, user, "id"); r.Code != 255 {
			s.t.Errorf("%s's key opens %s: %v", person, user, r)
		}
	}
	if got := s.Run("iam-cachefill", "setup"); !strings.Contains(got, "nothing to change") {
		s.t.Errorf("a second setup: %s", got)
	}
}

// setup runs setup, which must change nothing but what its rehearsal showed.
func (s site) setup() {
	s.t.Helper()
	before := s.census()
	shown := s.Run("iam-cachefill", "setup", "--dry-run")
	s.same("changed by setup --dry-run", before, true)
	for line := range strings.Lines(s.Run("iam-cachefill", "setup")) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "changed "); ok &&
			!strings.Contains(shown, "\n+++ b"+path+"\n") {
			s.t.Errorf("setup changed %s, which --dry-run did not show:\n%s", path, shown)
		}
	}
}

// known waits for a user to be served, with a home.
func (s site) known(name string) {
	s.t.Helper()
	s.Eventually(name+" is known and has a home", 5*time.Minute, func() bool {
		return s.Try("sh", "-c", "id "+name+" && test -d /home/"+name).Code == 0
	})
}

// A killer takes a program's place, and kills the setup that runs it when a
// file is there.
const killer = `#!/bin/sh
if [ -e FILE ]; then kill -9 $PPID; exit 1; fi
exec PROGRAM "$@"
`

func (s site) interrupt() {
	whole := s.census()
	s.Run("iam-cachefill", "setup", "--undo")
	s.same("left by setup --undo", s.after, true)
	for i, k := range []struct{ program, file string }{
		{"/usr/sbin/visudo", "/etc/sudoers.d/nss-iam"},
		{"/usr/sbin/sshd", "/etc/ssh/sshd_config.d/10-nss-iam.conf"},
	} {
		trap := "/usr/local/sbin/" + k.program[len("/usr/sbin/"):]
		s.Write(trap, strings.NewReplacer("FILE", k.file, "PROGRAM", k.program).Replace(killer), 0o755)
		r := s.Try("iam-cachefill", "setup")
		s.Run("rm", trap)
		if r.Code == 0 || s.Try("test", "-e", k.file).Code != 0 {
			s.t.Fatalf("setup was not killed after it had made %s: %v", k.file, r)
		}
		if r := s.login(s.lasting, "root", "root", "id -un"); r.Stdout != "root\n" {
			s.t.Errorf("root, between a killed setup and the next: %v", r)
		}
		if r := s.Try("iam-cachefill", "doctor"); r.Code != 1 || !strings.Contains(r.Stdout, "a setup was interrupted") {
			s.t.Errorf("doctor does not tell of a killed setup: %v", r.Stdout)
		}
		// The one is undone, the other begun again.
		verb := [][]string{{"--undo"}, nil}[i]
		if got := s.Run(append([]string{"iam-cachefill", "setup"}, verb...)...); !strings.Contains(got, "interrupted") {
			s.t.Errorf("setup %q says nothing of the killed one: %s", verb, got)
		}
		s.same("after the run that followed a killed one", []string{s.after, whole}[i], true)
	}

	s.Run("iam-cachefill", "setup", "--undo")
	r := s.Try("unshare", "--mount", "sh", "-ec", "mount --bind /etc /etc; mount -o remount,bind,ro /etc; exec "+
		"iam-cachefill setup")
	if r.Code != 1 || !strings.Contains(r.Stderr, "read-only file system") {
		s.t.Errorf("setup with a read-only /etc: %v", r)
	}
	s.same("after a setup that found /etc read-only", s.after, true)
	s.Run("iam-cachefill", "setup")
	s.same("after a last setup", whole, true)
	s.known("alice")
}

// examine breaks one thing after the other.
func (s site) examine() {
	well := func() bool { return s.Try("iam-cachefill", "doctor").Code == 0 }
	s.Eventually("doctor finds it well", 5*time.Minute, well)
	faults := []struct{ fault, fix string }{
		// the others are replaced now and then
		{"chmod 0666 /var/lib/nss-iam/state.db", "chmod 0600 /var/lib/nss-iam/state.db"},
		{"sed -i 's/ iam$//' /etc/nsswitch.conf", "iam-cachefill setup"},
		{"chmod g+w /usr/libexec/nss-iam", "chmod 0755 /usr/libexec/nss-iam"},
		{"rm /etc/ssh/sshd_config.d/10-nss-iam.conf", "iam-cachefill setup"},
		{"rm /etc/systemd/system/nss-iam.service.d/homes.conf", "iam-cachefill setup"},
		{"systemctl stop nss-iam", "systemctl enable --now nss-iam"},
	}
	for _, c := range faults {
		s.Run("sh", "-c", c.fault)
		if r := s.Try("iam-cachefill", "doctor"); r.Code != 1 || !strings.Contains(r.Stdout, "fix: "+c.fix) {
			s.t.Errorf("doctor after %q: %v\n%s", c.fault, r, r.Stdout)
		}
		s.Run("sh", "-c", c.fix)
	}
	s.Eventually("doctor finds it well again", 5*time.Minute, well)
}

// back lets the host reach IAM again.
func (s site) back() {
	s.Run("ip", "route", "del", "unreachable", testbed.PlaceAddress)
	s.Eventually("a refresh succeeds, and the status says so", 5*time.Minute, func() bool {
		refreshed := s.Try("iam-cachefill", "refresh").Code == 0
		// One that was under way may fail after it.
		last := s.status().Last
		return refreshed && last != nil && last.Error == "" && !last.Success.IsZero()
	})
}

func (s site) upgrade() {
	// Logins go on until the upgrade is through, and some more.
	loop := "while [ ! -e /run/enough ]; do " + strings.Join(s.ssh(s.lasting, "alice", "alice", "id -un"), " ") +
		" || echo refused; done; echo done"
	s.Run("rm", "-f", "/run/enough")
	logins := s.Start(nil, "sh", "-c", loop)
	s.Eventually("logins go on", 5*time.Minute, func() bool { return strings.Contains(logins.Output(), "alice\n") })
	s.publish(newer)
	apt(s.Host, "install", "nss-iam") // which is two packages now
	s.publish(newest)
	apt(s.Host, "upgrade")
	before := strings.Count(logins.Output(), "\n")
	s.Eventually("logins go on after the upgrade", 5*time.Minute,
		func() bool { return strings.Count(logins.Output(), "\n") > before+1 })
	s.Write("/run/enough", "", 0o644)
	logins.Wait(5 * time.Minute)
	lines := strings.Fields(logins.Output())
	if n := len(lines) - 1; slices.ContainsFunc(lines[:n], func(line string) bool { return line != "alice" }) ||
		lines[n] != "done" {
		s.t.Errorf("logins meanwhile: %q", lines)
	}
	s.t.Logf("%d logins meanwhile", len(lines)-1)
	if got := s.Run("systemctl", "is-active", "nss-iam"); got != "active" {
		s.t.Errorf("nss-iam.service is %s", got)
	}
	if got := s.Run("dpkg-query", "-W", "-f", "${Package} ${Version};", "nss-iam", "libnss-iam"); got != "libnss-iam "+
		newest+";nss-iam "+newest+";" {
		s.t.Errorf("after the upgrades: %s, want %s of each", got, newest)
	}
	if r := s.Try("test", "-e", "/usr/lib/libnss_iam.so.2"); r.Code == 0 {
		s.t.Error("the copy that answers during the upgrade is left")
	}
}

func (s site) purge() {
	s.Run("rm", "/etc/nss-iam/publisher.key") // not the package's
	apt(s.Host, "purge", "nss-iam", "libnss-iam")
	if got := s.Run("sshd", "-T"); got != s.sshd {
		s.t.Errorf("sshd's configuration: %q", differences(s.sshd, got))
	}
	s.same("left", s.before, false)
	if r := s.Try("id", "alice"); r.Code == 0 {
		s.t.Errorf("alice is still known: %v", r)
	}
	if r := s.Try("test", "-d", "/home/alice"); r.Code != 0 {
		s.t.Error("alice's home is gone")
	}
	if r := s.login(s.lasting, "root", "root", "id -un"); r.Stdout != "root\n" {
		s.t.Errorf("root's own key: %v", r)
	}
}

var chainRemedy = regexp.MustCompile(`sshd has another AuthorizedKeysCommand already: .* (chain = \[.*\]); ` +
	`then run setup again`)

// beside is a second life in short, in the company of programs that answer for
// users, too, and with homes made by PAM.
func (s site) beside() {
	for name, files := range s.further {
		var local []string
		for _, file := range files {
			local = append(local, "/opt/"+file[strings.LastIndex(file, "/")+1:])
			s.put(file, local[len(local)-1])
		}
		apt(s.Host, append([]string{"install"}, local...)...)
		s.t.Logf("with %s", name)
	}
	if s.release != "bullseye" && len(s.further) != 2 || s.further["nscd"] == nil {
		s.t.Errorf("there is only %v", s.further)
	}
	s.Run("systemctl", "start", "nscd")
	before := s.census()
	apt(s.Host, "install", "nss-iam")
	s.Write("/etc/nss-iam/environment", s.environment(), 0o600)
	s.Write("/etc/nss-iam/publisher.key", s.f.key, 0o600)
	config := strings.Replace(s.config(), `homes = "create"`, `homes = "pam"`, 1)
	s.Write("/etc/nss-iam/config.toml", config, 0o644)
	s.Run("rm", "-r", "/home/dave")
	refused := s.census()
	r := s.Try("iam-cachefill", "setup", "--dry-run")
	if remedy := chainRemedy.FindStringSubmatch(r.Stderr); remedy != nil {
		// Of late, systemd-userdbd has sshd ask it for keys.
		s.same("a refused setup", refused, true)
		s.Write("/etc/nss-iam/config.toml", strings.Replace(config, "[keys]\n", "[keys]\n"+remedy[1]+"\n", 1), 0o644)
	} else if r.Code != 0 {
		s.t.Fatal(r)
	}
	plain := s.plainPAM()
	const untouched = "/etc/pam.d/common-password"
	inode := s.Run("stat", "-c", "%i", untouched)
	s.setup()
	if got := s.pam(); got != plain {
		s.t.Errorf("setup makes of PAM:\n%s\nand pam-auth-update alone:\n%s", got, plain)
	}
	if s.Run("stat", "-c", "%i", untouched) != inode {
		s.t.Errorf("%s was written: pam-auth-update did not work on copies", untouched)
	}
	s.Run("systemctl", "restart", "nss-iam")
	s.known("alice")
	want := s.Run("getent", "-s", "passwd:iam", "passwd", "alice")
	if got := s.Run("getent", "passwd", "alice"); got != want {
		s.t.Errorf("nscd says %q, the module %q", got, want)
	}
	if got := s.Run("systemctl", "is-active", "nscd"); got != "active" {
		s.t.Errorf("nscd is %s", got)
	}
	if s.further["systemd-userdbd"] != nil {
		s.Run("systemctl", "start", "systemd-userdbd.socket")
		number := strings.Split(want, ":")[2]
		if got := s.Run("userdbctl", "user", "alice", "--output=classic", "--no-legend",
			"--no-pager"); !strings.HasPrefix(got, "alice:") || !strings.Contains(got, ":"+number+":") {
			s.t.Errorf("systemd-userdbd says %q, the module %q", got, want)
		}
	}
	if r := s.login(s.lasting, "dave", "dave", "id -un; pwd; ls -A"); !strings.HasPrefix(r.Stdout,
		"dave\n/home/dave\n") || !strings.Contains(r.Stdout, ".bashrc") {
		s.t.Errorf("login: %v\n%s", r, s.journal())
	}
	s.Run("rm", "/etc/nss-iam/publisher.key")
	apt(s.Host, "purge", "nss-iam", "libnss-iam")
	s.same("left", before, false)
}

// pam is all that pam-auth-update writes.
func (s site) pam() string {
	s.t.Helper()
	return s.Run("sh", "-c", `cd / && { find etc/pam.d var/lib/pam -type f -printf '%m %U %G ' -exec sha256sum {} \; && `+
		`debconf-show libpam-runtime; } | sort`)
}

// plainPAM is what pam-auth-update alone makes of PAM; the host is put back.
func (s site) plainPAM() (made string) {
	s.t.Helper()
	const folders = "etc/pam.d var/lib/pam var/cache/debconf"
	s.Run("sh", "-c", "tar -C / -cf /root/pam.tar "+folders)
	s.Run("env", "DEBIAN_FRONTEND=noninteractive", "pam-auth-update", "--package", "--enable", "nss-iam-account",
		"nss-iam")
	made = s.pam()
	s.Run("sh", "-c", "cd / && rm -r "+folders+" && tar -xf /root/pam.tar && rm /root/pam.tar")
	return made
}
