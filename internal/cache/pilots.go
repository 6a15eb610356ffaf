package cache

import (
	"encoding/binary"
	"slices"
)

// Pilots place the keys of an index so that no two are in one cell ("hash and
// displace"): keys share a pilot by four on average, and for each pilot the
// first number is taken that leads all of its keys to cells still free.
const (
	keysPerPilot    = 4
	maxKeysPerPilot = 64 // more have come together by somebody's choice: try another seed
)

// pilotCount and cellCount are the sizes of an index of n keys. One cell in
// seventeen stays free, or the last pilots would take long to find.
func pilotCount(n int) int { return n/keysPerPilot + 1 }
func cellCount(n int) int  { return n + n/16 + 1 }

// indexHash is the hash of a key; nss/index.c has the same, and the two below.
func indexHash(seed uint32, key []byte) uint64 {
	h := (uint64(seed) + uint64(len(key))) * IndexFactor
	for len(key) > 0 {
		var word [8]byte
		key = key[copy(word[:], key):]
		h = indexMix(h, binary.LittleEndian.Uint64(word[:]))
	}
	return h ^ h>>32
}

func indexMix(h, word uint64) uint64 { return (h ^ h>>29 ^ word) * IndexFactor }

// pilotOf returns which of the pilots a key has.
func pilotOf(hash uint64, pilots int) int { return scale(uint32(hash), pilots) }

// cellOf returns which of the cells a key has under its pilot.
func cellOf(hash uint64, pilot uint16, cells int) int {
	return scale(uint32(indexMix(hash, uint64(pilot)*IndexFactor)>>32), cells)
}

// scale takes the numbers below 2³² evenly to those below n.
func scale(x uint32, n int) int { return int(uint64(x) * uint64(n) >> 32) }

// findPilots finds pilots under which each of the hashes has a cell of its own.
// The pilots with the most keys come first, while most cells are free.
func findPilots(hashes []uint64) (pilots []uint16, ok bool) {
	pilots = make([]uint16, pilotCount(len(hashes)))
	ends := make([]int, len(pilots)+1) // of the hashes that share a pilot, among all in the order of pilots
	for _, h := range hashes {
		ends[pilotOf(h, len(pilots))+1]++
	}
	var withKeys [maxKeysPerPilot + 1][]int // pilots by the number of their keys
	for i, n := range ends[1:] {
		if n > maxKeysPerPilot {
			return nil, false
		}
		withKeys[n] = append(withKeys[n], i)
		ends[i+1] += ends[i]
	}
	grouped, next := make([]uint64, len(hashes)), slices.Clone(ends)
	for _, h := range hashes {
		i := pilotOf(h, len(pilots))
		grouped[next[i]] = h
		next[i]++
	}
	taken := make([]bool, cellCount(len(hashes)))
	for _, group := range slices.Backward(withKeys[1:]) {
		for _, i := range group {
			if pilots[i], ok = findPilot(grouped[ends[i]:ends[i+1]], taken); !ok {
				return nil, false
			}
		}
	}
	return pilots, true
}

// findPilot finds the first pilot that leads hashes to cells that are free, and takes them.
func findPilot(hashes []uint64, taken []bool) (pilot uint16, ok bool) {
	var cells [maxKeysPerPilot]int
	for p := range 1 << 16 {
		n := 0
		for ; n < len(hashes); n++ {
			cells[n] = cellOf(hashes[n], uint16(p), len(taken))
			if taken[cells[n]] {
				break
			}
			taken[cells[n]] = true
		}
		if n == len(hashes) {
			return uint16(p), true
		}
		for _, c := range cells[:n] {
			taken[c] = false
		}
	}
	return 0, false
}
