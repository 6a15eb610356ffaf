package refresh_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/iam"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/tests/emulator"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

const (
	alicesKeys = "APKAALICE00000000001 APKAALICE00000000002"
	bobsKey    = "APKABOB0000000000001"
	carolsKey  = "APKACAROL00000000001"
)

func TestTheFirstRefreshServesEverybodyBeforeAnyKeyIsAskedFor(t *testing.T) {
	h := newHost(t)
	o := h.refresh()
	h.same("served", h.live(), "alice bob carol erin")
	h.same("published", o.Published, true)
	for action, n := range h.calls() {
		// The lists are of the others by which ids are claimed; a user is asked about in none.
		if !slices.Contains([]string{"GetGroup", "ListUsers", "ListGroups"}, action) {
			t.Errorf("%d calls of %s", n, action)
		}
	}
	h.same("alice's cached keys", h.cached("alice"), "")
	swept := h.sweep()
	h.same("swept", swept, refresh.Swept{Users: 5, Keys: 5})
	h.same("alice's cached keys", h.cached("alice"), alicesKeys)
	h.same("who enters ec2-user", h.shared("ec2-user"), "carol dave")
	h.same("erin's cached keys", h.cached("erin"), "")
	// One question about the name, one for the list and one for each body.
	h.same("key calls", maps.Equal(h.calls(), map[string]int{"ListSSHPublicKeys": 5, "GetSSHPublicKey": 5, "GetUser": 4}),
		true)
}

func TestARefreshWithoutChangeAsksForMembershipsOnlyAndTouchesNoFile(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.sweep()
	h.refresh()
	h.calls()
	before := h.photo()
	for range 3 {
		o := h.refresh()
		if o.Published || !o.Changes.Empty() {
			t.Errorf("got %+v, want nothing", o)
		}
		h.sweep()
	}
	h.unchanged(before)
	if calls := h.calls(); !maps.Equal(calls, map[string]int{"GetGroup": 9}) {
		t.Errorf("got calls %v, want 3 of GetGroup for each of 3 refreshes", calls)
	}
}

func TestADryRunChangesNothing(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.sweep()
	_, err := h.e.CreateUser(emulator.User{Name: "grace", Groups: []string{"developers"}})
	h.does(err, h.e.RemoveMember("developers", "bob"))
	before := h.photo()
	o, err := h.Refresh(t.Context(), refresh.Options{DryRun: true, AcceptRemovals: true})
	h.does(err)
	if len(o.Changes.Added) != 1 || len(o.Changes.BecameFormer) != 1 || o.Published {
		t.Errorf("got %+v, want grace added and bob left", o)
	}
	h.unchanged(before)
	h.same("bob's keys, asked", h.asked("erin"), "")
}

func TestAFailureOfIAMLeavesWhatIsServedUntouched(t *testing.T) {
	unmet.Long(t, "each failure waits for its time limit")
	short := func(o *iam.Options) {
		o.AttemptTimeout, o.CallTimeout, o.PageTimeout = 300*time.Millisecond, time.Second, 300*time.Millisecond
	}
	for name, c := range map[string]struct {
		spoil  func(h *host) error
		client func(*iam.Options)
		want   error
	}{
		"a permission is missing": {func(h *host) error {
			return h.e.SetFaults(emulator.Fault{Kind: emulator.Deny,
				Times: -1})
		}, nil, awsapi.ErrAccessDenied},
		"IAM throttles": {func(h *host) error {
			return h.e.SetFaults(emulator.Fault{Kind: emulator.Throttle,
				Times: -1})
		}, nil, awsapi.ErrThrottled},
		"IAM fails": {func(h *host) error {
			return h.e.SetFaults(emulator.Fault{Kind: emulator.Failure,
				Times: -1})
		}, nil, awsapi.ErrService},
		"IAM stalls": {func(h *host) error {
			return h.e.SetFaults(emulator.Fault{Kind: emulator.Stall,
				Times: -1})
		}, short, awsapi.ErrTimeout},
		"an answer is cut off": {func(h *host) error {
			return h.e.SetFaults(emulator.Fault{Kind: emulator.Cut,
				Times: -1})
		}, nil, awsapi.ErrIncomplete},
		"an answer has no body": {func(h *host) error {
			return h.e.SetFaults(emulator.Fault{Kind: emulator.Empty,
				Times: -1})
		}, nil, awsapi.ErrIncomplete},
		"a page has no marker": {func(h *host) error {
			return h.e.SetFaults(emulator.Fault{Kind: emulator.NoMarker,
				Times: -1})
		}, nil, awsapi.ErrIncomplete},
		"credentials have expired": {func(h *host) error {
			return h.e.SetFaults(emulator.Fault{Kind: emulator.Expire,
				Times: -1})
		}, nil, awsapi.ErrExpired},
		"connections are cut": {func(h *host) error {
			return h.e.SetFaults(emulator.Fault{Kind: emulator.Reset,
				Times: -1})
		}, nil, awsapi.ErrUnreachable},
		"nobody answers any longer": {func(h *host) error { return h.e.Close() }, nil, awsapi.ErrUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostOf(t, emulator.Options{Company: company, Settings: emulator.Settings{PageSize: 2}}, c.client)
			h.refresh()
			h.sweep()
			h.refresh()
			before := h.photo()
			h.does(c.spoil(h))
			for range 3 {
				h.clock.pass(time.Minute)
				if _, err := h.Refresh(t.Context(), refresh.Options{}); !errors.Is(err, c.want) {
					t.Errorf("got error %v, want %v", err, c.want)
				}
			}
			h.unchanged(before)
			if _, err := h.Rebuild(); err != nil {
				t.Errorf("what is known cannot be used any more: %v", err)
			}
			h.unchanged(before)
		})
	}
}

func TestARefreshEndsWithItsContext(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.does(h.e.SetFaults(emulator.Fault{Kind: emulator.Stall, Times: -1}))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	started := time.Now()
	if _, err := h.Refresh(ctx, refresh.Options{}); !errors.Is(err, context.DeadlineExceeded) &&
		!errors.Is(err, awsapi.ErrTimeout) {
		t.Errorf("got %v, want the context's end", err)
	}
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestAStalledRefreshHoldsUpNothingElse(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.sweep()
	h.does(h.e.SetFaults(emulator.Fault{Kind: emulator.Stall, Action: "GetGroup", Times: -1}))
	h.calls()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := h.Refresh(ctx, refresh.Options{})
		done <- err
	}()
	for len(h.e.Calls()) == 0 {
		time.Sleep(time.Millisecond)
	}
	h.local.Users = append(h.local.Users, accounts.HostUser{Name: "bob", UID: 1001, GID: 1001})
	if _, err := h.Rebuild(); err != nil {
		t.Error(err)
	}
	h.same("served", h.live(), "alice carol erin")
	h.same("alice's keys, asked", h.asked("alice"), alicesKeys)
	if _, err := h.Explain("alice"); err != nil {
		t.Error(err)
	}
	h.does(h.PublishChanges())
	cancel()
	if err := <-done; err == nil {
		t.Error("the stalled refresh came to an end")
	}
}

func TestADamagedOrForeignFileIsReplacedByTheNextRefresh(t *testing.T) {
	damage := map[string]func(path string) error{
		"cut off":    func(path string) error { return os.Truncate(path, 5000) },
		"emptied":    func(path string) error { return os.Truncate(path, 0) },
		"removed":    os.Remove,
		"text":       func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("hello\n", 4000)), 0o600) },
		"a bit flip": func(path string) error { return flip(path) },
		"writable by others": func(path string) error {
			return os.Chmod(path, 0o666)
		},
		"a symbolic link": func(path string) error {
			return errors.Join(os.Rename(path, path+".elsewhere"), os.Symlink(path+".elsewhere", path))
		},
	}
	if os.Geteuid() == 0 {
		damage["somebody else's"] = func(path string) error { return os.Chown(path, 12345, 12345) }
	}
	for name, damage := range damage {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.refresh()
			h.sweep()
			for _, file := range []string{cache.NSSFile, cache.KeysFile} {
				h.does(damage(filepath.Join(h.Dir, file)))
			}
			h.refresh()
			h.same("served", h.live(), "alice bob carol erin")
			h.same("alice's cached keys", h.cached("alice"), alicesKeys)
			if err := cache.Verify(h.Dir); err != nil {
				t.Error(err)
			}
		})
	}
}

// flip changes a bit in the middle of a file's last name of a user.
func flip(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	i := strings.LastIndex(string(b), "carol")
	b[i] ^= 1
	return os.WriteFile(path, b, 0o600)
}

func TestAnAccountThatTheHostGainsWinsAtTheNextRebuild(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.sweep()
	h.calls()
	h.local.Users = append(h.local.Users, accounts.HostUser{Name: "alice", UID: 1001, GID: 1001})
	o, err := h.Rebuild()
	h.does(err)
	h.same("served", h.live(), "bob carol erin")
	h.same("published", o.Published, true)
	h.same("alice's cached keys", h.cached("alice"), "")
	h.same("alice's keys, asked", h.asked("alice"), "")
	h.local.Users = h.local.Users[:2]
	_, err = h.Rebuild()
	h.does(err)
	h.same("served", h.live(), "alice bob carol erin")
	h.same("calls", len(h.calls()), 0)
	h.sweep()
	h.same("alice's cached keys", h.cached("alice"), alicesKeys)
}

func TestAHostThatCannotBeReadChangesNothing(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.sweep()
	before := h.photo()
	h.Host = func() (accounts.Host, error) { return accounts.Host{}, errors.New("no /etc/passwd") }
	if _, err := h.Refresh(t.Context(), refresh.Options{}); err == nil {
		t.Error("a refresh without the local accounts")
	}
	if _, err := h.Rebuild(); err == nil {
		t.Error("a rebuild without the local accounts")
	}
	h.unchanged(before)
}

func TestAMissingInstanceTagServesNobodyNewAndRemovesNobody(t *testing.T) {
	h := newHostOf(t, emulator.Options{Company: company, Instance: emulator.Instance{Role: "host",
		Tags: map[string]string{"login": "guests , ops"}}}, nil)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
	h.LoginTag = "login"
	h.refresh()
	h.same("served", h.live(), "alice bob carol dave erin frank")
	before := h.photo()
	for name, tags := range map[string]map[string]string{"missing": nil, "empty": {"login": ""},
		"no name": {"login": "a b\n"}, "an unknown group": {"login": "strangers"}} {
		h.e.SetInstance(emulator.Instance{Role: "host", Tags: tags})
		_, err := h.e.CreateUser(emulator.User{Name: "new-" + strings.ReplaceAll(name, " ", "-"),
			Groups: []string{"developers"}})
		h.does(err)
		h.clock.pass(time.Minute)
		if _, err := h.Refresh(t.Context(), refresh.Options{}); err == nil {
			t.Errorf("a tag that is %s is no error", name)
		}
	}
	h.unchanged(before)
	h = h.restart()
	h.same("after a restart", h.live(), "alice bob carol dave erin frank")
	h.unchanged(before)
	h.e.SetInstance(emulator.Instance{Role: "host", Tags: map[string]string{"login": "guests,ops"}})
	h.refresh()
	if got := h.live(); !strings.HasPrefix(got, "alice bob carol dave erin frank new-") {
		t.Errorf("got %s", got)
	}
}

func TestARefreshUnderAnOldConfigurationPublishesNothing(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.sweep()
	h.Stop()
	_, err := h.e.CreateUser(emulator.User{Name: "grace", Groups: []string{"developers"}})
	h.does(err)
	before := h.photo()
	if _, err := h.Refresh(t.Context(), refresh.Options{}); err == nil {
		t.Error("it refreshed")
	}
	if err := h.PublishChanges(); err == nil {
		t.Error("it published keys")
	}
	h.unchanged(before)
}

func TestAHomeThatAnotherUIDOwnsIsGivenToNobody(t *testing.T) {
	h := newHost(t)
	owners := map[string]uint32{}
	h.HomeOwners = func([]string) map[string]uint32 { return owners }
	h.refresh()
	alice := h.users()["alice"]
	owners["/home/alice"], owners["/home/bob"] = alice.UID, 0
	h.refresh()
	h.same("with a home of her own, and one of root's", h.users()["alice"].Home+" "+h.users()["bob"].Home,
		"/home/alice /home/bob")

	owners["/home/alice"] = 1000
	h.refresh() // the directory said nothing new
	beside := "/home/alice-" + strconv.FormatUint(uint64(alice.UID), 10)
	h.same("while a local account owns the folder", h.users()["alice"].Home, beside)
	owners[beside] = 1001
	h.refresh()
	h.same("while the one beside it is another's as well", h.users()["alice"].Home, "/nonexistent")
	delete(owners, beside)
	delete(owners, "/home/alice")
	h.refresh()
	h.same("when the folder is gone", h.users()["alice"].Home, "/home/alice")
}

func TestWhomAnEarlierAnswerNamedClaimsAnIDStill(t *testing.T) {
	h := newHost(t)
	full := h.Source
	h.Source = sourceFunc(func(ctx context.Context, q directory.Query) (directory.Answer, error) {
		return full.Directory(ctx, q)
	})
	h.same("everybody is named at first", h.refresh().Whole, true)
	partial := func(ctx context.Context, q directory.Query) (directory.Answer, error) {
		a, err := full.Directory(ctx, q)
		a.Directory.Others, a.Directory.Whole = nil, false
		return a, err
	}
	h.Source = sourceFunc(partial)
	h.clock.pass(time.Minute)
	h.same("the list is denied now", h.refresh().Whole, false)
	others := func() (names string) {
		var d directory.Directory
		h.does(h.State.Load("directory", &d))
		for _, c := range d.Others {
			names += c.Name + " "
		}
		return names
	}
	h.same("others", others(), "guests frank ")
}

// A sourceFunc is a directory that is one function.
type sourceFunc func(context.Context, directory.Query) (directory.Answer, error)

func (f sourceFunc) Directory(ctx context.Context, q directory.Query) (directory.Answer, error) {
	return f(ctx, q)
}
