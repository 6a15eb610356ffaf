package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestARatioIsThatOfEachRound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.txt")
	// The second round was slow for all, and the third has one of the two only.
	lines := "1 5000 iam name 150\n1 5000 sss name 900\n2 5000 iam name 1500\n2 5000 sss name 6000\n3 5000 iam name 160\n"
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := read(path)
	if err != nil {
		t.Fatal(err)
	}
	iam, sss := what{"5000", "iam", "name"}, what{"5000", "sss", "name"}
	if got, ok := r.median(iam); !ok || got != 160 {
		t.Errorf("median %g, %v; want 160", got, ok)
	}
	if got, ok := r.ratio(iam, sss); !ok || math.Abs(got-(150.0/900+1500.0/6000)/2) > 1e-9 {
		t.Errorf("ratio %g, %v", got, ok)
	}
	if _, ok := r.ratio(iam, what{"5000", "files", "name"}); ok {
		t.Error("a ratio to what was not timed")
	}
	page := text(r, "a machine")
	for _, want := range []string{"| **nss-iam** | 160 |", "| SSSD, memory cache | 3,450 |",
		"| by name, of SSSD's | ≤ 0.35 | 0.208 |"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in:\n%s", want, page)
		}
	}
	if strings.Contains(page, "100,000 users |") {
		t.Error("a table without a row")
	}
	if svg := picture(r); !strings.Contains(svg, "160 ns") || strings.Contains(svg, "glibc files") {
		t.Errorf("picture: %s", svg)
	}
}

func TestALineThatIsNoResultIsAnError(t *testing.T) {
	for _, line := range []string{"1 5000 iam name", "1 5000 iam name fast", "lookups: getpwnam failed"} {
		path := filepath.Join(t.TempDir(), "results.txt")
		if err := os.WriteFile(path, []byte(line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := read(path); err == nil {
			t.Errorf("line %q: %v", line, r)
		}
	}
}
