package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
)

// published returns a file as the writer makes it, of n users in groups of all sizes.
func published(t testing.TB, n int) []byte {
	t.Helper()
	tables := accounts.Tables{Range: accounts.Range{Low: 2001000000, High: 2146999999}}
	everybody := accounts.Group{Name: "everybody", GID: tables.Range.Low}
	for i := range n {
		u := accounts.User{
			Name: fmt.Sprintf("user%d", i*7919), UID: tables.Range.Low + 1 + uint32(i)*131,
			Gecos: string(bytes.Repeat([]byte("g"), i*37%256)), Home: "/home/user", Shell: "/bin/sh",
		}
		if i%3 != 0 {
			u.Groups = slices.Repeat([]uint32{everybody.GID}, 1+i%100)
			everybody.Members = append(everybody.Members, u.Name)
		}
		tables.Users = append(tables.Users, u)
		tables.Groups = append(tables.Groups, accounts.Group{Name: u.Name, GID: u.UID})
	}
	tables.Groups = append(tables.Groups, everybody)
	dir := t.TempDir()
	if _, err := cache.PublishNSS(dir, tables, time.Unix(1700000000, 0)); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, cache.NSSFile))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// each calls fn with every key and value of the indexed buckets of a file, as bbolt reads them.
func each(t *testing.T, data []byte, fn func(bucket int, key, value []byte)) {
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
	_ = db.View(func(tx *bolt.Tx) error {
		for i, name := range indexed {
			_ = tx.Bucket([]byte(name)).ForEach(func(k, v []byte) error { fn(i, k, v); return nil })
		}
		return nil
	})
}

func TestTheIndexLeadsToEveryKeyAndToNothingElse(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 17, 300, 3000} {
		t.Run(fmt.Sprintf("%d users", n), func(t *testing.T) {
			data := published(t, n)
			r, err := open(data)
			if err != nil {
				t.Fatal(err)
			}
			defer r.close()
			each(t, data, func(bucket int, k, v []byte) {
				if got, err := r.index(bucket, k); err != nil || !bytes.Equal(got, v) {
					t.Fatalf("%s: key %q: got %d bytes, %v; want %d", indexed[bucket], k, len(got), err, len(v))
				}
				tree, err := r.bucket(indexed[bucket])
				if err != nil {
					t.Fatal(err)
				}
				for _, other := range [][]byte{append(bytes.Clone(k), '0'), k[:len(k)-1]} {
					want, wantErr := tree.get(other)
					if got, err := r.index(bucket, other); !errors.Is(err, wantErr) || !bytes.Equal(got, want) {
						t.Fatalf("%s: key %q: got %d bytes, %v; want %d, %v", indexed[bucket], other, len(got), err, len(want), wantErr)
					}
				}
			})
		})
	}
}

// heads returns where the heads of the indices lie in a file.
func heads(t *testing.T, data []byte) []int {
	t.Helper()
	var at []int
	for _, name := range indexed {
		// The cells' place in the head is what finds it: a key "index.tables" holds them.
		for from := 0; ; {
			i := bytes.Index(data[from:], []byte(name))
			if i < 0 {
				break
			}
			from += i + len(name)
			if head := data[from:]; len(head) >= 24 && binary.LittleEndian.Uint32(head[8:])%16 == 0 &&
				binary.LittleEndian.Uint32(head)%64 == 0 && binary.LittleEndian.Uint32(head) > 0 &&
				binary.LittleEndian.Uint32(head[12:]) == binary.LittleEndian.Uint32(head)+
					binary.LittleEndian.Uint32(head[4:])*binary.LittleEndian.Uint32(head[8:]) {
				at = append(at, from)
				break
			}
		}
	}
	if len(at) != len(indexed) {
		t.Fatalf("%d heads found, want %d", len(at), len(indexed))
	}
	return at
}

func TestAnIndexThatIsBrokenIsDoneWithout(t *testing.T) {
	good := published(t, 300)
	le := binary.LittleEndian
	size := uint32(len(good))
	for _, c := range []struct {
		name   string
		change func(head []byte)
	}{
		{"no cells", func(h []byte) { le.PutUint32(h[4:], 0) }},
		{"all zero", func(h []byte) { clear(h[:24]) }},
		{"cells past the end", func(h []byte) { le.PutUint32(h, size-64) }},
		{"cells from the end on", func(h []byte) { le.PutUint32(h, size+1) }},
		{"four billion cells", func(h []byte) { le.PutUint32(h[4:], 1<<32-1) }},
		{"cells of no byte", func(h []byte) { le.PutUint32(h[8:], 0) }},
		{"cells smaller than a line", func(h []byte) { le.PutUint32(h[8:], 48) }},
		{"cells of four gigabytes", func(h []byte) { le.PutUint32(h[8:], 1<<32-1) }},
		{"pilots past the end", func(h []byte) { le.PutUint32(h[12:], size-1) }},
		{"no pilots", func(h []byte) { le.PutUint32(h[16:], 0) }},
		{"four billion pilots", func(h []byte) { le.PutUint32(h[16:], 1<<32-1) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := bytes.Clone(good)
			for _, at := range heads(t, data) {
				c.change(data[at:])
			}
			r, err := open(data)
			if err != nil {
				t.Fatal(err)
			}
			defer r.close()
			each(t, good, func(bucket int, k, v []byte) {
				if _, err := r.index(bucket, k); !errors.Is(err, errUseless) {
					t.Fatalf("%s: key %q by the index: %v", indexed[bucket], k, err)
				}
				if got, err := r.get(bucket, k); err != nil || !bytes.Equal(got, v) {
					t.Fatalf("%s: key %q: got %d bytes, %v; want %d", indexed[bucket], k, len(got), err, len(v))
				}
			})
		})
	}
}

func TestACellThatIsBrokenIsDoneWithout(t *testing.T) {
	data := published(t, 300)
	le := binary.LittleEndian
	for _, at := range heads(t, data) {
		cells, count, size := int(le.Uint32(data[at:])), int(le.Uint32(data[at+4:])), int(le.Uint32(data[at+8:]))
		for i := range count {
			cell := data[cells+i*size:]
			switch {
			case le.Uint32(cell) == 0:
			case le.Uint16(cell) == 0xFFFF: // the value past the file's end
				le.PutUint32(cell[4+i%2*4:], uint32(len(data))+1)
			case i%2 == 0: // the key past the cell's
				cell[2] = byte(size - int(cell[3]) + 1)
			default: // the value past the cell's
				le.PutUint16(cell, uint16(size-3))
			}
		}
	}
	r, err := open(data)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	each(t, data, func(bucket int, k, v []byte) {
		if _, err := r.index(bucket, k); !errors.Is(err, errUseless) {
			t.Fatalf("%s: key %q by the index: %v", indexed[bucket], k, err)
		}
		if got, err := r.get(bucket, k); err != nil || !bytes.Equal(got, v) {
			t.Fatalf("%s: key %q: got %d bytes, %v; want %d", indexed[bucket], k, len(got), err, len(v))
		}
	})
}
