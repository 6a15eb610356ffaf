package cache

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/nss-iam/nss-iam/internal/accounts"
)

// nssMode lets every process read nss.db.
const nssMode = 0o644

// Meta describes a published nss.db.
type Meta struct {
	Range      accounts.Range
	Generation uint64    // one more with every publication that changed something
	Written    time.Time // when this generation was written
	Digest     [sha256.Size]byte
	Version    uint32 // of the format
}

// A pair is one key of a bucket with its value.
type pair struct{ key, value []byte }

// A bucket is a named bucket with its pairs in the order of their keys.
type bucket struct {
	name  string
	pairs []pair
}

// PublishNSS makes dir/nss.db serve t, and reports whether that changed anything. If
// the file already holds exactly t in the format of this program, nothing is written.
// A record that no reader would serve is an error that names it, and the file stays
// as it was.
func PublishNSS(dir string, t accounts.Tables, now time.Time) (changed bool, err error) {
	buckets, err := encode(t)
	if err != nil {
		return false, fmt.Errorf("publish %q: %w, keeping the previous file", filepath.Join(dir, NSSFile), err)
	}
	next := Meta{Range: t.Range, Generation: 1, Written: now, Digest: digest(buckets), Version: Version}
	path := filepath.Join(dir, NSSFile)
	if served, err := ReadMeta(dir); err == nil {
		if served.Digest == next.Digest && served.Range == next.Range && served.Version == next.Version &&
			hasMode(path, nssMode) && Verify(dir) == nil {
			return false, nil
		}
		next.Generation = served.Generation + 1
	}
	room := indexRoom(buckets)
	buckets = append(buckets, bucket{BucketMeta, next.pairs()})
	fill := func(tx *bolt.Tx) error { return put(tx, append(buckets, room...)) }
	verify := func(t *tree) error { return same(t, buckets) }
	return true, publish(path, nssMode, -1, size(buckets)+size(room), fill, writeIndex, verify)
}

// encode turns t into the buckets of nss.db but meta.
func encode(t accounts.Tables) ([]bucket, error) {
	byName, byUID := bucket{name: BucketPasswdName}, bucket{name: BucketPasswdUID}
	groupName, groupGID := bucket{name: BucketGroupName}, bucket{name: BucketGroupGID}
	memberships := bucket{name: BucketInitgroups}
	for _, u := range t.Users {
		record, err := appendUser(nil, u, t.Range)
		if err != nil {
			return nil, err
		}
		byName.add([]byte(u.Name), record)
		byUID.add(idKey(u.UID), record)
		if len(u.Groups) == 0 {
			continue
		}
		if record, err = appendGIDs(nil, u.Name, u.Groups); err != nil {
			return nil, err
		}
		memberships.add([]byte(u.Name), record)
	}
	for _, g := range t.Groups {
		record, err := appendGroup(nil, g, t.Range)
		if err != nil {
			return nil, err
		}
		groupName.add([]byte(g.Name), record)
		groupGID.add(idKey(g.GID), record)
	}
	buckets := []bucket{byName, byUID, groupName, groupGID, memberships}
	for i := range buckets {
		if err := buckets[i].sort(); err != nil {
			return nil, err
		}
	}
	return buckets, nil
}

func (b *bucket) add(key, value []byte) { b.pairs = append(b.pairs, pair{key, value}) }

// size is about how many bytes the buckets take in a file.
func size(buckets []bucket) (n int) {
	for _, b := range buckets {
		n += PageSize
		for _, p := range b.pairs {
			n += elementSize + len(p.key) + len(p.value)
		}
	}
	return n
}

// sort orders the pairs and refuses two with one key: two principals would
// share a name or an id.
func (b *bucket) sort() error {
	slices.SortFunc(b.pairs, func(x, y pair) int { return bytes.Compare(x.key, y.key) })
	for i := 1; i < len(b.pairs); i++ {
		if bytes.Equal(b.pairs[i-1].key, b.pairs[i].key) {
			return fmt.Errorf("bucket %q: key %q twice", b.name, b.pairs[i].key)
		}
	}
	return nil
}

// digest is the SHA-256 of every bucket's name, keys and values, each behind
// its length.
func digest(buckets []bucket) (sum [sha256.Size]byte) {
	h := sha256.New()
	var all []byte // of one pair after the other, so that h is called once for each
	length := func(n int) { all = binary.LittleEndian.AppendUint64(all, uint64(n)) }
	write := func() { _, _ = h.Write(all); all = all[:0] }
	sorted := slices.Clone(buckets)
	slices.SortFunc(sorted, func(x, y bucket) int { return cmp.Compare(x.name, y.name) })
	for _, b := range sorted {
		length(len(b.name))
		all = append(all, b.name...)
		length(len(b.pairs))
		write()
		for _, p := range b.pairs {
			length(len(p.key))
			all = append(all, p.key...)
			length(len(p.value))
			all = append(all, p.value...)
			write()
		}
	}
	h.Sum(sum[:0])
	return sum
}

func (m Meta) pairs() []pair {
	le := binary.LittleEndian
	return []pair{
		{[]byte("digest"), m.Digest[:]},
		{[]byte("generation"), le.AppendUint64(nil, m.Generation)},
		{[]byte(MetaRange), le.AppendUint32(le.AppendUint32(nil, m.Range.Low), m.Range.High)},
		{[]byte(MetaVersion), le.AppendUint32(nil, m.Version)},
		{[]byte("written"), le.AppendUint64(nil, uint64(m.Written.Unix()))},
	}
}

// put writes the buckets; keys come in order, so pages are filled to the brim.
func put(tx *bolt.Tx, buckets []bucket) error {
	for _, want := range buckets {
		b, err := tx.CreateBucket([]byte(want.name))
		if err != nil {
			return err
		}
		b.FillPercent = 1
		for _, p := range want.pairs {
			if err := b.Put(p.key, p.value); err != nil {
				return fmt.Errorf("bucket %q: key %q: %w", want.name, p.key, err)
			}
		}
	}
	return nil
}

// same compares the file with what was to be written, pair by pair.
func same(t *tree, buckets []bucket) error {
	for _, want := range buckets {
		b := t.bucket(want.name)
		if b == nil {
			return fmt.Errorf("%w: no bucket %q", ErrDamaged, want.name)
		}
		i := 0
		if err := b.each(func(k, v []byte) error {
			if i == len(want.pairs) {
				return fmt.Errorf("%w: bucket %q: unexpected key %q", ErrDamaged, want.name, k)
			}
			p := want.pairs[i]
			i++
			if !bytes.Equal(k, p.key) || !bytes.Equal(v, p.value) {
				return fmt.Errorf("%w: bucket %q: key %q does not hold what was written", ErrDamaged, want.name, p.key)
			}
			return nil
		}); err != nil {
			return err
		}
		if i < len(want.pairs) {
			return fmt.Errorf("%w: bucket %q: %d keys of %d", ErrDamaged, want.name, i, len(want.pairs))
		}
	}
	return nil
}

// ReadMeta reads what dir/nss.db says of itself. The error is ErrDamaged,
// ErrForeign, or wraps fs.ErrNotExist or fs.ErrPermission.
func ReadMeta(dir string) (m Meta, err error) {
	err = view(filepath.Join(dir, NSSFile), func(t *tree) error {
		m, err = readMeta(t)
		return err
	})
	return m, err
}

func readMeta(t *tree) (m Meta, err error) {
	b := t.bucket(BucketMeta)
	if b == nil {
		return m, fmt.Errorf("%w: no bucket %q", ErrDamaged, BucketMeta)
	}
	get := func(key string, size int) []byte {
		v := b.get(key)
		if len(v) != size {
			err = errors.Join(err, fmt.Errorf("%w: meta %q has %d bytes, want %d", ErrDamaged, key, len(v), size))
			return make([]byte, size)
		}
		return v
	}
	le := binary.LittleEndian
	m.Version = le.Uint32(get(MetaVersion, 4))
	if err == nil && (m.Version < OldestVersion || m.Version > NewestVersion) {
		return m, fmt.Errorf("%w: format version %d, this program reads %d to %d", ErrDamaged, m.Version, OldestVersion,
			NewestVersion)
	}
	r := get(MetaRange, 8)
	m.Range = accounts.Range{Low: le.Uint32(r), High: le.Uint32(r[4:])}
	m.Generation = le.Uint64(get("generation", 8))
	m.Written = time.Unix(int64(le.Uint64(get("written", 8))), 0)
	copy(m.Digest[:], get("digest", sha256.Size))
	return m, err
}

// Verify reads all of dir/nss.db, compares it with its own digest, and follows
// its index to every key.
func Verify(dir string) error {
	return view(filepath.Join(dir, NSSFile), func(t *tree) error {
		m, err := readMeta(t)
		if err != nil {
			return err
		}
		var buckets []bucket
		for _, name := range Indexed {
			read := bucket{name: name}
			if err := each(t, name, func(k, v []byte) error { read.add(k, v); return nil }); err != nil {
				return err
			}
			buckets = append(buckets, read)
		}
		if digest(buckets) != m.Digest {
			return fmt.Errorf("%w: contents do not match their digest", ErrDamaged)
		}
		return checkIndex(t.data)
	})
}

// ReadNSS reads all that dir/nss.db serves. Ids of the directory are not in the file and
// stay empty.
func ReadNSS(dir string) (t accounts.Tables, m Meta, err error) {
	err = view(filepath.Join(dir, NSSFile), func(file *tree) error {
		if m, err = readMeta(file); err != nil {
			return err
		}
		t.Range = m.Range
		memberships := file.bucket(BucketInitgroups)
		if err := each(file, BucketPasswdUID, func(_, v []byte) error {
			u, err := decodeUser(v)
			if err != nil {
				return err
			}
			if memberships != nil {
				if record := memberships.get(u.Name); record != nil {
					if u.Groups, err = decodeGIDs(record); err != nil {
						return err
					}
				}
			}
			t.Users = append(t.Users, u)
			return nil
		}); err != nil {
			return err
		}
		return each(file, BucketGroupGID, func(_, v []byte) error {
			g, err := decodeGroup(v)
			t.Groups = append(t.Groups, g)
			return err
		})
	})
	return t, m, err
}

func each(t *tree, name string, fn func(k, v []byte) error) error {
	b := t.bucket(name)
	if b == nil {
		return fmt.Errorf("%w: no bucket %q", ErrDamaged, name)
	}
	if err := b.each(fn); err != nil {
		return fmt.Errorf("%w: bucket %q: %w", ErrDamaged, name, err)
	}
	return nil
}
