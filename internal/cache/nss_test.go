package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

var (
	testRange = accounts.Range{Low: 2001000000, High: 2146999999}
	testTime  = time.Unix(1700000000, 0)
)

// company returns n users, each with a private group, in one team per ten.
func company(n int) accounts.Tables {
	t := accounts.Tables{Range: testRange}
	teams := map[uint32]*accounts.Group{}
	for i := range n {
		uid, team := testRange.Low+uint32(i), testRange.Low+1000000+uint32(i/10)
		u := accounts.User{
			Name: fmt.Sprintf("user%05d", i), UID: uid, Gecos: "IAM user", Home: fmt.Sprintf("/home/user%05d", i),
			Shell: "/bin/bash", Former: i%97 == 96,
		}
		t.Groups = append(t.Groups, accounts.Group{Name: u.Name, GID: uid})
		if !u.Former {
			u.Groups = []uint32{team}
			if teams[team] == nil {
				teams[team] = &accounts.Group{Name: fmt.Sprintf("team%04d", i/10), GID: team}
			}
			teams[team].Members = append(teams[team].Members, u.Name)
		}
		t.Users = append(t.Users, u)
	}
	for i := range (n + 9) / 10 {
		if g := teams[testRange.Low+1000000+uint32(i)]; g != nil {
			t.Groups = append(t.Groups, *g)
		}
	}
	return t
}

func TestWhatIsPublishedIsReadBackEqual(t *testing.T) {
	for _, n := range []int{0, 1, 13, 2000} {
		t.Run(fmt.Sprintf("%d users", n), func(t *testing.T) {
			dir, want := t.TempDir(), company(n)
			if changed, err := PublishNSS(dir, want, testTime); err != nil || !changed {
				t.Fatalf("PublishNSS: changed %v, %v", changed, err)
			}
			got, meta, err := ReadNSS(dir)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("read back other tables than were published")
			}
			if meta.Generation != 1 || !meta.Written.Equal(testTime) || meta.Range != testRange {
				t.Errorf("meta = %+v", meta)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 1 {
				t.Errorf("the folder holds %v, %v, want nss.db alone", entries, err)
			}
			if info, _ := os.Stat(filepath.Join(dir, NSSFile)); info.Mode() != 0o644 || info.Size()%PageSize != 0 {
				t.Errorf("nss.db has mode %v and %d bytes", info.Mode(), info.Size())
			}
		})
	}
}

func TestPublishingTheSameTablesWritesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, NSSFile)
	publishCompany(t, dir, 5)
	before, _ := os.Stat(path)
	if changed, err := PublishNSS(dir, company(5), testTime.Add(time.Hour)); err != nil || changed {
		t.Fatalf("the same tables: changed %v, %v", changed, err)
	}
	if after, _ := os.Stat(path); !os.SameFile(before, after) {
		t.Error("the same tables replaced the file")
	}
	if changed, err := PublishNSS(dir, company(6), testTime); err != nil || !changed {
		t.Fatalf("other tables: changed %v, %v", changed, err)
	}
	if m, err := ReadMeta(dir); err != nil || m.Generation != 2 {
		t.Errorf("generation %d, %v, want 2", m.Generation, err)
	}
}

func publishCompany(t *testing.T, dir string, n int) {
	t.Helper()
	if _, err := PublishNSS(dir, company(n), testTime); err != nil {
		t.Fatal(err)
	}
}

func TestAFileThatIsNotOursIsReportedAndReplaced(t *testing.T) {
	write := func(b []byte) func(string) error {
		return func(path string) error { return os.WriteFile(path, b, 0o644) }
	}
	flip := func(offset int64) func(string) error {
		return func(path string) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if offset < 0 {
				offset += int64(len(b))
			}
			b[offset] ^= 0x40
			return os.WriteFile(path, b, 0o644)
		}
	}
	for _, c := range []struct {
		name string
		do   func(path string) error
		want error
	}{
		{"no file", os.Remove, fs.ErrNotExist},
		{"an empty file", write(nil), ErrDamaged},
		{"text", write([]byte(strings.Repeat("hello ", 4000))), ErrDamaged},
		{"zeros", write(make([]byte, 64<<10)), ErrDamaged},
		{"cut to its metas", func(p string) error { return os.Truncate(p, 2*PageSize) }, ErrDamaged},
		{"cut by one page", func(p string) error { info, _ := os.Stat(p); return os.Truncate(p, info.Size()-PageSize) },
			ErrDamaged},
		{"one bit changed in the last page", flip(-PageSize + 200), ErrDamaged},
		{"one bit changed in a data page", flip(4*PageSize + 100), ErrDamaged},
		{"writable by its group", func(p string) error { return os.Chmod(p, 0o664) }, ErrForeign},
		{"a symbolic link", func(p string) error {
			return errors.Join(os.Rename(p, p+".x"), os.Symlink(p+".x", p))
		}, ErrForeign},
		{"a folder", func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o755)) }, ErrForeign},
		{"readable by its owner alone", func(p string) error { return os.Chmod(p, 0o600) }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			publishCompany(t, dir, 300)
			path := filepath.Join(dir, NSSFile)
			if err := c.do(path); err != nil {
				t.Fatal(err)
			}
			if err := Verify(dir); !errors.Is(err, c.want) {
				t.Errorf("Verify: %v, want %v", err, c.want)
			}
			if _, _, err := ReadNSS(dir); errors.Is(c.want, ErrForeign) && !errors.Is(err, ErrForeign) {
				t.Errorf("ReadNSS: %v, want ErrForeign", err)
			}
			if c.name == "a folder" {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
			if changed, err := PublishNSS(dir, company(300), testTime); err != nil || !changed {
				t.Fatalf("PublishNSS over it: changed %v, %v", changed, err)
			}
			if err := Verify(dir); err != nil {
				t.Errorf("after publishing again: %v", err)
			}
		})
	}
}

func TestEveryBitOfTheFileIsCheckedOrHarmless(t *testing.T) {
	unmet.Long(t, "every bit of a file is flipped and the file read")
	dir := t.TempDir()
	publishCompany(t, dir, 30)
	path := filepath.Join(dir, NSSFile)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := company(30)
	for offset := 0; offset < len(good); offset += 7 {
		bad := append([]byte(nil), good...)
		bad[offset] ^= 1 << (offset % 8)
		if err := os.WriteFile(path, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		if Verify(dir) != nil {
			continue
		}
		got, meta, err := ReadNSS(dir)
		if err != nil || (!reflect.DeepEqual(got, want) && meta.Range == testRange) {
			t.Fatalf("byte %d changed: Verify found nothing, ReadNSS gives other tables (%v)", offset, err)
		}
	}
}

func TestWhatNoReaderWouldServeIsRefusedByNameAndTheFileKept(t *testing.T) {
	user := func(change func(*accounts.User)) accounts.Tables {
		tables := company(3)
		change(&tables.Users[1])
		return tables
	}
	group := func(change func(*accounts.Group)) accounts.Tables {
		tables := company(3)
		change(&tables.Groups[3])
		return tables
	}
	for _, c := range []struct {
		name, want string
		tables     accounts.Tables
	}{
		{"uid 0", `user "user00001": id 0 lies outside`, user(func(u *accounts.User) { u.UID = 0 })},
		{"a uid below the range", "id 1000 lies outside", user(func(u *accounts.User) { u.UID = 1000 })},
		{"the uid -1", "id 4294967295 lies outside", user(func(u *accounts.User) { u.UID = 1<<32 - 1 })},
		{"a colon in the home", `user "user00001": field`, user(func(u *accounts.User) { u.Home = "/home/a:b" })},
		{"a newline in the gecos", `user "user00001": field`, user(func(u *accounts.User) { u.Gecos = "a\nroot::0:0" })},
		{"a NUL in the shell", `user "user00001": field`, user(func(u *accounts.User) { u.Shell = "/bin/\x00" })},
		{"an empty name", "empty name", user(func(u *accounts.User) { u.Name = "" })},
		{"a slash in the name", "forbids", user(func(u *accounts.User) { u.Name = "../x" })},
		{"a name of 33 bytes", "longer than 32", user(func(u *accounts.User) { u.Name = strings.Repeat("x", 33) })},
		{"two users of one name", `key "user00000" twice`, user(func(u *accounts.User) { u.Name = "user00000" })},
		{"two users of one uid", "twice", user(func(u *accounts.User) { u.UID = testRange.Low })},
		{"supplementary group 0", "supplementary gid 0", user(func(u *accounts.User) { u.Groups = []uint32{0} })},
		{"gid 0", `group "team0000": id 0`, group(func(g *accounts.Group) { g.GID = 0 })},
		{"a member with a comma", `group "team0000": member "a,b"`,
			group(func(g *accounts.Group) { g.Members = []string{"a,b"} })},
		{"two groups of one gid", "twice", group(func(g *accounts.Group) { g.GID = testRange.Low })},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			publishCompany(t, dir, 2)
			_, err := PublishNSS(dir, c.tables, testTime)
			if err == nil || !strings.Contains(err.Error(), c.want) ||
				!strings.Contains(err.Error(), "keeping the previous file") {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if got, _, err := ReadNSS(dir); err != nil || !reflect.DeepEqual(got, company(2)) {
				t.Errorf("the served file changed (%v)", err)
			}
		})
	}
}

func TestWhatAKilledPublisherLeftIsCleared(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".nss.db.build", ".nss.db.new"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half a file"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	publishCompany(t, dir, 3)
	entries, _ := os.ReadDir(dir)
	if len(entries) != 1 {
		t.Errorf("the folder holds %v, want nss.db alone", entries)
	}
}

func BenchmarkPublishNSS(b *testing.B) {
	for _, n := range []int{5000, 100000} {
		b.Run(fmt.Sprintf("%d users", n), func(b *testing.B) {
			dir, tables := b.TempDir(), [2]accounts.Tables{company(n), company(n - 1)}
			for i := 0; b.Loop(); i++ {
				if _, err := PublishNSS(dir, tables[i%2], testTime); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
