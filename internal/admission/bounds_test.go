package admission

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/cache"
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

func TestAClockSetBackIsToldAndCountsOnlyWhereAgesCount(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	ahead := &cache.UserKeys{Name: "alice", Checked: now.Add(time.Hour)}
	r := Rule{Policy: cache.LoginPolicy{Online: "off"}, Now: func() time.Time { return now }}
	if a, err := r.Answer(nil, ahead); err != nil || a.User != ahead || a.Source != "cache of 0s ago" {
		t.Errorf("where keys never grow old: %+v, %v; want the cached answer", a, err)
	}
	r.Policy.MaxStale = time.Hour
	if a, err := r.Answer(nil, ahead); err == nil || !strings.Contains(err.Error(), "dated 1h0m0s ahead") ||
		a.User != nil {
		t.Errorf("where they do: %+v, %v; want it refused with how far it is ahead", a, err)
	}
}

// Before the first keys.db, the daemon alone can let anybody in, and has the
// time to: a limit of nothing would be nobody.
func TestBeforeTheFirstFileTheDaemonAloneIsAsked(t *testing.T) {
	r := Rule{Policy: Unpublished, Now: time.Now}
	a, err := r.Answer(func(ctx context.Context) (cache.UserKeys, error) {
		if until, ok := ctx.Deadline(); !ok || time.Until(until) < time.Second {
			t.Errorf("it has until %v, want a second at least", until)
		}
		return cache.UserKeys{Name: "alice"}, nil
	}, nil)
	if err != nil || a.User == nil {
		t.Errorf("got %+v, %v", a, err)
	}
	silent := errors.New("silent")
	if a, err := r.Answer(func(context.Context) (cache.UserKeys, error) { return cache.UserKeys{}, silent },
		nil); !errors.Is(err, silent) {
		t.Errorf("without the daemon: %+v, %v; want its error", a, err)
	}
}
