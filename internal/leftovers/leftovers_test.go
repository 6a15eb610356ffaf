package leftovers

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/nss-iam/nss-iam/tests/unmet"
)

const aliceUID = 2001000001

func keyLine(t *testing.T, n byte) (line, fingerprint string) {
	t.Helper()
	key, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune('a'+n)), 32))).Public())
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))), ssh.FingerprintSHA256(key)
}

// find makes the files and returns what is found, where without the root.
func find(t *testing.T, files map[string]string, p Person, accounts ...Account) (where []string, found []Leftover) {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	found, faults := Find(root, p, accounts)
	for _, err := range faults {
		t.Error(err)
	}
	for _, l := range found {
		if l.What == "" || l.Remedy == "" {
			t.Errorf("without reason or remedy: %+v", l)
		}
		where = append(where, strings.TrimPrefix(l.Where, root))
	}
	slices.Sort(where)
	return where, found
}

func TestWhatLocalFilesGrantToTheNameIsFound(t *testing.T) {
	alice := Person{Names: []string{"alice", "alice@example.com"}, UIDs: []uint32{aliceUID}}
	for name, test := range map[string]struct {
		path, text string
		lines      string // as found, or "" for nothing
	}{
		"a local group": {"/etc/group", "root:x:0:\ndocker:x:990:bob,alice\n", "/etc/group:2"},
		"a longer name": {"/etc/group", "docker:x:990:malice,alice2,alice-x,x.alice\n", ""},
		"a rule of sudo": {"/etc/sudoers.d/ops", "# alice was here\nalice ALL=(ALL) NOPASSWD: ALL\n",
			"/etc/sudoers.d/ops:2"},
		"a rule of sudo by number": {"/etc/sudoers", "#2001000001 ALL=(ALL) ALL\n#20010000011 ALL=(ALL) ALL\n",
			"/etc/sudoers:1"},
		"a rule of sudo in capitals": {"/etc/sudoers", "ALICE ALL=(ALL) ALL\n", "/etc/sudoers:1"},
		"a job of cron":              {"/etc/cron.d/job", "* * * * * alice /bin/true\n", "/etc/cron.d/job:1"},
		"a path that holds the name": {"/etc/cron.d/job", "* * * * * root /home/alice/job\n", ""},
		"sshd's own list": {"/etc/ssh/sshd_config.d/x.conf", "AllowUsers bob alice\n",
			"/etc/ssh/sshd_config.d/x.conf:1"},
		"a directory name": {"/etc/security/access.conf", "+:alice@example.com:ALL\n",
			"/etc/security/access.conf:1"},
		"a comment": {"/etc/sudoers", "# alice\n", ""},
		"a crontab": {"/var/spool/cron/crontabs/alice", "* * * * * true\n",
			"/var/spool/cron/crontabs/alice"},
		"a crontab where RHEL has them": {"/var/spool/cron/alice", "* * * * * true\n", "/var/spool/cron/alice"},
		"linger":                        {"/var/lib/systemd/linger/alice", "", "/var/lib/systemd/linger/alice"},
		"a unit of systemd": {"/etc/systemd/system/x.service", "[Service]\nUser=alice\nExecStart=/home/alice/x\n",
			"/etc/systemd/system/x.service:2"},
		"somebody else's linger":     {"/var/lib/systemd/linger/bob", "", ""},
		"a process begun by sudo":    {"/proc/77/loginuid", "2001000001", "process 77"},
		"a process of somebody else": {"/proc/77/loginuid", "1000", ""},
	} {
		t.Run(name, func(t *testing.T) {
			where, found := find(t, map[string]string{test.path: test.text, "/proc/77/comm": "bash\n"}, alice)
			if got := strings.Join(where, " "); got != test.lines {
				t.Errorf("got %q, want %q: %+v", got, test.lines, found)
			}
		})
	}
}

func TestNamesThatArePathsAreNotFollowed(t *testing.T) {
	files := map[string]string{"/etc/passwd": "root:x:0:0::/root:/bin/sh\n", "/var/spool/cron/crontabs/bob": ""}
	if where, _ := find(t, files, Person{Names: []string{"", "..", "../../../etc/passwd", "a\x00b"}}); where != nil {
		t.Errorf("got %q", where)
	}
}

func TestTheKeysOfThePersonInOtherAccountsAreFound(t *testing.T) {
	listed, listedPrint := keyLine(t, 0)
	kept, _ := keyLine(t, 1)
	other, _ := keyLine(t, 2)
	where, found := find(t, map[string]string{
		"/home/alice/.ssh/authorized_keys": kept + " home\n",
		"/home/ubuntu/.ssh/authorized_keys": "# keys\n" + other + " bob@laptop\n" + `from="10.0.0.1" ` + listed + " x\n" +
			kept + " y\n",
		"/root/.ssh/authorized_keys2":    other + " alice@laptop\n",
		"/mnt/auto/.ssh/authorized_keys": kept + "\n",
		"/proc/self/mountinfo": "30 1 0:30 / /mnt/auto rw - autofs auto rw\n" +
			"31 1 0:31 / /home rw - ext4 /dev/x rw\n",
	}, Person{Names: []string{"alice"}, Homes: []string{"/home/alice"}, Fingerprints: []string{listedPrint}},
		Account{"ubuntu", "/home/ubuntu"}, Account{"root", "/root"}, Account{"alice", "/home/alice"},
		Account{"far", "/mnt/auto"}, Account{"none", "/nonexistent"}, Account{"odd", "relative"})
	want := "/home/ubuntu/.ssh/authorized_keys:3 /home/ubuntu/.ssh/authorized_keys:4 /mnt/auto " +
		"/root/.ssh/authorized_keys2:1"
	if got := strings.Join(where, " "); got != want {
		t.Errorf("got  %s\nwant %s\n%+v", got, want, found)
	}
}

func TestAFifoInAHomeHoldsNobodyUp(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "home/bob/.ssh")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "authorized_keys"), 0o600); err != nil {
		t.Fatal(err)
	}
	if found, faults := Find(root, Person{Names: []string{"alice"}}, []Account{{"bob", "/home/bob"}}); found != nil ||
		faults != nil {
		t.Errorf("got %v, %v", found, faults)
	}
}

func TestJobsOfAtAreFoundByTheirOwner(t *testing.T) {
	unmet.Root(t, "only root can give a file to somebody")
	root := t.TempDir()
	dir := filepath.Join(root, "var/spool/cron/atjobs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, uid := range map[string]int{"a0001": aliceUID, "a0002": 1000} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Chown(filepath.Join(dir, name), uid, 0); err != nil {
			t.Fatal(err)
		}
	}
	found, faults := Find(root, Person{Names: []string{"alice"}, UIDs: []uint32{aliceUID}}, nil)
	if len(found) != 1 || filepath.Base(found[0].Where) != "a0001" || faults != nil {
		t.Errorf("got %v, %v", found, faults)
	}
}

func TestTheAccountsOfPasswdAreRead(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("root:x:0:0:root:/root:/bin/bash\nbroken\n"+
		"u:x:1:1::/home/u/:/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := Accounts(root)
	if want := []Account{{"root", "/root"}, {"u", "/home/u"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestWhatAMailServerRunsIsFoundInTheHome(t *testing.T) {
	files := map[string]string{"/home/alice/.forward": "|id\n", "/home/bob/.forward": "|id\n"}
	where, _ := find(t, files, Person{Names: []string{"alice"}, Homes: []string{"/home/alice"}})
	if !slices.Equal(where, []string{"/home/alice/.forward"}) {
		t.Errorf("got %q", where)
	}
}

func TestAKeyBehindMuchTextIsNotSaidToBeAbsent(t *testing.T) {
	root := t.TempDir()
	key, sum := keyLine(t, 0)
	if err := os.MkdirAll(filepath.Join(root, "root/.ssh"), 0o755); err != nil {
		t.Fatal(err)
	}
	for size, want := range map[int]bool{maxFile - len(key) - 1: false, maxFile: true} {
		text := strings.Repeat("#\n", size/2) + key + "\n"
		if err := os.WriteFile(filepath.Join(root, "root/.ssh/authorized_keys"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		found, faults := Find(root, Person{Fingerprints: []string{sum}}, []Account{{"root", "/root"}})
		if told := len(faults) == 1 && strings.Contains(faults[0].Error(), "was not looked at"); told != want ||
			(len(found) == 1) == want {
			t.Errorf("behind %d bytes: found %+v, faults %v; want a fault: %v", size, found, faults, want)
		}
	}
}

func TestALinkMakesNobodyElsesKeysThePersons(t *testing.T) {
	root := t.TempDir()
	key, sum := keyLine(t, 0)
	for _, dir := range []string{"root/.ssh", "home/alice/.ssh"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	rootsKeys := filepath.Join(root, "root/.ssh/authorized_keys")
	if err := os.WriteFile(rootsKeys, []byte(key+" of root\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(rootsKeys, filepath.Join(root, "home/alice/.ssh/authorized_keys")); err != nil {
		t.Fatal(err)
	}
	alice := Person{Names: []string{"alice"}, Homes: []string{"/home/alice"}}
	if found, faults := Find(root, alice, []Account{{"root", "/root"}}); len(found) > 0 || len(faults) > 0 {
		t.Errorf("found %+v, faults %v: %s is root's", found, faults, sum)
	}
}
