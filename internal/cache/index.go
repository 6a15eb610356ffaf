package cache

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

const (
	elsewhereSize = CellLength + 4 // and the key
	elsewhereCost = 512            // bytes of cells that are worth one value less elsewhere
	pilotSize     = 2
	indexSeeds    = 64
)

// indexRoom returns the buckets of the index, with nothing in them yet: what
// they say is known only when bbolt has laid out the file.
func indexRoom(buckets []bucket) []bucket {
	heads, tables := bucket{name: BucketIndex}, bucket{name: BucketTables}
	for _, b := range buckets {
		heads.add([]byte(b.name), make([]byte, IndexHead))
		tables.add([]byte(b.name), make([]byte, roomSize(b.pairs)))
	}
	return []bucket{heads, tables}
}

func roomSize(keys []pair) int {
	return CellStep + cellCount(len(keys))*cellSize(keys) + pilotCount(len(keys))*pilotSize
}

// cellSize returns the size of cells that suits the keys: large enough for
// nearly all of the values, but not for the few great ones.
func cellSize(keys []pair) int {
	var need [CellMax/CellStep + 1]int // keys by the size they need, in steps; 0: more than the largest
	least := 1
	for _, k := range keys {
		if steps := (cellNeed(k) + CellStep - 1) / CellStep; steps < len(need) {
			need[steps]++
		}
		least = max(least, (elsewhereSize+len(k.key)+CellStep-1)/CellStep)
	}
	best, bestCost, outside := 0, 0, len(keys)
	for steps := 1; steps < len(need); steps++ {
		outside -= need[steps]
		cost := len(keys)*steps*CellStep + outside*elsewhereCost
		if steps >= least && (best == 0 || cost < bestCost) {
			best, bestCost = steps, cost
		}
	}
	return best * CellStep
}

// cellNeed returns the size of a cell that holds a key and its value.
func cellNeed(k pair) int {
	if bytes.Contains(k.value, k.key) {
		return CellHeader + len(k.value)
	}
	return CellHeader + len(k.value) + len(k.key)
}

// Places are the pairs of a bucket with where their keys lie in the file.
type places struct {
	pairs   []pair
	offsets []int
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
		return eachIndex(data, func(head, room []byte, at int, keys places) error {
			fillIndex(head, room, at, keys)
			return nil
		})
	})
}

// checkIndex reports whether the index of a file leads to every key of its
// buckets, and to nothing else.
func checkIndex(data []byte) error {
	return eachIndex(data, func(head, room []byte, at int, keys places) error {
		return checkCells(head, room, at, keys)
	})
}

// eachIndex calls fn with the head and the room for the cells of each index,
// the room's place in the file, and the keys to be found.
func eachIndex(data []byte, fn func(head, room []byte, at int, keys places) error) error {
	all, err := allPlaces(data)
	if err != nil {
		return err
	}
	for _, name := range Indexed {
		heads, rooms := all[BucketIndex], all[BucketTables]
		h, r := heads.find(name), rooms.find(name)
		if h < 0 || r < 0 || len(heads.pairs[h].value) != IndexHead ||
			len(rooms.pairs[r].value) != roomSize(all[name].pairs) {
			return fmt.Errorf("%w: no index of %q", ErrDamaged, name)
		}
		if err := fn(heads.pairs[h].value, rooms.pairs[r].value, rooms.offsets[r]+len(name), all[name]); err != nil {
			return fmt.Errorf("index of %q: %w", name, err)
		}
	}
	return nil
}

// find returns which of the keys is the one asked for, or -1.
func (p places) find(key string) int {
	return slices.IndexFunc(p.pairs, func(x pair) bool { return string(x.key) == key })
}

// A layout is how an index's room, which lies at offset in the file, is used.
type layout struct {
	cells, pilots []byte
	size          int
	head          [IndexHead]byte
}

func layOut(room []byte, offset int, seed uint32, keys []pair) layout {
	skip, n, size := -offset&(CellStep-1), cellCount(len(keys)), cellSize(keys)
	l := layout{cells: room[skip : skip+n*size], size: size}
	l.pilots = room[skip+n*size:][:pilotCount(len(keys))*pilotSize]
	for at, v := range map[int]int{
		IndexCells: offset + skip, IndexCellCount: n, IndexCellSize: size,
		IndexPilots: offset + skip + n*size, IndexPilotCount: pilotCount(len(keys)), IndexSeed: int(seed),
	} {
		binary.LittleEndian.PutUint32(l.head[at:], uint32(v))
	}
	return l
}

func (l layout) cell(i int) []byte { return l.cells[i*l.size : (i+1)*l.size] }

// fillIndex writes an index: its head, and its cells and pilots into room,
// which lies at offset in the file. The seed is the first that finds every key
// a cell, so that no choice of names stands in its way.
func fillIndex(head, room []byte, offset int, keys places) {
	clear(room)
	clear(head) // without an index, lookups walk the tree
	hashes := make([]uint64, len(keys.pairs))
	for seed := range uint32(indexSeeds) {
		for i, k := range keys.pairs {
			hashes[i] = indexHash(seed, k.key)
		}
		pilots, ok := findPilots(hashes)
		if !ok {
			continue
		}
		l := layOut(room, offset, seed, keys.pairs)
		for i, p := range pilots {
			binary.LittleEndian.PutUint16(l.pilots[pilotSize*i:], p)
		}
		for i, h := range hashes {
			cell := cellOf(h, pilots[pilotOf(h, len(pilots))], cellCount(len(hashes)))
			fillCell(l.cell(cell), keys.pairs[i], keys.offsets[i])
		}
		copy(head, l.head[:])
		return
	}
}

// fillCell fills a free cell with a pair whose key lies at offset in the file.
func fillCell(cell []byte, k pair, offset int) {
	le, keyAt := binary.LittleEndian, 0
	if cellNeed(k) <= len(cell) {
		le.PutUint16(cell, uint16(len(k.value)))
		copy(cell[CellHeader:], k.value)
		if keyAt = CellHeader + bytes.Index(k.value, k.key); keyAt < CellHeader {
			keyAt = CellHeader + len(k.value)
		}
	} else {
		le.PutUint16(cell, CellElsewhere)
		le.PutUint32(cell[CellWhere:], uint32(offset+len(k.key)))
		le.PutUint32(cell[CellLength:], uint32(len(k.value)))
		keyAt = elsewhereSize
	}
	cell[2], cell[3] = byte(keyAt), byte(len(k.key))
	copy(cell[keyAt:], k.key)
}

// checkCells reports whether each key's cell is as it would be filled, and no other is.
func checkCells(head, room []byte, offset int, keys places) error {
	if bytes.Equal(head, make([]byte, IndexHead)) {
		return nil // no seed was good enough
	}
	damaged := fmt.Errorf("%w: the index does not lead to the keys", ErrDamaged)
	le := binary.LittleEndian
	seed := le.Uint32(head[IndexSeed:])
	l := layOut(room, offset, seed, keys.pairs)
	if !bytes.Equal(head, l.head[:]) {
		return damaged
	}
	want := make([]byte, l.size)
	count := cellCount(len(keys.pairs))
	for i, k := range keys.pairs {
		h := indexHash(seed, k.key)
		pilot := le.Uint16(l.pilots[pilotSize*pilotOf(h, pilotCount(len(keys.pairs))):])
		clear(want)
		fillCell(want, k, keys.offsets[i])
		if !bytes.Equal(l.cell(cellOf(h, pilot, count)), want) {
			return damaged
		}
	}
	used := 0
	for i := range count {
		if le.Uint32(l.cell(i)) != 0 {
			used++
		}
	}
	if used != len(keys.pairs) {
		return damaged
	}
	return nil
}

// allPlaces lists where the keys of all top-level buckets lie, in order.
func allPlaces(data []byte) (map[string]places, error) {
	root, _, err := chooseMeta(data)
	if err != nil {
		return nil, err
	}
	all := map[string]places{}
	var buckets places
	buckets.walk(data, pageAt(data, root), int(root)*PageSize)
	for i, b := range buckets.pairs {
		at := buckets.offsets[i] + len(b.key) + bucketHeader
		var keys places
		if root := binary.LittleEndian.Uint64(b.value); root != 0 {
			keys.walk(data, pageAt(data, root), int(root)*PageSize)
		} else {
			keys.walk(data, b.value[bucketHeader:], at)
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

// walk appends the keys of page, which lies at start, and of all below it.
func (p *places) walk(data, page []byte, start int) {
	le := binary.LittleEndian
	flags, count := le.Uint16(page[8:]), int(le.Uint16(page[10:]))
	for i := range count {
		at := pageHeader + i*elementSize
		e := page[at:]
		if flags == flagBranch {
			id := le.Uint64(e[8:])
			p.walk(data, pageAt(data, id), int(id)*PageSize)
			continue
		}
		pos, ksize, vsize := int(le.Uint32(e[4:])), int(le.Uint32(e[8:])), int(le.Uint32(e[12:]))
		p.pairs = append(p.pairs, pair{e[pos : pos+ksize], e[pos+ksize : pos+ksize+vsize]})
		p.offsets = append(p.offsets, start+at+pos)
	}
}
