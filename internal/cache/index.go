package cache

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"os"

	"golang.org/x/sys/unix"
)

// The limits of an index entry's fields, and of the search for a key.
const (
	indexHead       = 16
	indexAlign      = 64 // a table begins on a cache line
	indexEntry      = 8
	indexMaxProbes  = 16
	indexOffsetBits = 30
	indexLenBits    = 22
	indexKeyBits    = 6
	indexSeeds      = 64
)

// indexed are the buckets that have an index.
var indexed = []string{bucketPasswdName, bucketPasswdUID, bucketGroupName, bucketGroupGID, bucketInitgroups}

// indexSlots returns the size of the table for n keys: at most half full.
func indexSlots(n int) int { return max(8, 1<<bits.Len(uint(2*n-1))) }

// indexRoom returns the buckets of the index, with nothing in them yet: what
// they say is known only when bbolt has laid out the file.
func indexRoom(buckets []bucket) []bucket {
	heads, tables := bucket{name: bucketIndex}, bucket{name: bucketTables}
	for _, b := range buckets {
		heads.add([]byte(b.name), make([]byte, indexHead))
		tables.add([]byte(b.name), make([]byte, indexAlign+indexSlots(len(b.pairs))*indexEntry))
	}
	return []bucket{heads, tables}
}

// indexHash is the hash of a key; nss/index.c has the same.
func indexHash(seed uint64, key []byte) uint64 {
	const factor = 0x9E3779B97F4A7C15
	h := (seed + uint64(len(key))) * factor
	for len(key) > 0 {
		var word [8]byte
		key = key[copy(word[:], key):]
		h = (h ^ h>>29 ^ binary.LittleEndian.Uint64(word[:])) * factor
	}
	return h ^ h>>32
}

// A place is where a key with its value behind it lies in the file.
type place struct {
	key    []byte
	offset int // of the key
	value  int // bytes
}

// writeIndex fills the index of the finished file at path, in place: bbolt
// keeps no checksum of values. It is called before anybody else can see the file.
func writeIndex(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := CheckPages(f); err != nil {
		return err
	}
	return withPages(f, unix.PROT_READ|unix.PROT_WRITE, func(data []byte) error {
		return eachIndex(data, func(head, table []byte, at int, keys placeList) error {
			fillIndex(head, table, at, keys)
			return nil
		})
	})
}

// checkIndex reports whether every key of the file at path is found through
// the index, exactly where it is.
func checkIndex(path string) error {
	f, err := openTrusted(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return withPages(f, unix.PROT_READ, func(data []byte) error {
		return eachIndex(data, func(head, table []byte, at int, keys placeList) error {
			wantHead, wantTable := make([]byte, len(head)), make([]byte, len(table))
			fillIndex(wantHead, wantTable, at, keys)
			if !bytes.Equal(head, wantHead) || !bytes.Equal(table, wantTable) {
				return fmt.Errorf("%w: the index does not lead to the keys", ErrDamaged)
			}
			return nil
		})
	})
}

// eachIndex calls fn with the head and the room for the table of each index,
// the room's place in the file, and the keys to be found.
func eachIndex(data []byte, fn func(head, table []byte, at int, keys placeList) error) error {
	places, err := allPlaces(data)
	if err != nil {
		return err
	}
	for _, name := range indexed {
		head, ok := places[bucketIndex].find(name)
		table, ok2 := places[bucketTables].find(name)
		if !ok || !ok2 || head.value != indexHead || table.value != indexAlign+indexSlots(len(places[name]))*indexEntry {
			return fmt.Errorf("%w: no index of %q", ErrDamaged, name)
		}
		h, t := head.offset+len(head.key), table.offset+len(table.key)
		if err := fn(data[h:h+head.value], data[t:t+table.value], t, places[name]); err != nil {
			return fmt.Errorf("index of %q: %w", name, err)
		}
	}
	return nil
}

// fillIndex writes an index: its head, and its table into room, which lies at
// offset in the file. The seed is the first with which every key is found in
// few steps, so that no choice of names makes lookups slow.
func fillIndex(head, room []byte, offset int, keys placeList) {
	skip := -offset & (indexAlign - 1)
	slots := (len(room) - indexAlign) / indexEntry
	table := room[skip : skip+slots*indexEntry]
	le := binary.LittleEndian
	for seed := range uint64(indexSeeds) {
		clear(table)
		if fillTable(table, seed, keys) {
			le.PutUint32(head, uint32(offset+skip))
			le.PutUint32(head[4:], uint32(slots))
			le.PutUint64(head[8:], seed)
			return
		}
	}
	// Without an index, lookups walk the tree.
	clear(table)
	clear(head)
}

func fillTable(table []byte, seed uint64, keys placeList) bool {
	le, slots := binary.LittleEndian, len(table)/indexEntry
	for _, p := range keys {
		if p.value >= 1<<indexLenBits || len(p.key) >= 1<<indexKeyBits || p.offset >= 1<<indexOffsetBits {
			return false
		}
		h := indexHash(seed, p.key)
		probe := 0
		for ; probe < indexMaxProbes; probe++ {
			entry := table[(int(h)+probe)&(slots-1)*indexEntry:]
			if le.Uint64(entry) == 0 {
				le.PutUint64(entry, indexPack(h, p))
				break
			}
		}
		if probe == indexMaxProbes {
			return false
		}
	}
	return true
}

// indexPack lays out an entry: tag, key length, value length, offset of the key.
func indexPack(hash uint64, p place) uint64 {
	tag := hash >> (64 - 6)
	return tag<<(indexOffsetBits+indexLenBits+indexKeyBits) | uint64(len(p.key))<<(indexOffsetBits+indexLenBits) |
		uint64(p.value)<<indexOffsetBits | uint64(p.offset)
}

// withPages maps a file whose pages were checked.
func withPages(f *os.File, protection int, fn func(data []byte) error) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), protection, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map: %w", err)
	}
	defer func() { _ = unix.Munmap(data) }()
	return fn(data)
}

type placeList []place

func (l placeList) find(key string) (place, bool) {
	for _, p := range l {
		if string(p.key) == key {
			return p, true
		}
	}
	return place{}, false
}

// allPlaces lists where the keys of all top-level buckets lie, in order.
func allPlaces(data []byte) (map[string]placeList, error) {
	root, _, err := chooseMeta(data)
	if err != nil {
		return nil, err
	}
	all := map[string]placeList{}
	var buckets placeList
	walkPlaces(data, pageAt(data, root), int(root)*PageSize, &buckets)
	for _, b := range buckets {
		at := b.offset + len(b.key)
		var keys placeList
		if root := binary.LittleEndian.Uint64(data[at:]); root != 0 {
			walkPlaces(data, pageAt(data, root), int(root)*PageSize, &keys)
		} else {
			walkPlaces(data, data[at+bucketHeader:at+b.value], at+bucketHeader, &keys)
		}
		all[string(b.key)] = keys
	}
	return all, nil
}

func pageAt(data []byte, id uint64) []byte {
	start := id * PageSize
	span := uint64(binary.LittleEndian.Uint32(data[start+12:])) + 1
	return data[start : start+span*PageSize]
}

// walkPlaces appends the keys of page, which lies at start, and of all below it.
func walkPlaces(data, page []byte, start int, out *placeList) {
	le := binary.LittleEndian
	flags, count := le.Uint16(page[8:]), int(le.Uint16(page[10:]))
	for i := range count {
		at := pageHeader + i*elementSize
		e := page[at:]
		if flags == flagBranch {
			id := le.Uint64(e[8:])
			walkPlaces(data, pageAt(data, id), int(id)*PageSize, out)
			continue
		}
		pos, ksize, vsize := int(le.Uint32(e[4:])), int(le.Uint32(e[8:])), int(le.Uint32(e[12:]))
		*out = append(*out, place{key: e[pos : pos+ksize], offset: start + at + pos, value: vsize})
	}
}
