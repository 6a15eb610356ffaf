package refresh_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/internal/state"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

// What the directory said at a login is the answer. That it cannot be written,
// on a full disk for one, is for the log.
func TestALoginsAnswerDoesNotDependOnWhetherItCanBeWritten(t *testing.T) {
	for name, test := range map[string]struct {
		change func(h *host) error
		want   string // bob's keys
	}{
		"nothing changed":     {func(h *host) error { return nil }, bobsKey},
		"out of the group":    {func(h *host) error { return h.e.RemoveMember("developers", "bob") }, ""},
		"deleted":             {func(h *host) error { return h.e.DeleteUser("bob") }, ""},
		"the key is inactive": {func(h *host) error { return h.e.SetKeyStatus("bob", bobsKey, "Inactive") }, ""},
		"another key": {func(h *host) error {
			_, err := h.e.AddKey("bob", emulator.Key{ID: "APKABOB0000000000002", Body: emulator.RSALine(8, "bob")})
			return err
		}, bobsKey + " APKABOB0000000000002"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			var log strings.Builder
			h.Log = slog.New(slog.NewTextHandler(&log, nil))
			h.refresh()
			h.sweep()
			h.does(test.change(h), h.State.Close())
			read, err := state.Read(h.Dir)
			h.does(err)
			t.Cleanup(func() { _ = read.Close() })
			h.State = read // every Save fails
			h.same("bob, asked", h.asked("bob"), test.want)
			if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "read only") {
				t.Errorf("the log does not say what could not be written: %s", log.String())
			}
			if u, err := h.Logins.Admit(t.Context(), "bob"); err != nil ||
				u.Login != (name != "out of the group" && name != "deleted") {
				t.Errorf("Admit: %+v, %v", u, err)
			}
			if name != "out of the group" && name != "deleted" {
				return
			}
			// The cache still says yes, so an outage must not be an error here.
			h.does(h.e.SetFaults(emulator.Fault{Kind: emulator.Deny, Times: -1}))
			h.same("bob, asked in an outage", h.asked("bob"), "")
			if u, err := h.Logins.Admit(t.Context(), "bob"); err != nil || u.Login {
				t.Errorf("Admit in an outage: %+v, %v", u, err)
			}
		})
	}
}

// A permission may be limited to a path, and login groups have members outside.
func TestAUserAboutWhomTheDirectoryDoesNotAnswerStopsNobodyElse(t *testing.T) {
	h := newHost(t)
	h.refresh()
	refused := &refusing{UserSource: h.Users, id: h.id("bob")}
	h.Users = refused
	for range 3 {
		swept := h.sweep()
		h.same("users left over", swept.Remaining, 0)
	}
	h.same("questions about bob within a few minutes", refused.asked.Load(), int64(1))
	h.same("alice's cached keys", h.cached("alice"), alicesKeys)
	h.same("carol's cached keys", h.cached("carol"), carolsKey)
	h.same("bob's cached keys", h.cached("bob"), "")
	findings := h.refresh().Findings
	i := slices.IndexFunc(findings, func(f accounts.Finding) bool { return f.Reason == accounts.KeysRefused })
	if i < 0 || findings[i].DirectoryName != "bob" || !strings.Contains(findings[i].Detail,
		"lacks iam:ListSSHPublicKeys") {
		t.Errorf("findings are %v, want one about bob's keys", findings)
	}

	refused.id = ""
	h.clock.pass(11 * time.Minute)
	h.sweep()
	h.same("bob's cached keys, permitted", h.cached("bob"), bobsKey)
	if findings := h.refresh().Findings; len(findings) != 0 {
		t.Errorf("findings are %v, want none", findings)
	}
}

// refusing answers about all users but one, or about none.
type refusing struct {
	directory.UserSource
	id    string
	all   bool
	asked atomic.Int64 // a sweep asks in parallel
}

func (r *refusing) Keys(ctx context.Context, u directory.User, q directory.KeyQuery) (directory.KeyListing, error) {
	if u.ID == r.id || r.all {
		r.asked.Add(1)
		return directory.KeyListing{}, errors.Join(directory.ErrUserRefused,
			errors.New("arn:aws:iam::1:user/reader lacks iam:ListSSHPublicKeys"))
	}
	return r.UserSource.Keys(ctx, u, q)
}

func TestADirectoryThatAnswersAboutNobodyEndsTheSweep(t *testing.T) {
	h := newHostOf(t, emulator.Options{Company: emulator.Generate(emulator.Size{Users: 100, Keys: 1})}, nil)
	h.Policy.Login, h.Policy.Sudo, h.Policy.Shared = []string{"everyone"}, nil, nil
	h.refresh()
	refused := &refusing{UserSource: h.Users, all: true}
	h.Users = refused
	if _, err := h.Logins.Sweep(t.Context(), 0); !errors.Is(err, directory.ErrUserRefused) {
		t.Errorf("got %v, want the refusal", err)
	}
	if asked := refused.asked.Load(); asked > 30 {
		t.Errorf("%d questions were asked, want an end after about 10", asked)
	}
}

// A sweep that is done is published, whatever comes next: a refresh from the
// command line ends with it.
func TestASweepPublishesThatKeysWereChecked(t *testing.T) {
	h := newHost(t)
	h.Login.MaxStale = 2 * time.Minute
	h.SweepAge = time.Minute
	h.refresh()
	h.sweep()
	before := h.checked("alice")
	h.clock.pass(3 * time.Minute)
	once := refresh.New(h.Setup) // as a process of its own
	h.does(once.Restore())
	if _, err := once.Logins.Sweep(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if now := h.checked("alice"); !now.After(before.Add(2 * time.Minute)) {
		t.Errorf("alice's keys were checked at %v by keys.db, want after %v", now, before.Add(2*time.Minute))
	}
}

func TestKeysAreCheckedAsOftenAsItCostsNothing(t *testing.T) {
	h := newHost(t)
	h.SweepAge = 12 * time.Hour
	h.refresh()
	h.same("swept at first", h.sweep().Users, 5)
	h.clock.pass(50 * time.Minute)
	h.same("swept before an hour", h.sweep().Users, 0)
	h.clock.pass(11 * time.Minute)
	h.same("swept after an hour", h.sweep().Users, 5)
}

func TestNssDBThatIsDeletedUnderTheDaemonIsPublishedAgain(t *testing.T) {
	h := newHost(t)
	h.refresh()
	for name, spoil := range map[string]func(){
		"deleted":      func() { h.does(os.Remove(filepath.Join(h.Dir, cache.NSSFile))) },
		"written over": func() { overwrite(h, cache.NSSFile) },
	} {
		spoil()
		h.does(h.PublishChanges())
		h.same("served after nss.db was "+name, h.live(), "alice bob carol erin")
	}
	before := h.photo()
	h.does(h.PublishChanges())
	h.unchanged(before)
}
