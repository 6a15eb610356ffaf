package refresh_test

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/refresh"
)

// A refresh that brings the same answer again is not computed. Whatever could
// make the result another one is noticed all the same, by the next refresh.
func TestAnAnswerThatComesAgainIsStillActedUpon(t *testing.T) {
	everyone := "alice bob carol erin"
	for name, test := range map[string]struct {
		change func(h *host)
		pass   time.Duration
		live   string
	}{
		"nothing happened":          {func(*host) {}, 0, everyone},
		"somebody joined":           {func(h *host) { h.does(h.e.AddMember("developers", "frank")) }, 0, everyone + " frank"},
		"an account's day has come": {func(*host) {}, 30 * time.Minute, "alice carol erin"},
		"a local account took the name": {func(h *host) {
			h.local.Users = append(h.local.Users, accounts.HostUser{Name: "bob", UID: 1001, GID: 1001})
		}, 0, "alice carol erin"},
		"nss.db is gone": {func(h *host) { h.does(os.Remove(filepath.Join(h.Dir, cache.NSSFile))) }, 0,
			everyone},
		"nss.db was written over":  {func(h *host) { overwrite(h, cache.NSSFile) }, 0, everyone},
		"keys.db was written over": {func(h *host) { overwrite(h, cache.KeysFile) }, 0, everyone},
		"nss.db got another mode": {func(h *host) {
			h.does(os.Chmod(filepath.Join(h.Dir, cache.NSSFile),
				0o600))
		}, 0, everyone},
		"somebody renamed comes with the day": {func(h *host) { h.does(h.e.UpdateUser("erin", "iris", "")) },
			30 * time.Minute, "alice carol iris"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.Policy.ExpiresTag = "ends"
			h.does(h.e.SetTag("bob", "ends", h.clock.now.UTC().Add(20*time.Minute).Format(time.RFC3339)))
			for range 3 {
				h.refresh()
				h.sweep()
			}
			test.change(h)
			h.clock.pass(test.pass)
			h.refresh()
			h.same("served", h.live(), test.live)
			if err := cache.Verify(h.Dir); err != nil {
				t.Error(err)
			}
			if info, err := os.Stat(filepath.Join(h.Dir, cache.NSSFile)); err != nil || info.Mode() != 0o644 {
				t.Errorf("nss.db has mode %v, %v", info.Mode(), err)
			}
			h.same("alice's cached keys", h.cached("alice"), alicesKeys)
		})
	}
}

// overwrite spoils a file in place, as no publication does.
func overwrite(h *host, name string) {
	f, err := os.OpenFile(filepath.Join(h.Dir, name), os.O_WRONLY, 0)
	h.does(err)
	_, err = f.WriteAt(make([]byte, 5000), 8192)
	h.does(err, f.Close())
}

// An absence is counted by answers though they say the same.
func TestAnAbsenceIsCountedByAnswersThatSayTheSame(t *testing.T) {
	h := newHost(t)
	for range 3 {
		h.refresh()
	}
	h.does(h.e.RemoveMember("developers", "erin"))
	h.refresh()
	h.same("served after the first answer without erin", h.live(), "alice bob carol erin")
	h.refresh()
	h.same("served after the second", h.live(), "alice bob carol")
}

// A denial from a login's answer ends with a refresh that still has the user.
func TestAnAnswerThatComesAgainEndsADenial(t *testing.T) {
	h := newHost(t)
	for range 3 {
		h.refresh()
		h.sweep()
	}
	h.does(h.e.RemoveMember("developers", "bob"))
	h.same("bob at the door", h.asked("bob"), "")
	h.does(h.e.AddMember("developers", "bob"), h.PublishChanges())
	h.same("bob's cached keys", h.cached("bob"), "")
	h.refresh()
	h.same("bob's cached keys after a refresh", h.cached("bob"), bobsKey)
}

// The host's accounts are read twice where an answer is computed, once where
// it comes again: so that the tests above do test what comes again.
func TestAnAnswerThatComesAgainIsNotComputed(t *testing.T) {
	h := newHost(t)
	var looked atomic.Int32
	read := h.Host
	h.Host = func() (accounts.Host, error) { looked.Add(1); return read() }
	looks := func() int32 {
		looked.Store(0)
		h.refresh()
		return looked.Load()
	}
	looks()
	if n := looks(); n != 2 {
		t.Errorf("the second answer was computed with %d looks at the host, want 2", n)
	}
	if n := looks(); n != 1 {
		t.Errorf("the third answer took %d looks at the host, want 1", n)
	}
	h.clock.pass(time.Hour)
	if n := looks(); n != 2 {
		t.Errorf("an hour later it took %d looks at the host, want 2: the files are to be checked", n)
	}
	if _, err := h.Refresh(context.Background(), refresh.Options{DryRun: true}); err != nil || looked.Load() != 3 {
		t.Errorf("who asks what would change was told without computing: %v, %d looks", err, looked.Load())
	}
}
