package refresh_test

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
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
