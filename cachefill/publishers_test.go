package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/control"
	"github.com/nss-iam/nss-iam/internal/state"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

// another is a further host of the same account.
func (v *victim) another(config string) *victim {
	v.t.Helper()
	w := &victim{t: v.t, e: v.e, dir: v.t.TempDir()}
	config += fmt.Sprintf("[cache]\ndir = %q\n", w.cache())
	if err := errors.Join(os.Mkdir(filepath.Join(w.dir, "run"), 0o755),
		os.WriteFile(filepath.Join(w.dir, "config.toml"), []byte(config), 0o644)); err != nil {
		v.t.Fatal(err)
	}
	return w
}

// refreshed has the daemon refresh, and returns the generation of the snapshot that
// it serves or published.
func (v *victim) refreshed() (generation uint64, err error) {
	client := control.Client{Path: filepath.Join(v.dir, "run", "sock")}
	if _, err := client.Refresh(v.t.Context(), control.RefreshRequest{}); err != nil {
		return 0, err
	}
	b, err := client.Status(v.t.Context())
	var r report
	if err = errors.Join(err, json.Unmarshal(b, &r)); err == nil && r.Error+r.Unwritten != "" {
		err = errors.New(r.Error + r.Unwritten)
	}
	switch {
	case r.Snapshot != nil:
		generation = r.Snapshot.Generation
	case r.Published != nil:
		generation = r.Published.Generation
	}
	return generation, err
}

// admits reports whether keys.db says that somebody may log in.
func (v *victim) admits(name string) bool {
	v.t.Helper()
	v.live()
	t, _, err := cache.ReadKeys(v.cache())
	if err != nil {
		v.t.Fatal(err)
	}
	return slices.ContainsFunc(t.Users, func(u cache.UserKeys) bool { return u.Name == name && u.Login })
}

// Two publishers are the way to survive the loss of one. They do not know of each other.
func TestTwoPublishersAtOneAddressLeaveHostsAGrowingGeneration(t *testing.T) {
	unmet.Root(t, "the daemon publishes for root alone")
	backend := s3mem.New()
	if err := backend.CreateBucket("fleet"); err != nil {
		t.Fatal(err)
	}
	s3 := httptest.NewServer(gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server())
	t.Cleanup(s3.Close)
	env := []string{"AWS_ENDPOINT_URL_S3=" + s3.URL}
	for kind, address := range map[string]string{"file": "file://" + filepath.Join(t.TempDir(), "snapshot"),
		"s3": "s3://fleet/a/snapshot"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t)
			key := filepath.Join(v.dir, "signing")
			v.start(nil, "publish", "--new-key", key).ends()
			public, err := os.ReadFile(key + ".pub")
			if err != nil {
				t.Fatal(err)
			}
			publish := fmt.Sprintf("[source]\nrate = 100\nbulk = true\n[publish]\nurl = %q\nkey = %q\n", address, key)
			host := v.another(fmt.Sprintf("[source]\nkind = %q\nurl = %q\ntrusted_keys = [%q]\n[keys]\nonline = \"off\"\n"+
				"[removal]\nmax_fraction = 0.5\n%s", kind, address, strings.TrimSpace(string(public)), logins))
			var daemons []*running
			hosts := []*victim{v.another(publish), v.another(publish), host}
			for _, w := range hosts {
				daemons = append(daemons, w.start(env, "run"))
				w.eventually("the daemon answers", w.answers)
				// The host comes last, when there is a snapshot: to have none is an error.
				w.eventually("the first refresh", func() bool { _, err := w.refreshed(); return err == nil })
			}

			done := make(chan struct{})
			var reader, publishers sync.WaitGroup
			reader.Go(func() { // a host that looks all the time
				last := uint64(0)
				for {
					select {
					case <-done:
						return
					default:
					}
					generation, err := host.refreshed()
					if err != nil || generation < last {
						t.Errorf("the host has generation %d after %d, %v", generation, last, err)
						return
					}
					last = generation
				}
			})
			rounds := 30
			if testing.Short() {
				rounds = 5
			}
			for n := range rounds {
				v.move(n)
				for _, w := range hosts[:2] {
					publishers.Go(func() {
						if _, err := w.refreshed(); err != nil {
							t.Error(err)
						}
					})
				}
				publishers.Wait()
				// The refresh that answers may be the reader's, which began before the change.
				host.eventually(fmt.Sprintf("the host knows change %d", n), func() bool {
					_, err := host.refreshed()
					return err == nil && host.admits("dave") == (n%2 == 0)
				})
			}
			close(done)
			reader.Wait()
			wrote := 0
			for i, d := range daemons {
				d.stop()
				text := d.output.String()
				if strings.Contains(text, "level=ERROR") {
					t.Errorf("daemon %d: %s", i, text)
				}
				wrote += strings.Count(text, "snapshot published")
				t.Logf("daemon %d wrote %d snapshots", i, strings.Count(text, "snapshot published"))
			}
			if wrote < rounds {
				t.Errorf("%d snapshots for %d changes", wrote, rounds)
			}
		})
	}
}

// Publishers with keys of their own, of which neither has the other's as trusted, replace
// each other's snapshots for ever. Both must say so.
func TestPublishersThatDoNotTrustEachOtherSaySo(t *testing.T) {
	unmet.Root(t, "the daemon publishes for root alone")
	v := newVictim(t)
	address := "file://" + filepath.Join(t.TempDir(), "snapshot")
	var hosts []*victim
	var daemons []*running
	for i := range 2 {
		key := filepath.Join(v.dir, fmt.Sprintf("signing-%d", i))
		v.start(nil, "publish", "--new-key", key).ends()
		w := v.another(fmt.Sprintf("[source]\nrate = 100\nbulk = true\n[publish]\nurl = %q\nkey = %q\n", address, key))
		hosts = append(hosts, w)
		daemons = append(daemons, w.start(nil, "run"))
		w.eventually("the daemon answers", w.answers)
		if _, err := w.refreshed(); err != nil {
			t.Error(err)
		}
	}
	for i, w := range hosts { // the second has written last
		if _, err := w.refreshed(); err != nil {
			t.Error(err)
		}
		status := w.start(nil, "status")
		<-status.ended
		if text := status.output.String(); !strings.Contains(text, "it replaced what no host should use") {
			t.Errorf("status of publisher %d: %s", i, text)
		}
		daemons[i].stop()
		if text := daemons[i].output.String(); !strings.Contains(text, "level=ERROR msg=\"replaced a snapshot that no host "+
			"should use") {
			t.Errorf("log of publisher %d: %s", i, text)
		}
	}
}

// A second daemon on one host takes over where the first is gone, and not before.
func TestASecondDaemonOfAHostTakesOverWhenTheFirstIsGone(t *testing.T) {
	v := newVictim(t)
	v.refresh()
	first := v.start(nil, "run")
	v.eventually("the first answers", v.answers)
	second := v.start(nil, "run")
	v.eventually("the second waits", func() bool { return strings.Contains(second.output.String(), "waiting for") })
	if want := fmt.Sprintf("process %d, ", first.cmd.Process.Pid); !strings.Contains(second.output.String(), want) {
		t.Errorf("it does not name %s: %s", want, second.output.String())
	}
	if _, err := v.refreshed(); err != nil {
		t.Errorf("the first: %v", err)
	}
	if err := first.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-first.ended
	v.eventually("the second has the state", func() bool {
		return strings.Contains(state.Holder(v.cache()), fmt.Sprintf("process %d, ", second.cmd.Process.Pid))
	})
	v.eventually("the second answers", v.answers)
	if _, err := v.refreshed(); err != nil {
		t.Errorf("the second: %v", err)
	}
	v.live()
	second.stop()
}
