package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/nss-iam/nss-iam/internal/cache"
)

// people are the keys and values of the five buckets.
type people map[string]map[string][]byte

// write makes a bbolt file that the reader takes for a cache file. A fill of 0
// leaves bbolt's own.
func write(t testing.TB, p people, fill float64) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nss.db")
	db, err := bolt.Open(path, 0o644, &bolt.Options{PageSize: cache.PageSize, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bolt.Tx) error {
		meta, err := tx.CreateBucket([]byte("meta"))
		if err != nil {
			return err
		}
		if err := errors.Join(meta.Put([]byte("version"), []byte{cache.Version, 0, 0, 0}),
			meta.Put([]byte("range"), binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, 65536),
				2147352575))); err != nil {
			return err
		}
		for _, name := range indexed {
			b, err := tx.CreateBucket([]byte(name))
			if err != nil {
				return err
			}
			if fill != 0 {
				b.FillPercent = fill
			}
			for k, v := range p[name] {
				if err := b.Put([]byte(k), v); err != nil {
					return err
				}
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	// As the writer publishes it: both meta pages lead to the same root.
	var out bytes.Buffer
	if err := db.View(func(tx *bolt.Tx) error { _, err := tx.WriteTo(&out); return err }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// agree compares the C reader with bbolt on every key, on keys that are not
// there, and on the order from every key on.
func agree(t *testing.T, data []byte, absent [][]byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nss.db")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	r, err := open(data)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	_ = db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, want *bolt.Bucket) error {
			got, err := r.bucket(string(name))
			if err != nil {
				t.Fatalf("bucket %q: %v", name, err)
			}
			c := want.Cursor()
			for k, v := c.First(); k != nil; k, v = c.Next() {
				if value, err := got.get(k); err != nil || !bytes.Equal(value, v) {
					t.Fatalf("bucket %q: key %q: got %d bytes, %v; want %d", name, k, len(value), err, len(v))
				}
				absent := append(bytes.Clone(k), 0)
				key, value, err := got.seek(absent)
				next, nextValue := want.Cursor().Seek(absent)
				if next == nil && !errors.Is(err, errAbsent) || next != nil && (err != nil || !bytes.Equal(key, next) ||
					!bytes.Equal(value, nextValue)) {
					t.Fatalf("bucket %q: after key %q: got %q, %v; want %q", name, k, key, err, next)
				}
			}
			for _, k := range absent {
				if want.Get(k) != nil {
					continue
				}
				if _, err := got.get(k); !errors.Is(err, errAbsent) {
					t.Fatalf("bucket %q: absent key %q: %v", name, k, err)
				}
				key, _, err := got.seek(k)
				next, _ := want.Cursor().Seek(k)
				if next == nil && !errors.Is(err, errAbsent) || next != nil && (err != nil || !bytes.Equal(key, next)) {
					t.Fatalf("bucket %q: from %q: got %q, %v; want %q", name, k, key, err, next)
				}
			}
			return nil
		})
	})
}

// crowd returns n keys of a value each in every bucket.
func crowd(n, value int) people {
	p := people{}
	for _, name := range indexed {
		p[name] = map[string][]byte{}
		for i := range n {
			k := fmt.Sprintf("user%d", i*7919%100003)
			p[name][k] = bytes.Repeat([]byte(k), 1+value/len(k))
		}
	}
	return p
}

var nobody = [][]byte{[]byte("a"), []byte("user"), []byte("user0x"), []byte("user99999999"), []byte("zzz"), {0},
	{0xff, 0xff}}

func TestTheReaderAgreesWithBbolt(t *testing.T) {
	for _, c := range []struct {
		name string
		p    people
		fill float64
	}{
		{"empty buckets", people{}, 0},
		{"one key, an inline bucket", crowd(1, 10), 0},
		{"a few keys, inline buckets", crowd(5, 10), 0},
		{"one page", crowd(40, 10), 0},
		{"a branch", crowd(2000, 60), 0},
		{"a deep tree", crowd(3000, 60), 0.1},
		{"values with overflow pages", crowd(20, 9000), 0},
		{"a value of a megabyte among others", crowd(3, 1<<20), 0},
	} {
		t.Run(c.name, func(t *testing.T) { agree(t, write(t, c.p, c.fill), nobody) })
	}
}

func FuzzTheReaderAgreesWithBbolt(f *testing.F) {
	f.Add([]byte("alice\x00bob\x00al\x00"), uint16(10), uint8(50))
	f.Add([]byte("a\x00aa\x00aaa\x00aaaa\x00"), uint16(3000), uint8(10))
	f.Fuzz(func(t *testing.T, keys []byte, size uint16, fill uint8) {
		p := people{"passwd.name": {}, "initgroups": {}}
		var all [][]byte
		for i, k := range bytes.Split(keys, []byte{0}) {
			if len(k) == 0 || len(k) > 200 || i > 300 {
				continue
			}
			all = append(all, append(bytes.Clone(k), 'x'), k[:len(k)-1])
			p["passwd.name"][string(k)] = bytes.Repeat(k[:1], int(size)%5000)
			p["initgroups"][string(k)] = k
		}
		var absent [][]byte
		for _, k := range all {
			if len(k) > 0 {
				absent = append(absent, k)
			}
		}
		agree(t, write(t, p, 0.1+float64(fill%90)/100), absent)
	})
}

// seal makes the checksums of the meta pages right.
func seal(data []byte) {
	for page := range 2 {
		meta := data[page*cache.PageSize+16:]
		h := fnv.New64a()
		h.Write(meta[:56])
		binary.LittleEndian.PutUint64(meta[56:], h.Sum64())
	}
}

func TestDamagedFilesAreRefused(t *testing.T) {
	good := write(t, crowd(300, 60), 0)
	le := binary.LittleEndian
	for _, c := range []struct {
		name   string
		damage func(data []byte) []byte
		opens  bool
	}{
		{"nothing", func(d []byte) []byte { return d }, true},
		{"the first meta page torn", func(d []byte) []byte { d[20] ^= 1; return d }, true},
		{"the second meta page torn", func(d []byte) []byte { d[4096+20] ^= 1; return d }, true},
		{"both meta pages torn", func(d []byte) []byte { d[20] ^= 1; d[4096+20] ^= 1; return d }, false},
		{"no byte", func([]byte) []byte { return nil }, false},
		{"one page", func(d []byte) []byte { return d[:4096] }, false},
		{"the last page missing", func(d []byte) []byte {
			pages := le.Uint64(d[16+40:])
			return d[:(pages-1)*4096]
		}, false},
		{"a page size of 8192", func(d []byte) []byte {
			le.PutUint32(d[16+8:], 8192)
			le.PutUint32(d[4096+16+8:], 8192)
			seal(d)
			return d
		}, false},
		{"the root past the end", func(d []byte) []byte {
			le.PutUint64(d[16+16:], 1<<40)
			le.PutUint64(d[4096+16+16:], 1<<40)
			seal(d)
			return d
		}, false},
		{"the root a meta page", func(d []byte) []byte {
			le.PutUint64(d[16+16:], 1)
			le.PutUint64(d[4096+16+16:], 1)
			seal(d)
			return d
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := open(c.damage(bytes.Clone(good)))
			if (err == nil) != c.opens {
				t.Fatalf("open: %v", err)
			}
			if err == nil {
				r.close()
			}
		})
	}
}

func TestABranchThatLeadsToItselfEnds(t *testing.T) {
	data := write(t, crowd(3000, 60), 0.1)
	le := binary.LittleEndian
	for page := 2; page < len(data)/cache.PageSize; page++ {
		p := data[page*cache.PageSize:]
		if le.Uint16(p[8:]) != 1 {
			continue
		}
		for i := range int(le.Uint16(p[10:])) {
			le.PutUint64(p[16+i*16+8:], uint64(page))
		}
	}
	r, err := open(data)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	b, err := r.bucket("passwd.name")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.get([]byte("user1")); !errors.Is(err, errDamaged) {
		t.Errorf("get: %v", err)
	}
	if _, _, err := b.seek([]byte("user1")); !errors.Is(err, errDamaged) {
		t.Errorf("seek: %v", err)
	}
}
