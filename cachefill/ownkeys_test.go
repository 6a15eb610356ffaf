package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAHomeHasOwnKeys(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(home string) error
		want bool
	}{
		{"no home", func(home string) error { return os.RemoveAll(home) }, false},
		{"no folder", func(string) error { return nil }, false},
		{"an empty file", func(home string) error { return os.WriteFile(home+"/.ssh/authorized_keys", nil, 0o600) }, false},
		{"a key", func(home string) error { return os.WriteFile(home+"/.ssh/authorized_keys", []byte("x"), 0o600) }, true},
		{"a key in sshd's other file", func(home string) error {
			return os.WriteFile(home+"/.ssh/authorized_keys2",
				[]byte("x"), 0o600)
		}, true},
		{"a link to elsewhere", func(home string) error { return os.Symlink("/nowhere", home+"/.ssh/authorized_keys") },
			true},
	} {
		home := filepath.Join(t.TempDir(), "alice")
		if err := os.MkdirAll(home+"/.ssh", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := c.make(home); err != nil {
			t.Fatal(err)
		}
		if got := hasOwnKeys(home); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
