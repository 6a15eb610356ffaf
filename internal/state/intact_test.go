package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/nss-iam/nss-iam/internal/directory"
)

func TestAStateThatIsReplacedIsUsedNoMore(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, path string){
		"removed": func(t *testing.T, path string) { must(t, os.Remove(path)) },
		"renamed": func(t *testing.T, path string) { must(t, os.Rename(path, path+".old")) },
		"cut off": func(t *testing.T, path string) { must(t, os.Truncate(path, 0)) },
		"replaced by a copy": func(t *testing.T, path string) {
			copyTo(t, path, path+".copy")
			must(t,
				os.Rename(path+".copy", path))
		},
		"overwritten in its place": func(t *testing.T, path string) { copyTo(t, path, path) },
		"its folder removed":       func(t *testing.T, path string) { must(t, os.RemoveAll(filepath.Dir(path))) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "cache")
			must(t, os.Mkdir(dir, 0o755))
			s, err := Open(dir)
			must(t, err)
			defer func() { _ = s.Close() }()
			must(t, s.Save(map[string]any{"a": 1}))
			must(t, s.Check())
			spoil(t, filepath.Join(dir, File))
			var n int
			for what, err := range map[string]error{
				"Check":        s.Check(),
				"Load":         s.Load("a", &n),
				"Save":         s.Save(map[string]any{"a": 2}),
				"Save again":   s.Save(map[string]any{"a": 1}),
				"SaveListings": s.SaveListings(map[string]directory.KeyListing{"AIDA1": {}}),
				"Forget":       s.Forget([]string{"AIDA1"}),
			} {
				if !errors.Is(err, ErrReplaced) {
					t.Errorf("%s: got %v", what, err)
				}
			}
		})
	}
}

// The process that opens the new file is the publisher, and the one before is none.
func TestTwoProcessesAreNeverBothPublishers(t *testing.T) {
	dir := t.TempDir()
	first, err := Open(dir)
	must(t, err)
	defer func() { _ = first.Close() }()
	if _, err := Open(dir); !errors.Is(err, ErrBusy) {
		t.Fatalf("got %v", err)
	}
	must(t, os.Remove(filepath.Join(dir, File)))
	second, err := Open(dir)
	must(t, err)
	defer func() { _ = second.Close() }()
	must(t, second.Save(map[string]any{"a": 1}))
	if err := first.Save(map[string]any{"a": 2}); !errors.Is(err, ErrReplaced) {
		t.Errorf("the first: got %v", err)
	}
	var n int
	if err := second.Load("a", &n); err != nil || n != 1 {
		t.Errorf("the second: got %d, %v", n, err)
	}
}

func TestOwnChangesAreNoReplacement(t *testing.T) {
	s, err := Open(t.TempDir())
	must(t, err)
	defer func() { _ = s.Close() }()
	big := make([]byte, 1<<15)
	for i := range 5 { // the file grows
		must(t, s.Save(map[string]any{"a": append(big, byte(i)), "b": i}))
		big = append(big, big...)
		must(t, s.Check())
	}
	done := make(chan error)
	go func() {
		var err error
		for i := range 50 {
			err = errors.Join(err, s.Save(map[string]any{"b": i}))
		}
		done <- err
	}()
	for {
		select {
		case err := <-done:
			must(t, err)
			return
		default:
			must(t, s.Check())
		}
	}
}

func copyTo(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, b, 0o600))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
