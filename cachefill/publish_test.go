package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/state"
	"github.com/nss-iam/nss-iam/tests/emulator"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

// A console runs the command in a folder, against an emulated account.
type console struct {
	t   *testing.T
	e   *emulator.Emulator
	dir string
}

func newTerminal(t *testing.T) *console {
	t.Helper()
	dir := t.TempDir()
	none := filepath.Join(dir, "none")
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": emulator.AccessKey, "AWS_SECRET_ACCESS_KEY": emulator.SecretKey, "AWS_SESSION_TOKEN": "",
		"AWS_PROFILE": "", "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "", "AWS_ENDPOINT_URL": "", "AWS_CA_BUNDLE": "",
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": "", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "",
		"HTTP_PROXY": "", "HTTPS_PROXY": "", "http_proxy": "", "https_proxy": "",
	} {
		t.Setenv(name, value)
	}
	e, err := emulator.Start(emulator.Options{Company: emulator.Company{
		Groups: []emulator.Group{{Name: "developers"}},
		Users: []emulator.User{
			{Name: "alice", Groups: []string{"developers"},
				Keys: []emulator.Key{{ID: "APKAALICE00000000001", Body: emulator.RSALine(1, "alice")}}},
			{Name: "bob"},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	before, nscdBefore := socketPath, nscdSocket
	socketPath, nscdSocket = filepath.Join(dir, "run", "cachefill.sock"), filepath.Join(dir, "nscd")
	t.Cleanup(func() { socketPath, nscdSocket = before, nscdBefore })
	if err := os.Mkdir(filepath.Dir(socketPath), 0o755); err != nil {
		t.Fatal(err)
	}
	return &console{t, e, dir}
}

// config writes a configuration whose cache is a folder of its name.
func (x *console) config(name, text string) string {
	x.t.Helper()
	path := filepath.Join(x.dir, name+".toml")
	text += fmt.Sprintf("\n[cache]\ndir = %q\n", x.cache(name))
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		x.t.Fatal(err)
	}
	return path
}

// host is config for the host's own configuration.
func (x *console) host(name, text string) string {
	x.t.Helper()
	dir, path := cacheDir, configPath
	x.t.Cleanup(func() { cacheDir, configPath = dir, path })
	cacheDir, configPath = x.cache(name), x.config(name, text)
	return configPath
}

func (x *console) cache(name string) string { return filepath.Join(x.dir, name) }

// run runs the command, which must exit with status.
func (x *console) run(status int, args ...string) (stdout, stderr string) {
	x.t.Helper()
	var out, errs bytes.Buffer
	if got := execute(x.t.Context(), ownName, args, &out, &errs); got != status {
		x.t.Fatalf("%q: got status %d, want %d\n%s%s", args, got, status, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

func (x *console) digest(name string) [32]byte {
	x.t.Helper()
	m, err := cache.ReadMeta(x.cache(name))
	if err != nil {
		x.t.Fatal(err)
	}
	return m.Digest
}

const logins = "[login]\ngroups = [\"developers\"]\n"

func TestOnePublishesAndAnotherServesWithoutIAM(t *testing.T) {
	x := newTerminal(t)
	backend := s3mem.New()
	if err := backend.CreateBucket("fleet"); err != nil {
		t.Fatal(err)
	}
	s3 := httptest.NewServer(gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server())
	defer s3.Close()
	t.Setenv("AWS_ENDPOINT_URL_S3", s3.URL)
	iam := fmt.Sprintf("[source]\nendpoint = %q\nrate = 100\nbulk = true\n", x.e.URL)
	publisher := x.config("publisher", iam)
	direct := x.config("direct", iam+logins)
	x.run(exitOK, "--config", direct, "refresh")

	for kind, address := range map[string]string{"file": "file://" + filepath.Join(x.dir, "snapshot"),
		"s3": "s3://fleet/a/snapshot"} {
		key := filepath.Join(x.dir, kind+".key")
		out, _ := x.run(exitOK, "--config", publisher, "publish", address, "--new-key", key, "--expires", "7d")
		trusted := regexp.MustCompile(`(?m)^trusted_keys = \["ssh-ed25519 .*"\]$`).FindString(out)
		if trusted == "" || !strings.Contains(out, "2 users, the keys of 2") {
			t.Fatalf("publish said %q", out)
		}
		if out, _ := x.run(exitOK, "--config", publisher, "publish", address, "--key", key); !strings.Contains(out,
			"is unchanged") {
			t.Errorf("publish again said %q", out)
		}
		host := x.config(kind, fmt.Sprintf("[source]\nkind = %q\nurl = %q\n%s\n[keys]\nonline = \"off\"\n", kind, address,
			trusted)+logins)
		x.e.ResetCalls()
		x.run(exitOK, "--config", host, "refresh")
		if calls := x.e.Calls(); len(calls) > 0 {
			t.Errorf("kind %s: IAM was asked: %v", kind, calls)
		}
		if x.digest(kind) != x.digest("direct") {
			t.Errorf("kind %s serves other tables than IAM itself", kind)
		}
		if tables, _, err := cache.ReadKeys(x.cache(kind)); err != nil || len(tables.Users) != 1 ||
			len(tables.Users[0].Keys) != 1 {
			t.Errorf("kind %s: got keys %+v, %v", kind, tables.Users, err)
		}
		if out, _ := x.run(exitOK, "--config", host, "status"); !strings.Contains(out, "of "+address) {
			t.Errorf("status does not tell of the snapshot:\n%s", out)
		}
	}
	if _, err := os.Stat(filepath.Join(x.cache("publisher"), cache.NSSFile)); !os.IsNotExist(err) {
		t.Errorf("a publisher that serves nobody has an nss.db: %v", err)
	}
}

func TestWhatPublishIsToldWrongIsUsageAndWhatFailsIsFailure(t *testing.T) {
	x := newTerminal(t)
	iam := fmt.Sprintf("[source]\nendpoint = %q\nrate = 100\nbulk = true\n", x.e.URL)
	good := x.config("good", iam)
	address := "file://" + filepath.Join(x.dir, "snapshot")
	key := filepath.Join(x.dir, "key")
	x.run(exitOK, "publish", "--new-key", key)
	snapshotHost := x.config("snapshot", fmt.Sprintf("[source]\nkind = \"file\"\nurl = %q\ntrusted_keys = [\"not a "+
		"key\"]\n%s", address, logins))
	for name, test := range map[string]struct {
		status int
		says   string
		args   []string
	}{
		"no such place": {exitUsage, "is not the address of a snapshot", []string{"--config", good, "publish",
			"http://x/y", "--key", key}},
		"no place": {exitUsage, "no place to publish to", []string{"--config", good, "publish", "--key",
			key}},
		"no key": {exitUsage, "no key to sign with", []string{"--config", good, "publish", address}},
		"two keys": {exitUsage, "key new-key", []string{"--config", good, "publish", address, "--key", key,
			"--new-key", key + "2"}},
		"no duration": {exitUsage, "--expires", []string{"--config", good, "publish", address, "--key", key,
			"--expires", "soon"}},
		"a host without IAM": {exitUsage, "does not write one", []string{"--config", snapshotHost, "publish", address,
			"--key", key}},
		"a host trusting no key": {exitUsage, "source.trusted_keys", []string{"--config", snapshotHost, "check-config"}},
		"a key that is not there": {exitFailed, "no such file", []string{"--config", good, "publish", address, "--key",
			key + "3"}},
		"a key that is there again": {exitFailed, "file exists", []string{"--config", good, "publish", "--new-key", key}},
		"a folder that is not": {exitFailed, "no such file", []string{"--config", good, "publish", address + "/x/y",
			"--key", key}},
	} {
		t.Run(name, func(t *testing.T) {
			x := &console{t, x.e, x.dir}
			_, errs := x.run(test.status, test.args...)
			if !strings.Contains(errs, test.says) {
				t.Errorf("got %q, want %q", errs, test.says)
			}
		})
	}
}

func TestAPublisherKnowsAfterARestartWhatItPublished(t *testing.T) {
	x := newTerminal(t)
	key, path := filepath.Join(x.dir, "key"), filepath.Join(x.dir, "snapshot")
	c := x.config("publisher", fmt.Sprintf("[source]\nendpoint = %q\nrate = 100\nbulk = true\n", x.e.URL))
	publish := func() (string, string) {
		t.Helper()
		return x.run(exitOK, "--config", c, "publish", "file://"+path, "--key", key)
	}
	x.run(exitOK, "publish", "--new-key", key)
	publish()
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.e.DeleteUser("bob"); err != nil {
		t.Fatal(err)
	}
	publish()
	if err := os.WriteFile(path, old, 0o644); err != nil {
		t.Fatal(err)
	}
	out, errs := publish()
	for what, text := range map[string]string{"standard output": out, "the log": errs} {
		if !strings.Contains(text, "somebody put an old file back") {
			t.Errorf("%s does not tell of the old snapshot: %q", what, text)
		}
	}
	if !strings.Contains(errs, "level=ERROR") {
		t.Errorf("the log has no error: %q", errs)
	}
	if now, err := os.ReadFile(path); err != nil || bytes.Equal(now, old) {
		t.Errorf("the old snapshot is still there, %v", err)
	}
}

func TestADaemonThatServesNobodyPublishes(t *testing.T) {
	unmet.Root(t, "the daemon publishes for root alone")
	x := newTerminal(t)
	key, path := filepath.Join(x.dir, "key"), filepath.Join(x.dir, "snapshot")
	x.run(exitOK, "publish", "--new-key", key)
	c := x.config("daemon",
		fmt.Sprintf("[source]\nendpoint = %q\nrate = 100\nbulk = true\n[publish]\nurl = %q\nkey = %q\n", x.e.URL,
			"file://"+path, key))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, c, slog.New(slog.DiscardHandler)) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for there := false; !there; {
		select {
		case err := <-ended:
			t.Fatalf("the daemon ended: %v", err)
		case <-tick.C:
			_, err := os.Stat(path)
			there = err == nil
		}
	}
	// Who publishes by hand has the daemon do it, or is told why not.
	before := configPath
	configPath = c
	t.Cleanup(func() { configPath = before })
	if out, _ := x.run(exitOK, "publish"); !strings.Contains(out, "file://"+path) || !strings.Contains(out, "2 users") {
		t.Errorf("publish beside a daemon says %q", out)
	}
	if _, errs := x.run(exitFailed, "publish", "file://"+path+"2"); !strings.Contains(errs,
		"a daemon runs here and publishes by its own configuration only") {
		t.Errorf("publish elsewhere beside a daemon says %q", errs)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(x.cache("daemon"), cache.NSSFile)); !os.IsNotExist(err) {
		t.Errorf("a daemon that serves nobody has an nss.db: %v", err)
	}
}

func TestWhoPublishesIsToldHowToConfirmRemovals(t *testing.T) {
	x := newTerminal(t)
	key, address := filepath.Join(x.dir, "key"), "file://"+filepath.Join(x.dir, "snapshot")
	c := x.config("publisher", fmt.Sprintf("[source]\nendpoint = %q\nrate = 100\nbulk = true\n", x.e.URL))
	x.run(exitOK, "--config", c, "publish", address, "--new-key", key)
	for _, u := range x.e.Company().Users {
		if err := x.e.DeleteUser(u.Name); err != nil {
			t.Fatal(err)
		}
	}
	want := fmt.Sprintf("run %q", "iam-cachefill publish "+address+" --accept-removals")
	if _, errs := x.run(exitFailed, "--config", c, "publish", address, "--key", key); !strings.Contains(errs, want) {
		t.Errorf("said %q, want %s", errs, want)
	}
	x.run(exitOK, "--config", c, "publish", address, "--key", key, "--accept-removals")
}

func TestTheWatchdogIsToldNothingOfAStuckRefresh(t *testing.T) {
	now := time.Unix(1800000000, 0)
	for name, test := range map[string]struct {
		began   time.Duration // ago; 0: no refresh is under way
		refresh time.Duration
		want    bool
	}{
		"none is under way":                {0, 5 * time.Minute, false},
		"one is at its deadline":           {5 * time.Minute, 5 * time.Minute, false},
		"one is long past its deadline":    {5*time.Minute + overtime + time.Second, 5 * time.Minute, true},
		"a short interval has two minutes": {2*time.Minute + overtime - time.Second, 30 * time.Second, false},
		"and not more":                     {2*time.Minute + overtime + time.Second, 30 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := &daemon{}
			d.config.Source.Refresh = test.refresh
			if test.began > 0 {
				d.since.Store(now.Add(-test.began).UnixNano())
			}
			if got := d.stuck(now); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}

func TestTheWatchdogIsToldNothingWhileTheDaemonsLockIsHeld(t *testing.T) {
	d := &daemon{}
	d.mu.Lock()
	told := make(chan struct{})
	go func() {
		defer close(told)
		d.stuck(time.Now())
	}()
	select {
	case <-told:
		t.Error("the watchdog is told that all is well")
	case <-time.After(50 * time.Millisecond):
	}
	d.mu.Unlock()
	<-told
}

func TestADaemonWhoseStateIsRemovedEnds(t *testing.T) {
	unmet.Long(t, "the daemon's look at its files is waited for")
	x := newTerminal(t)
	c := x.config("host", fmt.Sprintf("[source]\nendpoint = %q\nrate = 100\n%s", x.e.URL, logins))
	ended := make(chan error, 1)
	go func() { ended <- run(t.Context(), c, slog.New(slog.DiscardHandler)) }()
	path := filepath.Join(x.cache("host"), state.File)
	for removed := false; !removed; time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-ended:
			t.Fatalf("the daemon ended: %v", err)
		default:
		}
		if _, err := os.Stat(filepath.Join(x.cache("host"), cache.NSSFile)); err == nil {
			removed = os.Remove(path) == nil
		}
	}
	select {
	case err := <-ended:
		if !errors.Is(err, state.ErrReplaced) {
			t.Errorf("got %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("the daemon goes on")
	}
}
