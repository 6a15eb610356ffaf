package cache

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/crypto/ssh"

	"github.com/nss-iam/nss-iam/internal/keys"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

// edKey makes the n-th ed25519 key of the tests.
func edKey(tb testing.TB, n int) keys.Key {
	tb.Helper()
	seed := bytes.Repeat([]byte{byte(n), byte(n >> 8), 7, 9}, ed25519.SeedSize/4)
	pub, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed(seed).Public())
	if err != nil {
		tb.Fatal(err)
	}
	return keys.Key{ID: fmt.Sprintf("APKAEXAMPLE%09d", n), Type: pub.Type(), Blob: pub.Marshal()}
}

// keyCompany has a user with two keys, one with none, and a person who only
// enters the shared account.
func keyCompany(tb testing.TB) KeyTables {
	ending := edKey(tb, 2)
	ending.Expires = testTime.Add(time.Hour)
	return KeyTables{
		Policy: LoginPolicy{
			Online: "prefer", Timeout: 2 * time.Second, MaxStale: 24 * time.Hour, Range: testRange,
			Options: []string{"restrict", "pty"}, Chain: []string{"/usr/bin/other", "%u", "%f"},
		},
		Users: []UserKeys{
			{Name: "alice", UID: 2001000001, Login: true, Checked: testTime, Keys: []keys.Key{edKey(tb, 1), ending}},
			{Name: "bob", UID: 2001000002, Login: true, Checked: testTime},
			{Name: "operator", Checked: testTime, Keys: []keys.Key{edKey(tb, 3)}},
		},
		Shared: []SharedAccount{
			{Name: "ec2-user", Members: []string{"alice", "operator"}},
			{Name: "root", AllowRoot: true, Members: []string{"alice"}},
		},
	}
}

func TestKeysAreReadBackAsPublished(t *testing.T) {
	dir := t.TempDir()
	want := keyCompany(t)
	if changed, err := PublishKeys(dir, want, -1, testTime); err != nil || !changed {
		t.Fatalf("PublishKeys = %v, %v; want true, nil", changed, err)
	}
	got, meta, err := ReadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("ReadKeys = %+v\nwant %+v", got, want)
	}
	if meta.Generation != 1 || !meta.Written.Equal(testTime) {
		t.Errorf("meta = %+v, want generation 1 written at %v", meta, testTime)
	}
	info, err := os.Stat(filepath.Join(dir, KeysFile))
	if err != nil || info.Mode() != keysMode {
		t.Errorf("mode = %v, %v; want %v", info.Mode(), err, fs.FileMode(keysMode))
	}
}

func TestLookupKeysAnswersForOneName(t *testing.T) {
	dir := t.TempDir()
	in := keyCompany(t)
	if _, err := PublishKeys(dir, in, -1, testTime); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		want KeysAnswer
	}{
		{"alice", KeysAnswer{User: &in.Users[0]}},
		{"bob", KeysAnswer{User: &in.Users[1]}},
		{"operator", KeysAnswer{User: &in.Users[2]}},
		{"ec2-user", KeysAnswer{Shared: &in.Shared[0], Members: []UserKeys{in.Users[0], in.Users[2]}}},
		{"root", KeysAnswer{Shared: &in.Shared[1], Members: []UserKeys{in.Users[0]}}},
		{"nobody", KeysAnswer{}},
		{"Alice", KeysAnswer{}},
		{"", KeysAnswer{}},
	} {
		c.want.Policy = in.Policy
		got, err := LookupKeys(dir, c.name)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("LookupKeys(%q) = %+v, %v\nwant %+v", c.name, got, err, c.want)
		}
	}
}

func TestKeysAreWrittenOnlyWhenItMatters(t *testing.T) {
	later := func(d time.Duration) func(*KeyTables) {
		return func(k *KeyTables) { k.Users[0].Checked = testTime.Add(d) }
	}
	for _, c := range []struct {
		name   string
		change func(*KeyTables)
		want   bool
	}{
		{"the same again", func(*KeyTables) {}, false},
		{"a newer checked time", later(time.Second), true},
		{"an older checked time", later(-48 * time.Hour), false},
		{"a key less", func(k *KeyTables) { k.Users[0].Keys = k.Users[0].Keys[:1] }, true},
		{"another end of a key", func(k *KeyTables) { k.Users[0].Keys[0].Expires = testTime }, true},
		{"a user less", func(k *KeyTables) { k.Users = append(k.Users[:1:1], k.Users[2]) }, true},
		{"another uid", func(k *KeyTables) { k.Users[1].UID++ }, true},
		{"login taken away", func(k *KeyTables) { k.Users[1].Login, k.Users[1].UID = false, 0 }, true},
		{"a member less", func(k *KeyTables) { k.Shared[0].Members = k.Shared[0].Members[:1] }, true},
		{"root no longer allowed", func(k *KeyTables) { k.Shared[1].AllowRoot = false }, true},
		{"another policy", func(k *KeyTables) { k.Policy.Online = "require" }, true},
		{"no chain", func(k *KeyTables) { k.Policy.Chain = nil }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := PublishKeys(dir, keyCompany(t), -1, testTime); err != nil {
				t.Fatal(err)
			}
			next := keyCompany(t)
			c.change(&next)
			changed, err := PublishKeys(dir, next, -1, testTime.Add(time.Hour))
			if err != nil || changed != c.want {
				t.Fatalf("PublishKeys = %v, %v; want %v", changed, err, c.want)
			}
			got, meta, err := ReadKeys(dir)
			if err != nil {
				t.Fatal(err)
			}
			if c.want && (!reflect.DeepEqual(got, next) || meta.Generation != 2) {
				t.Errorf("the file holds generation %d %+v\nwant 2 %+v", meta.Generation, got, next)
			}
		})
	}
}

func TestCheckedTimesAloneAreWrittenNowAndThen(t *testing.T) {
	for _, c := range []struct {
		name             string
		maxStale         time.Duration
		written, was, is time.Duration // the file, and a checked time in it and now: before the moment of the question
		want             bool
	}{
		{"half a day newer, in a file just short of an hour old", 24 * time.Hour, time.Hour - time.Second, 12 * time.Hour, 0,
			false},
		{"half a day newer, in a file an hour old", 24 * time.Hour, time.Hour, 12 * time.Hour, 0, true},
		{"a second newer, in a file an hour old", 24 * time.Hour, time.Hour, time.Second, 0, true},
		{"where keys never grow old, in a file just short of an hour old", 0, time.Hour - time.Second, 12 * time.Hour, 0,
			false},
		{"where they do in two minutes, in a file of 14 seconds", 2 * time.Minute, 14 * time.Second, time.Minute, 0, false},
		{"where they do in two minutes, in a file of 15 seconds", 2 * time.Minute, 15 * time.Second, time.Minute, 0, true},
		{"after the clock was set back by a day", 24 * time.Hour, -24 * time.Hour, -24 * time.Hour, time.Second, true},
		{"older, and no clock was set back", 24 * time.Hour, 2 * time.Hour, time.Hour, 12 * time.Hour, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, now := t.TempDir(), testTime.Add(100*24*time.Hour)
			old := keyCompany(t)
			old.Policy.MaxStale, old.Users[0].Checked = c.maxStale, now.Add(-c.was)
			if _, err := PublishKeys(dir, old, -1, now.Add(-c.written)); err != nil {
				t.Fatal(err)
			}
			next := old
			next.Users = slices.Clone(old.Users)
			next.Users[0].Checked = now.Add(-c.is)
			if changed, err := PublishKeys(dir, next, -1, now); err != nil || changed != c.want {
				t.Errorf("PublishKeys = %v, %v; want %v", changed, err, c.want)
			}
		})
	}
}

func TestKeysThatNoReaderMayServeAreRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*KeyTables)
	}{
		{"uid 0", func(k *KeyTables) { k.Users[0].UID = 0 }},
		{"a uid outside the range", func(k *KeyTables) { k.Users[0].UID = 1000 }},
		{"a uid without login", func(k *KeyTables) { k.Users[2].UID = 2001000003 }},
		{"an empty name", func(k *KeyTables) { k.Users[0].Name = "" }},
		{"a user twice", func(k *KeyTables) { k.Users = append(k.Users, k.Users[0]) }},
		{"a member that is nobody", func(k *KeyTables) { k.Shared[0].Members = []string{"carol"} }},
		{"uid 0 for another account than root", func(k *KeyTables) { k.Shared[0].AllowRoot = true }},
		{"a key id with a line feed", func(k *KeyTables) { k.Users[0].Keys[0].ID = "A\nB" }},
		{"a key cut short", func(k *KeyTables) { k.Users[0].Keys[0].Blob = k.Users[0].Keys[0].Blob[:20] }},
		{"a key of another type", func(k *KeyTables) { k.Users[0].Keys[0].Type = "ssh-rsa" }},
		{"more keys than a user can have", func(k *KeyTables) {
			for range keys.MaxKeys {
				k.Users[1].Keys = append(k.Users[1].Keys, k.Users[0].Keys[0])
			}
			k.Users[1].Keys = append(k.Users[1].Keys, k.Users[0].Keys[0])
		}},
		{"an unknown online mode", func(k *KeyTables) { k.Policy.Online = "" }},
		{"an option with a value", func(k *KeyTables) { k.Policy.Options = []string{`command="id"`} }},
		{"a NUL in the chain", func(k *KeyTables) { k.Policy.Chain = []string{"/bin/a\x00b"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := PublishKeys(dir, keyCompany(t), -1, testTime); err != nil {
				t.Fatal(err)
			}
			bad := keyCompany(t)
			c.change(&bad)
			if changed, err := PublishKeys(dir, bad, -1, testTime); err == nil || changed {
				t.Fatalf("PublishKeys = %v, %v; want an error", changed, err)
			}
			if got, _, err := ReadKeys(dir); err != nil || !reflect.DeepEqual(got, keyCompany(t)) {
				t.Errorf("the previous file is not served any more: %+v, %v", got, err)
			}
		})
	}
}

// Whatever byte of a published file is changed, a lookup answers the truth, or
// nothing, or an error: never another answer.
func TestAChangedByteNeverChangesAnAnswer(t *testing.T) {
	unmet.Long(t, "every byte of a file is changed and the file read")
	dir := t.TempDir()
	if _, err := PublishKeys(dir, keyCompany(t), -1, testTime); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, KeysFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := LookupKeys(dir, "alice")
	if err != nil {
		t.Fatal(err)
	}
	absent := KeysAnswer{Policy: want.Policy}
	damaged := 0
	for at := 0; at < len(whole); at += 3 {
		if whole[at] == 0 && at%5 != 0 { // most of the file is empty space
			continue
		}
		changed := bytes.Clone(whole)
		changed[at] ^= 0x41
		if err := os.WriteFile(path, changed, 0o640); err != nil {
			t.Fatal(err)
		}
		got, err := LookupKeys(dir, "alice")
		switch {
		case err != nil:
			damaged++
			if !reflect.DeepEqual(got, KeysAnswer{}) {
				t.Fatalf("byte %d changed: error %v with an answer %+v", at, err, got)
			}
		case !reflect.DeepEqual(got, want) && !reflect.DeepEqual(got, absent):
			t.Fatalf("byte %d changed: %+v\nwant %+v", at, got, want)
		}
	}
	if damaged < 100 {
		t.Errorf("only %d changes were noticed", damaged)
	}
}

func TestForeignAndBrokenKeyFilesAreRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, path string)
		want  error
	}{
		{"no file", func(t *testing.T, path string) { must(t, os.Remove(path)) }, fs.ErrNotExist},
		{"a writable file", func(t *testing.T, path string) { must(t, os.Chmod(path, 0o660)) }, ErrForeign},
		{"a symbolic link", func(t *testing.T, path string) {
			must(t, os.Rename(path, path+".real"))
			must(t, os.Symlink(path+".real", path))
		}, ErrForeign},
		{"a folder", func(t *testing.T, path string) { must(t, os.Remove(path)); must(t, os.Mkdir(path, 0o755)) },
			ErrForeign},
		{"an empty file", func(t *testing.T, path string) { must(t, os.Truncate(path, 0)) }, ErrDamaged},
		{"half the file", func(t *testing.T, path string) { must(t, os.Truncate(path, 2*PageSize)) }, ErrDamaged},
		{"text", func(t *testing.T, path string) {
			must(t, os.WriteFile(path, bytes.Repeat([]byte("no cache\n"), 2000), 0o640))
		}, ErrDamaged},
		{"another version", func(t *testing.T, path string) {
			db, err := bolt.Open(path, 0o640, nil)
			must(t, err)
			must(t, db.Update(func(tx *bolt.Tx) error {
				return tx.Bucket([]byte(bucketKeysMeta)).Put([]byte("version"), []byte{2, 0, 0, 0})
			}))
			must(t, db.Close())
		}, ErrDamaged},
		{"a record moved to another name", func(t *testing.T, path string) {
			db, err := bolt.Open(path, 0o640, nil)
			must(t, err)
			must(t, db.Update(func(tx *bolt.Tx) error {
				b := tx.Bucket([]byte(bucketKeysUser))
				return b.Put([]byte("alice"), bytes.Clone(b.Get([]byte("bob"))))
			}))
			must(t, db.Close())
		}, ErrDamaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := PublishKeys(dir, keyCompany(t), -1, testTime); err != nil {
				t.Fatal(err)
			}
			c.spoil(t, filepath.Join(dir, KeysFile))
			got, err := LookupKeys(dir, "alice")
			if !errors.Is(err, c.want) || !reflect.DeepEqual(got, KeysAnswer{}) {
				t.Fatalf("LookupKeys = %+v, %v; want %v", got, err, c.want)
			}
			if c.name == "a folder" {
				return
			}
			if changed, err := PublishKeys(dir, keyCompany(t), -1, testTime); err != nil || !changed {
				t.Fatalf("PublishKeys = %v, %v; want the file replaced", changed, err)
			}
			if _, err := LookupKeys(dir, "alice"); err != nil {
				t.Errorf("LookupKeys after the repair: %v", err)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func BenchmarkPublishKeysOf5000Users(b *testing.B) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	pub, err := ssh.NewPublicKey(rsaKey.Public())
	if err != nil {
		b.Fatal(err)
	}
	all := KeyTables{Policy: keyCompany(b).Policy}
	for i := range 5000 {
		second := keys.Key{ID: fmt.Sprintf("APKARSAEXAMPLE%06d", i), Type: pub.Type(), Blob: pub.Marshal()}
		all.Users = append(all.Users, UserKeys{
			Name: fmt.Sprintf("user%04d", i), UID: 2001000000 + uint32(i), Login: true, Checked: testTime,
			Keys: []keys.Key{edKey(b, i), second},
		})
	}
	dir := b.TempDir()
	b.Run("changed", func(b *testing.B) {
		for b.Loop() {
			all.Users[0].UID ^= 1 << 20
			if changed, err := PublishKeys(dir, all, -1, testTime); err != nil || !changed {
				b.Fatal(changed, err)
			}
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		for b.Loop() {
			if changed, err := PublishKeys(dir, all, -1, testTime); err != nil || changed {
				b.Fatal(changed, err)
			}
		}
	})
	b.Run("lookup", func(b *testing.B) {
		for b.Loop() {
			if a, err := LookupKeys(dir, "user2500"); err != nil || a.User == nil {
				b.Fatal(a, err)
			}
		}
	})
}
