package admission

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAUIDIsReadToItsBounds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwd")
	for text, want := range map[string]struct {
		uid   uint32
		found bool
		bad   bool
	}{
		"a:x:0:":                          {0, true, false},
		"a:x:4294967295:":                 {1<<32 - 1, true, false},
		"a:x:4294967296:":                 {bad: true},
		"a:x::0":                          {bad: true},
		"a:x:0":                           {bad: true}, // cut off
		"b:x:7:7\n#a:x:8:8\na:x:9:9":      {9, true, false},
		strings.Repeat("x", 70000) + "\n": {bad: true}, // no passwd file has such a line
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		uid, found, err := LocalUID(path, "a")
		if uid != want.uid || found != want.found || (err != nil) != want.bad {
			t.Errorf("%.30q: uid %d, found %v, %v; want %+v", text, uid, found, err, want)
		}
	}
}
