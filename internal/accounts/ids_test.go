package accounts

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/tests/unmet"
)

// A vector is one line of the table in docs/ids.md.
type vector struct {
	kind, id  string
	low, high uint32
	number    uint32
}

func (v vector) String() string { return fmt.Sprintf("%s %s %d %d", v.kind, v.id, v.low, v.high) }

func (v vector) got() uint32 {
	r := Range{v.low, v.high}
	switch v.kind {
	case "user":
		return UserUID(v.id, r)
	case "group":
		return GroupGID(v.id, r)
	default:
		return FixedGID(v.id, r)
	}
}

func publishedVectors(t *testing.T) []vector {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "ids.md"))
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	for _, m := range regexp.MustCompile("(?m)^\\| (user|group|fixed) \\| `(.+)` \\| (\\d+) \\| (\\d+) \\| \\d+ \\| "+
		"(\\d+) \\|$").FindAllStringSubmatch(string(data), -1) {
		var n [3]uint32
		for i := range n {
			u, err := strconv.ParseUint(m[3+i], 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			n[i] = uint32(u)
		}
		all = append(all, vector{m[1], m[2], n[0], n[1], n[2]})
	}
	if len(all) < 15 {
		t.Fatalf("found %d vectors in docs/ids.md, want at least 15", len(all))
	}
	return all
}

func TestIDsAreThePublishedOnes(t *testing.T) {
	for _, v := range publishedVectors(t) {
		if got := v.got(); got != v.number {
			t.Errorf("%s: got %d, want %d", v, got, v.number)
		}
	}
}

// The independent program is written from docs/ids.md. It has to agree on the
// published vectors and on others of every size of range.
func TestAnIndependentProgramComputesTheSameIDs(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		unmet.Skip(t, "%v; the command that supplies it: tests/setup.sh", err)
	}
	vectors := publishedVectors(t)
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		v := vector{kind: []string{"user", "group", "fixed"}[r.IntN(3)], low: MinID, high: MaxID}
		v.low += uint32(r.Uint64N(uint64(v.high - v.low + 1)))
		v.high = v.low + uint32(r.Uint64N(uint64(v.high-v.low+1)>>r.IntN(31)+1))
		v.high = min(v.high, MaxID)
		id := make([]byte, 1+r.IntN(128))
		for i := range id {
			id[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"[r.IntN(64)]
		}
		v.id = string(id)
		v.number = v.got()
		vectors = append(vectors, v)
	}
	var in bytes.Buffer
	for _, v := range vectors {
		fmt.Fprintln(&in, v)
	}
	command := exec.Command(python, filepath.Join("testdata", "ids.py"))
	command.Stdin = &in
	out, err := command.Output()
	if err != nil {
		t.Fatalf("run ids.py: %v", err)
	}
	lines := strings.Fields(string(out))
	if len(lines) != len(vectors) {
		t.Fatalf("ids.py printed %d numbers for %d", len(lines), len(vectors))
	}
	for i, v := range vectors {
		if lines[i] != strconv.FormatUint(uint64(v.number), 10) {
			t.Errorf("%s: ids.py says %s, Go says %d", v, lines[i], v.number)
		}
	}
}

// Whatever id and range, the number lies in the range. The chi-squared test
// over ten slots would find a bias of a few percent.
func TestIDsAreSpreadEvenly(t *testing.T) {
	const draws, slots = 100000, 10
	r := Range{70000, 70000 + slots*7 - 1}
	var counts [slots]float64
	for i := range draws {
		n := UserUID(fmt.Sprintf("AIDA%d", i), r)
		if !r.Contains(n) {
			t.Fatalf("%d is not in %v", n, r)
		}
		counts[(n-r.Low)/7]++
	}
	chi := 0.0
	for _, c := range counts {
		chi += (c - draws/slots) * (c - draws/slots) / (draws / slots)
	}
	if chi > 33.7 { // 9 degrees of freedom: 1 in 10,000; the draws are fixed
		t.Errorf("chi squared is %.1f: %v", chi, counts)
	}
}
