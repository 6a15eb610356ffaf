package cache

import (
	"bytes"
	"encoding/binary"
	"sort"
)

// A tree reads a mapped bbolt file whose pages were checked. bbolt itself takes
// a lock on every file that it opens, and a file that everybody may read is one
// that everybody may lock.
type tree struct {
	data []byte
	root uint64 // the page of the top-level buckets
}

// A treeBucket is one top-level bucket of a tree. Its keys and values are
// valid as long as the mapping.
type treeBucket struct {
	tree *tree
	page []byte
}

// bucket returns the bucket of a name, or nil.
func (t *tree) bucket(name string) *treeBucket {
	top := treeBucket{t, pageAt(t.data, t.root)}
	value, nested, ok := top.find([]byte(name))
	if !ok || !nested {
		return nil
	}
	if root := binary.LittleEndian.Uint64(value); root != 0 {
		return &treeBucket{t, pageAt(t.data, root)}
	}
	return &treeBucket{t, value[bucketHeader:]}
}

// get returns the value of key, or nil.
func (b *treeBucket) get(key string) []byte {
	value, nested, ok := b.find([]byte(key))
	if !ok || nested {
		return nil
	}
	return value
}

func (b *treeBucket) find(key []byte) (value []byte, nested, ok bool) {
	page := b.page
	for isBranch(page) {
		// The last element whose key is not above the one asked for, or the first.
		i := sort.Search(elementCount(page), func(i int) bool { return bytes.Compare(branchKey(page, i), key) > 0 })
		page = pageAt(b.tree.data, branchChild(page, max(i-1, 0)))
	}
	n := elementCount(page)
	i := sort.Search(n, func(i int) bool {
		k, _, _ := leafElement(page, i)
		return bytes.Compare(k, key) >= 0
	})
	if i == n {
		return nil, false, false
	}
	k, value, nested := leafElement(page, i)
	return value, nested, bytes.Equal(k, key)
}

// each calls fn for every key in order, until fn returns an error.
func (b *treeBucket) each(fn func(k, v []byte) error) error { return b.tree.eachOf(b.page, fn) }

func (t *tree) eachOf(page []byte, fn func(k, v []byte) error) error {
	for i := range elementCount(page) {
		if isBranch(page) {
			if err := t.eachOf(pageAt(t.data, branchChild(page, i)), fn); err != nil {
				return err
			}
			continue
		}
		k, v, _ := leafElement(page, i)
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return nil
}

func isBranch(page []byte) bool { return binary.LittleEndian.Uint16(page[8:]) == flagBranch }

func elementCount(page []byte) int { return int(binary.LittleEndian.Uint16(page[10:])) }

func branchKey(page []byte, i int) []byte {
	e := page[pageHeader+i*elementSize:]
	pos, size := binary.LittleEndian.Uint32(e), binary.LittleEndian.Uint32(e[4:])
	return e[pos : pos+size]
}

func branchChild(page []byte, i int) uint64 {
	return binary.LittleEndian.Uint64(page[pageHeader+i*elementSize+8:])
}

// leafElement returns a key and its value, and whether that is a bucket.
func leafElement(page []byte, i int) (key, value []byte, nested bool) {
	le := binary.LittleEndian
	e := page[pageHeader+i*elementSize:]
	pos, ksize, vsize := le.Uint32(e[4:]), le.Uint32(e[8:]), le.Uint32(e[12:])
	return e[pos : pos+ksize : pos+ksize], e[pos+ksize : pos+ksize+vsize : pos+ksize+vsize], le.Uint32(e)&flagBucket != 0
}
