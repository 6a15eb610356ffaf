package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A refresh on schedule and one that somebody asks for may end at the same time.
func TestReportsWrittenAtOnceAreEachWhole(t *testing.T) {
	before := socketPath
	socketPath = filepath.Join(t.TempDir(), "sock")
	t.Cleanup(func() { socketPath = before })
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			for range 50 {
				if err := writeReport(report{Error: strings.Repeat("x", i*1000)}); err != nil {
					t.Error(err)
				}
				if _, err := readReport(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	if entries, err := os.ReadDir(filepath.Dir(socketPath)); err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
}
