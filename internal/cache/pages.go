package cache

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"os"

	"golang.org/x/sys/unix"
)

// bbolt's page format, version 2. All integers are little-endian here: the
// library writes them in the machine's order, and every machine we build for
// is little-endian.
const (
	boltMagic    = 0xED0CDAED
	boltVersion  = 2
	pageHeader   = 16
	elementSize  = 16
	bucketHeader = 16
	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagBucket   = 0x01
	maxDepth     = 16
)

// CheckPages reads all of f and reports whether bbolt can read it without
// leaving it. bbolt believes every offset and length in a file's pages; here
// they are proved first: one page size, a root below the high-water mark below
// the file's end, every page reached once and of the kind its place demands,
// every element inside its page, keys ascending.
func CheckPages(f *os.File) error {
	return withPages(f, unix.PROT_READ, func(data []byte) error {
		_, err := checkPages(data)
		return err
	})
}

func checkPages(data []byte) (root uint64, err error) {
	root, pages, err := chooseMeta(data)
	if err != nil {
		return 0, err
	}
	c := checker{data: data[:pages*PageSize], seen: make([]bool, pages)}
	return root, c.page(root, 0)
}

// withPages maps a file.
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

// chooseMeta returns the root page and the number of pages that bbolt will
// use: those of the valid meta page with the higher transaction id.
func chooseMeta(data []byte) (root, pages uint64, err error) {
	le, found, newest := binary.LittleEndian, false, uint64(0)
	for i := range 2 {
		m := data[i*PageSize+pageHeader:][:64]
		h := fnv.New64a()
		_, _ = h.Write(m[:56])
		if le.Uint32(m) != boltMagic || le.Uint32(m[4:]) != boltVersion || le.Uint64(m[56:]) != h.Sum64() {
			continue
		}
		if size := le.Uint32(m[8:]); size != PageSize {
			return 0, 0, fmt.Errorf("page size %d, want %d", size, PageSize)
		}
		if txid := le.Uint64(m[48:]); !found || txid > newest {
			found, newest, root, pages = true, txid, le.Uint64(m[16:]), le.Uint64(m[40:])
		}
	}
	switch {
	case !found:
		return 0, 0, fmt.Errorf("no valid meta page")
	case pages > uint64(len(data)/PageSize):
		return 0, 0, fmt.Errorf("%d pages in a file of %d bytes", pages, len(data))
	}
	return root, pages, nil
}

type checker struct {
	data []byte // whole pages up to the high-water mark
	seen []bool // by page number
}

// page checks the page numbered id and all below it.
func (c *checker) page(id uint64, depth int) error {
	le := binary.LittleEndian
	if id < 2 || id >= uint64(len(c.seen)) {
		return fmt.Errorf("page %d of %d", id, len(c.seen))
	}
	start := id * PageSize
	if own := le.Uint64(c.data[start:]); own != id {
		return fmt.Errorf("page %d says that it is page %d", id, own)
	}
	span := uint64(le.Uint32(c.data[start+12:])) + 1
	if span > uint64(len(c.seen))-id {
		return fmt.Errorf("page %d goes on for %d pages, past the last", id, span)
	}
	for n := id; n < id+span; n++ {
		if c.seen[n] {
			return fmt.Errorf("page %d is used twice", n)
		}
		c.seen[n] = true
	}
	if err := c.elements(c.data[start:start+span*PageSize], depth); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

// elements checks one page's elements; p is the page with its overflow, or an
// inline bucket's page.
func (c *checker) elements(p []byte, depth int) error {
	le := binary.LittleEndian
	flags, count := le.Uint16(p[8:]), int(le.Uint16(p[10:]))
	if depth > maxDepth {
		return fmt.Errorf("deeper than %d pages", maxDepth)
	}
	if pageHeader+count*elementSize > len(p) {
		return fmt.Errorf("%d elements do not fit", count)
	}
	var previous []byte
	for i := range count {
		offset := pageHeader + i*elementSize
		e := p[offset:]
		var key, value []byte
		var err error
		switch flags {
		case flagBranch:
			key, _, err = cut(e, le.Uint32(e), le.Uint32(e[4:]), 0)
		case flagLeaf:
			key, value, err = cut(e, le.Uint32(e[4:]), le.Uint32(e[8:]), le.Uint32(e[12:]))
		default:
			return fmt.Errorf("flags %#x, want branch or leaf", flags)
		}
		switch {
		case err != nil:
			return fmt.Errorf("element %d: %w", i, err)
		case i > 0 && bytes.Compare(previous, key) >= 0:
			return fmt.Errorf("element %d: key %q is not above %q", i, key, previous)
		}
		previous = key
		switch {
		case flags == flagBranch:
			err = c.page(le.Uint64(e[8:]), depth+1)
		case le.Uint32(e)&flagBucket != 0:
			err = c.bucket(value, depth)
		}
		if err != nil {
			return err
		}
	}
	if flags == flagBranch && count == 0 || flags != flagBranch && flags != flagLeaf {
		return fmt.Errorf("flags %#x with %d elements", flags, count)
	}
	return nil
}

// bucket checks a nested bucket's header and its pages.
func (c *checker) bucket(value []byte, depth int) error {
	if len(value) < bucketHeader {
		return fmt.Errorf("bucket header of %d bytes", len(value))
	}
	if root := binary.LittleEndian.Uint64(value); root != 0 {
		return c.page(root, depth+1)
	}
	inline := value[bucketHeader:]
	if len(inline) < pageHeader || binary.LittleEndian.Uint16(inline[8:]) != flagLeaf {
		return fmt.Errorf("inline bucket of %d bytes is not a leaf page", len(inline))
	}
	return c.elements(inline, depth+1)
}

// cut returns an element's key and value; pos counts from the element itself.
func cut(element []byte, pos, ksize, vsize uint32) (key, value []byte, err error) {
	end := uint64(pos) + uint64(ksize) + uint64(vsize)
	if end > uint64(len(element)) {
		return nil, nil, fmt.Errorf("ends %d bytes past its page", end-uint64(len(element)))
	}
	return element[pos : pos+ksize], element[pos+ksize : end], nil
}
