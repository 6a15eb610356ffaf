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

func TestAnswer(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	hour := cache.LoginPolicy{Timeout: time.Second, MaxStale: time.Hour}
	cached := func(age time.Duration) *cache.UserKeys {
		return &cache.UserKeys{Name: "alice", UID: 2001000001, Login: true, Checked: now.Add(-age)}
	}
	for _, c := range []struct {
		name, online string
		down         bool // the daemon does not answer
		maxStale     time.Duration
		cached       *cache.UserKeys
		source       string // "" where nobody knows the name
		err          string
		asks, warns  int
	}{
		{name: "the daemon's answer counts before the cache", online: "prefer", cached: cached(0), source: "the directory",
			asks: 1},
		{name: "the daemon's answer counts where nothing is cached", online: "require", source: "the directory", asks: 1},
		{name: "a missing answer is replaced by the cache", online: "prefer", down: true, cached: cached(time.Minute),
			source: "cache of 1m0s ago", asks: 1, warns: 1},
		{name: "a missing answer is replaced by nothing where an answer is required", online: "require", down: true,
			cached: cached(0), err: "the daemon is away", asks: 1},
		{name: "a name that nobody knows has no answer", online: "prefer", down: true, asks: 1, warns: 1},
		{name: "nobody is asked where online is off", online: "off", cached: cached(0), source: "cache of 0s ago"},
		{name: "the cache counts up to max_stale", online: "off", cached: cached(time.Hour), source: "cache of 1h0m0s ago"},
		{name: "the cache counts no longer than max_stale", online: "off", cached: cached(time.Hour + time.Second),
			err: "cached keys are 1h0m1s old, keys.max_stale is 1h0m0s"},
		{name: "a cache without a limit counts for ever", online: "off", maxStale: -1, cached: cached(10000 * time.Hour),
			source: "cache of 10000h0m0s ago"},
		{name: "a clock set back by little is nothing", online: "off", cached: cached(-5 * time.Minute),
			source: "cache of 0s ago"},
		{name: "a clock set back makes the age unknown", online: "off", cached: cached(-5*time.Minute - time.Second),
			err: "the clock was set back"},
	} {
		t.Run(c.name, func(t *testing.T) {
			policy, asks, warns := hour, 0, 0
			policy.Online = c.online
			if c.maxStale < 0 {
				policy.MaxStale = 0
			}
			r := Rule{Policy: policy, Now: func() time.Time { return now }, Warn: func(error) { warns++ }}
			a, err := r.Answer(func(ctx context.Context) (cache.UserKeys, error) {
				asks++
				if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > policy.Timeout {
					t.Errorf("the question has until %v, want %v from now", deadline, policy.Timeout)
				}
				if c.down {
					return cache.UserKeys{}, errors.New("the daemon is away")
				}
				return cache.UserKeys{Name: "alice"}, nil
			}, c.cached)
			if got := errorText(err); !strings.Contains(got, c.err) || c.err == "" && err != nil {
				t.Errorf("error %q, want %q", got, c.err)
			}
			if a.Source != c.source || (a.User != nil) != (c.source != "") || asks != c.asks || warns != c.warns {
				t.Errorf("answer %+v after %d questions and %d warnings, want source %q, %d and %d", a, asks, warns, c.source,
					c.asks, c.warns)
			}
			if strings.HasPrefix(a.Source, "cache") && a.User != c.cached {
				t.Errorf("got user %+v, want the cached one", a.User)
			}
		})
	}
}

func TestLocalUID(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwd")
	text := "root:x:0:0::/root:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/sh\nbob:x:1002:1002::/:/bin/sh\ncut:x\n" +
		"odd:x:-1:1::/:\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		uid   uint32
		found bool
		err   string
	}{
		{name: "root", found: true},
		{name: "bob", uid: 1001, found: true}, // the first entry counts
		{name: "alice"},
		{name: ""},
		{name: "bob:x:1001"},
		{name: "cut", err: "cut short"},
		{name: "odd", err: `uid "-1"`},
	} {
		uid, found, err := LocalUID(path, c.name)
		if uid != c.uid || found != c.found || !strings.Contains(errorText(err), c.err) || c.err == "" && err != nil {
			t.Errorf("%q: uid %d, found %v, error %v; want %d, %v, %q", c.name, uid, found, err, c.uid, c.found, c.err)
		}
	}
	if _, _, err := LocalUID(path+".absent", "bob"); err == nil {
		t.Error("an absent file is no error")
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
