package homes

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestALookerSaysWhatOwnerSays(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.Mkdir(at("alice"), 0o700), os.WriteFile(at("file"), nil, 0o600), os.Mkdir(at("disk"), 0o755),
		os.Mkdir(at("disk/bob"), 0o700),
		os.Symlink("disk/bob", at("bob")), os.Symlink(at("disk"), at("far")), os.Symlink("round", at("round")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	paths := []string{"relative", "/", "", at("alice") + "/", at("x/../alice"), at("alice/.."), at("alice/."),
		at("file/x")}
	for _, name := range []string{"alice", "file", "bob", "far/bob", "round", "missing", "missing/alice", "disk/bob",
		"round/x"} {
		paths = append(paths, at(name))
	}
	want := map[string]uint32{}
	for _, p := range paths {
		if uid, ok := Owner(p); ok {
			want[p] = uid
		}
	}
	var l Looker
	if got := l.Owners(paths); !maps.Equal(got, want) || len(want) < 4 {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestALookThatHangsHoldsUpNothingAndForgetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan map[string]uint32)
		l := Looker{patience: time.Second, look: func([]string) map[string]uint32 { return <-answer }}
		paths := []string{"/home/alice", "/home/bob"}
		go func() { answer <- map[string]uint32{"/home/alice": 7} }()
		if got := l.Owners(paths); got["/home/alice"] != 7 {
			t.Fatalf("got %v", got)
		}
		started := time.Now()
		for range 100 { // the server hangs
			if got := l.Owners(paths); len(got) != 1 || got["/home/alice"] != 7 {
				t.Fatalf("got %v, want what was seen before", got)
			}
		}
		if took := time.Since(started); took != time.Second {
			t.Errorf("it took %s, want one wait of a second", took)
		}
		answer <- nil // it answers again
		synctest.Wait()
		go func() { answer <- map[string]uint32{"/home/alice": 8} }()
		if got := l.Owners(paths); got["/home/alice"] != 8 {
			t.Errorf("got %v: a server that answers again is not looked at", got)
		}
	})
}

func BenchmarkALookAt5000Homes(b *testing.B) {
	dir := b.TempDir()
	var paths []string
	for i := range 5000 {
		paths = append(paths, fmt.Sprintf("%s/user.%d", dir, i))
		if err := os.Mkdir(paths[i], 0o700); err != nil {
			b.Fatal(err)
		}
	}
	var l Looker
	for b.Loop() {
		if got := l.Owners(paths); len(got) != len(paths) {
			b.Fatal(len(got))
		}
	}
}
