package cache

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// A tree reads what bbolt reads, in files of one page and of several levels.
func TestATreeReadsWhatBboltReads(t *testing.T) {
	for _, c := range []struct{ keys, size int }{{0, 0}, {1, 0}, {3, 40}, {40, 900}, {700, 30}, {5000, 60}, {60, 9000}} {
		t.Run(fmt.Sprintf("%d values of up to %d bytes", c.keys, c.size), func(t *testing.T) {
			random := rand.New(rand.NewPCG(7, uint64(c.keys)))
			path := filepath.Join(t.TempDir(), "db")
			db, err := bolt.Open(path, 0o600, &bolt.Options{PageSize: PageSize, NoFreelistSync: true, NoSync: true})
			must(t, err)
			must(t, db.Update(func(tx *bolt.Tx) error {
				for _, name := range []string{"first", "middle", "zlast"} {
					b, err := tx.CreateBucket([]byte(name))
					must(t, err)
					for range c.keys {
						key := fmt.Appendf(nil, "%x", random.Uint64())
						must(t, b.Put(key, bytes.Repeat([]byte{'v'}, random.IntN(c.size+1))))
					}
				}
				return nil
			}))
			// The database stays open, and keeps its lock.
			defer func() { _ = db.Close() }()
			must(t, db.View(func(tx *bolt.Tx) error { return view(path, func(file *tree) error { return equalTo(tx, file) }) }))
		})
	}
}

func equalTo(tx *bolt.Tx, file *tree) error {
	if file.bucket("no such bucket") != nil || file.bucket("") != nil {
		return errors.New("a bucket that is not there was found")
	}
	return tx.ForEach(func(name []byte, want *bolt.Bucket) error {
		got := file.bucket(string(name))
		if got == nil {
			return fmt.Errorf("no bucket %q", name)
		}
		cursor := want.Cursor()
		k, v := cursor.First()
		if err := got.each(func(key, value []byte) error {
			if !bytes.Equal(k, key) || !bytes.Equal(v, value) {
				return fmt.Errorf("got %q with %d bytes, bbolt has %q with %d", key, len(value), k, len(v))
			}
			if !bytes.Equal(got.get(string(key)), value) {
				return fmt.Errorf("%q is not found", key)
			}
			for _, other := range []string{string(key) + "\x00", string(key[:len(key)-1]), string(key[:1])} {
				if (got.get(other) == nil) != (want.Get([]byte(other)) == nil) {
					return fmt.Errorf("%q: found by one only", other)
				}
			}
			k, v = cursor.Next()
			return nil
		}); err != nil {
			return err
		}
		if k != nil {
			return fmt.Errorf("bbolt has %q besides", k)
		}
		if got.get("") != nil || got.get("~") != nil {
			return errors.New("a key that is not there was found")
		}
		return nil
	})
}

// A published file may be opened by others, and so be locked by them.
func TestNobodysLockHoldsUpAReader(t *testing.T) {
	dir := t.TempDir()
	publishCompany(t, dir, 50)
	if _, err := PublishKeys(dir, keyCompany(t), -1, testTime); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{NSSFile, KeysFile} {
		f, err := os.Open(filepath.Join(dir, name))
		must(t, err)
		defer func() { _ = f.Close() }()
		must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	}
	before, err := os.Stat(filepath.Join(dir, NSSFile))
	must(t, err)
	late := time.AfterFunc(time.Minute, func() { panic("a reader waits for somebody's lock") })
	defer late.Stop()
	for name, read := range map[string]func() error{
		"ReadMeta":   func() error { _, err := ReadMeta(dir); return err },
		"Verify":     func() error { return Verify(dir) },
		"ReadNSS":    func() error { _, _, err := ReadNSS(dir); return err },
		"ReadKeys":   func() error { _, _, err := ReadKeys(dir); return err },
		"LookupKeys": func() error { _, err := LookupKeys(dir, "alice"); return err },
		"PublishNSS": func() error {
			changed, err := PublishNSS(dir, company(50), testTime)
			if changed {
				return errors.New("an unchanged file was written again")
			}
			return err
		},
	} {
		if err := read(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	after, err := os.Stat(filepath.Join(dir, NSSFile))
	must(t, err)
	if !os.SameFile(before, after) {
		t.Error("the file was replaced")
	}
}
