// Package programs shows what numbers as large as ours do to programs that are
// not ours: each line of "What large uids do to other programs" in
// docs/operations.md that a machine can show. It imports no internal package.
package programs

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// A site is a host that serves alice, and Alice.Smith, who has capitals.
type site struct {
	*testbed.Host
	sshd *testbed.SSHD
	uid  uint64
}

func newSite(t *testing.T) site {
	t.Helper()
	testbed.RequireArtifacts(t, "cpio", "tar", "python3", "rsync", "newuidmap", "systemd-sysusers", "lastlog")
	s := site{Host: testbed.NewHost(t)}
	s.Install()
	iam := s.StartIAM(testbed.Company{
		Groups: []testbed.Group{{Name: "developers"}},
		Users: []testbed.User{
			{Name: "alice", Groups: []string{"developers"},
				Keys: []testbed.IAMKey{{Body: testbed.NewKey(t, "ed25519", "alice").Public}}},
			{Name: "Bob.Smith", Groups: []string{"developers"}},
		},
	})
	s.Configure(iam.Source() + "\n[login]\ngroups = [\"developers\"]\n")
	s.Refreshed()
	uid, err := strconv.ParseUint(s.Run("id", "-u", "alice"), 10, 32)
	if err != nil || uid < 2_000_000_000 {
		t.Fatalf("alice has uid %d, %v", uid, err)
	}
	s.uid = uid
	s.Write("/srv/f", "hers\n", 0o644)
	s.Run("chown", "alice:alice", "/srv/f")
	return s
}

func TestWhatLargeUidsDoToOtherPrograms(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct {
		name string
		try  func(*testing.T, site)
	}{
		{"tar's ustar and v7 refuse the file, and gnu and pax keep its owner", tars},
		{"Python's tarfile refuses ustar, and keeps the owner by default", tarfiles},
		{"cpio's old formats store another owner and say nothing", cpios},
		{"lastlog grows to half a terabyte of holes", lastlogs},
		{"a user namespace of further ids, as rootless podman makes it, needs a line in subuid", namespaces},
		{"sysusers.d knows no name with a dot", sysusers},
	} {
		t.Run(c.name, func(t *testing.T) { c.try(t, site{s.On(t), s.sshd, s.uid}) })
	}
}

func tars(t *testing.T, s site) {
	for _, format := range []string{"ustar", "v7"} {
		if r := s.Try("tar", "-C", "/srv", "--format="+format, "-cf", "/tmp/a.tar", "f"); r.Code == 0 ||
			!strings.Contains(r.Stderr, "out of uid_t range") {
			t.Errorf("%s: %v", format, r)
		}
	}
	for _, format := range []string{"gnu", "pax"} {
		s.Run("tar", "-C", "/srv", "--format="+format, "-cf", "/tmp/a.tar", "f")
		if got := s.Run("tar", "--numeric-owner", "-tvf", "/tmp/a.tar"); !strings.Contains(got,
			fmt.Sprintf(" %d/%d ", s.uid, s.uid)) {
			t.Errorf("%s: %s", format, got)
		}
	}
}

// pack is a program of Python that packs a file and prints whose it is in the archive.
const pack = `import sys, tarfile
with tarfile.open("/tmp/p.tar", "w", **({"format": getattr(tarfile, sys.argv[1])} if sys.argv[1] else {})) as t:
	t.add("/srv/f", "f")
print(*((m.uid, m.uname) for m in tarfile.open("/tmp/p.tar")))`

func tarfiles(t *testing.T, s site) {
	if r := s.Try("python3", "-c", pack, "USTAR_FORMAT"); r.Code == 0 || !strings.Contains(r.Stderr, "overflow in "+
		"number field") {
		t.Errorf("ustar: %v", r)
	}
	for _, format := range []string{"", "PAX_FORMAT", "GNU_FORMAT"} {
		if got, want := s.Run("python3", "-c", pack, format), fmt.Sprintf("(%d, 'alice')", s.uid); got != want {
			t.Errorf("%q: %s, want %s", format, got, want)
		}
	}
	// Who extracts as root gets the owner by name, as tar does.
	s.Run("python3", "-c", `import tarfile; tarfile.open("/tmp/p.tar").extractall("/tmp/out")`)
	if got := s.Run("stat", "-c", "%U", "/tmp/out/f"); got != "alice" {
		t.Errorf("extracted, the file is %s's", got)
	}
}

func cpios(t *testing.T, s site) {
	for format, want := range map[string]uint64{"-H newc": s.uid, "-H crc": s.uid, "-H bin": s.uid & 0xFFFF,
		"": s.uid & 0xFFFF, "-H odc": s.uid & 0o777777} {
		r := s.Try("sh", "-c", "cd /srv && echo f | cpio -o "+format+" >/tmp/a.cpio")
		if r.Code != 0 || strings.Contains(r.Stderr, "range") {
			t.Errorf("%s: %v", format, r)
		}
		got := strings.Fields(s.Run("sh", "-c", "cpio -itvn </tmp/a.cpio 2>/dev/null"))
		if len(got) < 4 {
			t.Fatalf("%s: %q", format, got)
		}
		owner, err := strconv.ParseUint(got[2], 10, 64)
		// GNU cpio writes fewer bits of the owner into odc than it has room for.
		if err != nil || (owner == s.uid) != (want == s.uid) || want != s.uid && owner&0xFFFF != s.uid&0xFFFF {
			t.Errorf("%s: owner %s, alice is %d", format, got[2], s.uid)
		}
	}
}

// size is the apparent size of a file and what it takes on the disk.
func size(t *testing.T, s site, name string) (apparent, taken uint64) {
	t.Helper()
	if _, err := fmt.Sscanf(s.Run("stat", "-c", "%s %b", name), "%d %d", &apparent, &taken); err != nil {
		t.Fatal(err)
	}
	return apparent, taken * 512
}

func lastlogs(t *testing.T, s site) {
	const file = "/var/log/lastlog"
	s.Write(file, "", 0o664)
	s.Run("lastlog", "-S", "-u", "alice")
	apparent, taken := size(t, s, file)
	if want := (s.uid + 1) * 292; apparent != want || taken > 1<<20 {
		t.Errorf("lastlog appears to have %d bytes, want %d, and takes %d", apparent, want, taken)
	}
	// What reads holes as zeros would write half a terabyte; these do not.
	s.Run("tar", "-C", "/var/log", "-S", "-cf", "/tmp/log.tar", "lastlog")
	if _, archive := size(t, s, "/tmp/log.tar"); archive > 1<<20 {
		t.Errorf("tar -S made %d bytes of it", archive)
	}
	// rsync reads the holes: that takes an hour of half a terabyte, so a smaller one is copied.
	s.Run("truncate", "-s", "1G", "/tmp/holes")
	s.Run("rsync", "-S", "/tmp/holes", "/tmp/copied")
	if apparent, copied := size(t, s, "/tmp/copied"); apparent != 1<<30 || copied > 1<<20 {
		t.Errorf("rsync -S made %d bytes of a hole of %d", copied, apparent)
	}
	// sshd writes it, too, at a login with a terminal, whatever login.defs says.
	s.Write(file, "", 0o664)
	sshd := s.StartSSHD("UsePAM no")
	login := append([]string{"ssh", "-tt", "-o", "User=alice"}, sshd.Client(testbed.NewKey(t, "ed25519", "alice"))...)
	s.Run(append(login, "true")...)
	if apparent, _ := size(t, s, file); apparent != (s.uid+1)*292 {
		t.Errorf("after a login with a terminal lastlog has %d bytes", apparent)
	}
	// The limit keeps lastlog(8) and pam_lastlog from such entries.
	s.Run("sh", "-c", "echo LASTLOG_UID_MAX 60000 >>/etc/login.defs; : >"+file)
	s.Try("lastlog", "-S", "-u", "alice")
	if apparent, _ := size(t, s, file); apparent != 0 {
		t.Errorf("with LASTLOG_UID_MAX lastlog has %d bytes", apparent)
	}
}

// mapIDs makes a user namespace of alice's and gives it 65536 further ids, as
// podman does.
const mapIDs = `unshare --user sleep 20 & p=$!
until test "$(readlink /proc/$p/ns/user)" != "$(readlink /proc/self/ns/user)"; do sleep 0.1; done
newuidmap $p 0 $(id -u) 1 1 700000000 65536 && newgidmap $p 0 $(id -g) 1 1 700000000 65536; r=$?
kill $p; exit $r`

func namespaces(t *testing.T, s site) {
	if r := s.TryAs("alice", "sh", "-c", mapIDs); r.Code == 0 {
		t.Errorf("without a line: %v", r)
	}
	s.Run("usermod", "--add-subuids", "700000000-700065535", "--add-subgids", "700000000-700065535", "alice")
	for _, name := range []string{"/etc/subuid", "/etc/subgid"} {
		if got := s.Read(name); !strings.Contains(got, "alice:700000000:65536\n") {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := s.Read("/etc/passwd"); strings.Contains(got, "alice") {
		t.Errorf("usermod wrote into /etc/passwd:\n%s", got)
	}
	if r := s.TryAs("alice", "sh", "-c", mapIDs); r.Code != 0 {
		t.Errorf("with the lines: %v", r)
	}
}

func sysusers(t *testing.T, s site) {
	s.Write("/run/sysusers.conf", "m Bob.Smith adm\n", 0o644)
	if r := s.Try("systemd-sysusers", "--dry-run", "/run/sysusers.conf"); !strings.Contains(r.Stderr, "not a valid user") {
		t.Errorf("a name with a dot: %v", r)
	}
	s.Write("/run/sysusers.conf", "m alice adm\n", 0o644)
	if r := s.Try("systemd-sysusers", "--dry-run", "/run/sysusers.conf"); strings.Contains(r.Stderr, "not a valid") {
		t.Errorf("alice: %v", r)
	}
}
