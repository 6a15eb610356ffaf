package refresh_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/iam"
	"github.com/nss-iam/nss-iam/internal/keys"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/internal/state"
	"github.com/nss-iam/nss-iam/tests/emulator"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

// A clock moves a little at every look, and as far as a test wants.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Millisecond)
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A host is one refresher, its folder, and the AWS account that it asks.
type host struct {
	*refresh.Refresher
	t     testing.TB
	e     *emulator.Emulator
	clock *clock
	local *accounts.Host
}

var company = emulator.Company{
	Groups: []emulator.Group{{Name: "developers"}, {Name: "admins"}, {Name: "ops"}, {Name: "guests"}},
	Users: []emulator.User{
		{Name: "alice", Groups: []string{"developers", "admins"}, Keys: []emulator.Key{
			{ID: "APKAALICE00000000001", Body: emulator.RSALine(1, "alice")},
			{ID: "APKAALICE00000000002", Body: emulator.RSALine(2, "alice")},
		}},
		{Name: "bob", Groups: []string{"developers"},
			Keys: []emulator.Key{{ID: "APKABOB0000000000001", Body: emulator.RSALine(3, "bob")}}},
		{Name: "carol", Groups: []string{"developers", "ops"},
			Keys: []emulator.Key{{ID: "APKACAROL00000000001", Body: emulator.RSALine(4, "carol")}}},
		{Name: "dave", Groups: []string{"ops"},
			Keys: []emulator.Key{{ID: "APKADAVE000000000001", Body: emulator.RSALine(5, "dave")}}},
		{Name: "erin", Groups: []string{"developers"}},
		{Name: "frank", Groups: []string{"guests"}},
	},
}

// newHost starts an account and a host whose developers may log in. Its AWS
// client waits for nothing out of courtesy.
func newHost(t testing.TB) *host {
	t.Helper()
	return newHostOf(t, emulator.Options{Company: company}, nil)
}

func newHostOf(t testing.TB, o emulator.Options, change func(*iam.Options)) *host {
	t.Helper()
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": emulator.AccessKey, "AWS_SECRET_ACCESS_KEY": emulator.SecretKey, "AWS_SESSION_TOKEN": "",
		"AWS_PROFILE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_ENDPOINT_URL": "",
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": "", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "",
		"HTTP_PROXY": "", "HTTPS_PROXY": "", "http_proxy": "", "https_proxy": "",
	} {
		t.Setenv(name, value)
	}
	e, err := emulator.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	options := iam.Options{
		Options: awsapi.Options{
			Region:           "eu-west-1",
			Endpoint:         e.URL,
			MetadataEndpoint: e.URL,
			Rate:             1e6,
			Burst:            1e6,
			Attempts:         2,
			Backoff:          time.Millisecond,
			AttemptTimeout:   30 * time.Second,
			CallTimeout:      time.Minute,
		},
	}
	if change != nil {
		change(&options)
	}
	c := config.Default()
	c.Login.Groups, c.Sudo.Groups = []string{"developers"}, []string{"admins"}
	c.Shared = map[string][]string{"ec2-user": {"ops"}}
	c.Removal.MaxFraction = 0.5
	h := &host{t: t, e: e, clock: &clock{now: time.Unix(1800000000, 0)}, local: &accounts.Host{
		Users:  []accounts.HostUser{{Name: "root"}, {Name: "ec2-user", UID: 1000, GID: 1000}},
		Groups: []accounts.HostGroup{{Name: "root"}, {Name: "ec2-user", GID: 1000}},
	}}
	src := iam.NewSource(options)
	h.Refresher = refresh.New(refresh.Setup{
		Source: src, Users: src, InstanceTag: src.InstanceTag, Form: directory.IAMForm, Dir: t.TempDir(),
		Policy: accounts.Policy{
			Range: accounts.Range{Low: c.IDs.Low, High: c.IDs.High}, Login: c.Login.Groups, Sudo: c.Sudo.Groups,
			Shared: c.Shared,
			Shell:  c.Accounts.Shell, NoLogin: "/usr/sbin/nologin", Home: c.Accounts.Home,
			Confirm: c.Removal.Confirm, MaxFraction: c.Removal.MaxFraction, KeepNames: c.Removal.KeepNames,
		},
		Keys: keys.Policy{MinRSABits: 2048, Allowed: c.Keys.Types},
		Login: cache.LoginPolicy{Online: "prefer", Timeout: time.Second, MaxStale: 24 * time.Hour,
			Range: accounts.Range{Low: c.IDs.Low, High: c.IDs.High}},
		Host: func() (accounts.Host, error) { return *h.local, nil }, KeysGID: -1,
		SweepAge: time.Hour, Now: h.clock.Now, Log: slog.New(slog.DiscardHandler),
	})
	h.openState()
	return h
}

func (h *host) openState() {
	h.t.Helper()
	s, err := state.Open(h.Dir)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = s.Close() })
	h.State = s
}

// restart is the same host after its refresher was started again.
func (h *host) restart() *host {
	h.t.Helper()
	if err := h.State.Close(); err != nil {
		h.t.Fatal(err)
	}
	old := h.Refresher
	again := &host{t: h.t, e: h.e, clock: h.clock, local: h.local, Refresher: refresh.New(refresh.Setup{
		Source: old.Source, Users: old.Users, InstanceTag: old.InstanceTag, Form: old.Form, Dir: old.Dir, Policy: old.Policy,
		LoginTag: old.LoginTag, SudoTag: old.SudoTag,
		Keys: old.Keys, Login: old.Login, Host: old.Host, KeysGID: old.KeysGID,
		SweepAge: old.SweepAge, Machine: old.Machine, Now: old.Now, Log: old.Log,
	})}
	again.openState()
	if err := again.Restore(); err != nil {
		h.t.Fatal(err)
	}
	return again
}

// does fails the test at an error of anything that a test does to IAM.
func (h *host) does(errs ...error) {
	h.t.Helper()
	if err := errors.Join(errs...); err != nil {
		h.t.Fatal(err)
	}
}

// refresh is a refresh a minute after what was before.
func (h *host) refresh() refresh.Outcome {
	h.t.Helper()
	h.clock.pass(time.Minute)
	o, err := h.Refresh(h.t.Context(), refresh.Options{})
	if err != nil {
		h.t.Fatal(err)
	}
	return o
}

func (h *host) sweep() refresh.Swept {
	h.t.Helper()
	s, err := h.Logins.Sweep(h.t.Context(), 0)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// users are the served users by name, as the file has them.
func (h *host) users() map[string]accounts.User {
	h.t.Helper()
	tables, _, err := cache.ReadNSS(h.Dir)
	if err != nil {
		h.t.Fatal(err)
	}
	all := map[string]accounts.User{}
	for _, u := range tables.Users {
		all[u.Name] = u
	}
	return all
}

// live are the names of those served users who are no former ones.
func (h *host) live() string {
	h.t.Helper()
	users := h.users()
	maps.DeleteFunc(users, func(_ string, u accounts.User) bool { return u.Former })
	return strings.Join(slices.Sorted(maps.Keys(users)), " ")
}

// cached are the ids of the keys that open the login in keys.db.
func (h *host) cached(name string) string {
	h.t.Helper()
	t, _, err := cache.ReadKeys(h.Dir)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, u := range t.Users {
		if u.Name == name && u.Login {
			if want := h.users()[name].UID; u.UID != want {
				h.t.Errorf("keys.db says uid %d of %s, nss.db %d", u.UID, name, want)
			}
			return ids(u)
		}
	}
	return ""
}

// checked is when somebody's keys were listed, by keys.db.
func (h *host) checked(name string) time.Time {
	h.t.Helper()
	t, _, err := cache.ReadKeys(h.Dir)
	if err != nil {
		h.t.Fatal(err)
	}
	i := slices.IndexFunc(t.Users, func(u cache.UserKeys) bool { return u.Name == name })
	return t.Users[i].Checked
}

// asked are the ids of the keys that open the login by IAM's word.
func (h *host) asked(name string) string {
	h.t.Helper()
	u, _, err := h.Logins.Ask(h.t.Context(), name)
	if err != nil {
		h.t.Fatal(err)
	}
	if !u.Login {
		return ""
	}
	return ids(u)
}

func ids(u cache.UserKeys) string {
	var all []string
	for _, k := range u.Keys {
		all = append(all, k.ID)
	}
	return strings.Join(all, " ")
}

// shared are those whose keys open the account in keys.db.
func (h *host) shared(account string) string {
	h.t.Helper()
	t, _, err := cache.ReadKeys(h.Dir)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, s := range t.Shared {
		if s.Name == account {
			return strings.Join(s.Members, " ")
		}
	}
	return ""
}

// calls are the AWS calls since it was asked before.
func (h *host) calls() map[string]int {
	defer h.e.ResetCalls()
	return h.e.Calls()
}

func (h *host) same(what string, got, want any) {
	h.t.Helper()
	if got != want {
		h.t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// A photo is what a folder holds, and since when.
type photo map[string]struct {
	sum      [32]byte
	modified time.Time
	mode     fs.FileMode
}

func (h *host) photo(names ...string) photo {
	h.t.Helper()
	if len(names) == 0 {
		entries, err := os.ReadDir(h.Dir)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
	}
	p := photo{}
	for _, name := range names {
		path := filepath.Join(h.Dir, name)
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		info, statErr := os.Stat(path)
		if err := errors.Join(err, statErr); err != nil {
			h.t.Fatal(err)
		}
		shot := p[name]
		shot.sum, shot.modified, shot.mode = sha256.Sum256(b), info.ModTime(), info.Mode()
		p[name] = shot
	}
	return p
}

func (h *host) unchanged(before photo, names ...string) {
	h.t.Helper()
	if after := h.photo(names...); !maps.Equal(before, after) {
		h.t.Errorf("files changed: before %v, after %v", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
		for name := range before {
			if before[name] != after[name] {
				h.t.Errorf("%s is another", name)
			}
		}
	}
}

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

func TestAHomeThatAnotherNumberOwnsIsGivenToNobody(t *testing.T) {
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
