package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/control"
	"github.com/nss-iam/nss-iam/internal/iam"
	"github.com/nss-iam/nss-iam/internal/keys"
	"github.com/nss-iam/nss-iam/tests/emulator"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

// The flood as it was seen: ten connections a second, five minutes long, at the
// default rate. Without -whole-flood all rates are five times as high.
var wholeFlood = flag.Bool("whole-flood", false, "flood for five minutes at the default source.rate")

const (
	attacked  = 60 // names that the flood knows
	untouched = 40 // people at whose names nobody tries anything
	published = 45 // groups: a refresh is more calls than go out at once
)

// A flood is one host with people at its door who have no login.
type flood struct {
	*victim
	online   string
	speed    int           // of everything that has a rate
	lasts    time.Duration // all of it
	maxStale time.Duration
	client   control.Client
	people   []cache.UserKeys
}

func floodName(i int) string { return fmt.Sprintf("person%03d", i) }

// config is what the daemon starts with: quickly, which the flood is not to wait for.
func (f *flood) config(rate int) []byte {
	return fmt.Appendf(nil, `[login]
groups = ["developers"]
[accounts]
publish_groups = ["team-*"]
[source]
rate = %d
refresh = "1h"
[keys]
online = %q
max_stale = %q
[metrics]
textfile = %q
[cache]
dir = %q
`, rate, f.online, f.maxStale, filepath.Join(f.dir, "metrics.prom"), filepath.Join(f.dir, "cache"))
}

// newFlood starts the daemon of a host whose people are all known to it.
func newFlood(t *testing.T, online string) *flood {
	t.Helper()
	c := emulator.Company{Groups: []emulator.Group{{Name: "developers"}}}
	for i := range published {
		c.Groups = append(c.Groups, emulator.Group{Name: fmt.Sprintf("team-%02d", i)})
	}
	for i := range attacked + untouched {
		c.Users = append(c.Users, emulator.User{
			Name: floodName(i), Groups: []string{"developers", fmt.Sprintf("team-%02d", i%published)},
			Keys: []emulator.Key{{Body: emulator.RSALine(uint64(i), floodName(i))}},
		})
	}
	e, err := emulator.Start(emulator.Options{Company: c})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	f := &flood{
		victim: &victim{t: t, e: e, dir: t.TempDir()}, online: online, speed: 5, lasts: 75 * time.Second,
		maxStale: time.Minute,
	}
	if *wholeFlood {
		f.speed, f.lasts, f.maxStale = 1, 5*time.Minute, 4*time.Minute
	}
	f.client = control.Client{Path: filepath.Join(f.dir, "run", "sock")}
	if err := errors.Join(
		os.Mkdir(filepath.Join(f.dir, "run"), 0o755),
		os.WriteFile(filepath.Join(f.dir, "config.toml"), f.config(100), 0o644),
	); err != nil {
		t.Fatal(err)
	}
	f.victim.refresh()
	if err := os.WriteFile(filepath.Join(f.dir, "config.toml"), f.config(f.speed*iam.DefaultRate), 0o644); err != nil {
		t.Fatal(err)
	}
	f.startDaemon()
	tables, _, err := cache.ReadKeys(filepath.Join(f.dir, "cache"))
	if err != nil || len(tables.Users) != attacked+untouched {
		t.Fatalf("%d people have keys, %v", len(tables.Users), err)
	}
	f.people = tables.Users
	return f
}

func (f *flood) startDaemon() {
	f.t.Helper()
	log, err := os.Create(filepath.Join(f.dir, "log"))
	if err != nil {
		f.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "run")
	cmd.Env, cmd.Stdout, cmd.Stderr = f.command().Env, log, log
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if text, _ := os.ReadFile(log.Name()); f.t.Failed() {
			f.t.Logf("the daemon:\n%s", text)
		}
		_ = log.Close()
	})
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		_, err := f.client.Status(f.t.Context())
		if err == nil {
			return
		}
		if time.Since(begin) > time.Minute {
			f.t.Fatal(err)
		}
	}
}

// refreshes returns how long a refresh takes that somebody asks for now.
func (f *flood) refreshes() time.Duration {
	f.t.Helper()
	begin := time.Now()
	if _, err := f.client.Refresh(f.t.Context(), control.RefreshRequest{}); err != nil {
		f.t.Errorf("a refresh after %v: %v", time.Since(begin), err)
	}
	return time.Since(begin)
}

// spare waits until everything that may go out at once may do so again.
func (f *flood) spare() {
	time.Sleep(iam.DefaultBurst * time.Second / iam.DefaultRate * 3 / time.Duration(f.speed))
}

// attack tries to log in, ten times a second, at the names it knows, each time
// with key(i), until ctx ends.
func (f *flood) attack(ctx context.Context, key func(i int) string) {
	var asking sync.WaitGroup
	defer asking.Wait()
	tick := time.NewTicker(100 * time.Millisecond / time.Duration(f.speed))
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			_, _ = f.client.Ask(ctx, control.Question{Name: floodName(i % attacked), Key: key(i)})
		})
	}
}

// oldest is the greatest age of a listing in keys.db, and that of people
// at whose names nobody tries anything.
func (f *flood) oldest() (all, alone time.Duration) {
	f.t.Helper()
	tables, _, err := cache.ReadKeys(filepath.Join(f.dir, "cache"))
	if err != nil {
		f.t.Error(err)
	}
	for _, u := range tables.Users {
		age := time.Since(u.Checked)
		all = max(all, age)
		if u.Name >= floodName(attacked) {
			alone = max(alone, age)
		}
	}
	return all, alone
}

// logIn asks as sshd does for a person whose key is the right one.
func (f *flood) logIn(helper string, u cache.UserKeys) (time.Duration, error) {
	begin := time.Now()
	out, err := exec.Command(helper, u.Name, fmt.Sprint(u.UID), u.Keys[0].SHA256(), u.Keys[0].Type).CombinedOutput()
	if err == nil && strings.Count(string(out), "\n") != 1 {
		err = errors.New("no key is given")
	}
	if err != nil {
		err = fmt.Errorf("%s after %v: %w: %s", u.Name, time.Since(begin), err, out)
	}
	return time.Since(begin), err
}

func TestWhoHasNoLoginCannotSpendTheRate(t *testing.T) {
	unmet.Long(t, "people without a login knock for more than a minute")
	for _, c := range []struct {
		name, online string
		known        bool // the keys that are tried are the people's own public ones
	}{
		{"unknown keys, with prefer", "prefer", false},
		{"unknown keys, with require", "require", false},
		{"everybody's public keys, with prefer", "prefer", true},
		{"everybody's public keys, with require", "require", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFlood(t, c.online)
			key := func(i int) string { return keys.Key{Blob: fmt.Append(nil, "stranger ", i)}.SHA256() }
			warm := time.Duration(0)
			if c.known {
				key = func(i int) string { return f.people[i%attacked].Keys[0].SHA256() }
				// Until each name had its turn: two calls each, at the default rate.
				warm = attacked * 2 * time.Second / iam.DefaultRate / time.Duration(f.speed)
			}
			f.withstands(key, warm, !c.known)
		})
	}
}

// withstands floods the host, and looks at what that costs others. Logins that
// need a fresh answer may lack it for as long as warm. How long a refresh takes
// depends on what else the machine does: so a second host, which nobody floods,
// begins each of its refreshes at the same moment.
func (f *flood) withstands(key func(i int) string, warm time.Duration, strangers bool) {
	t := f.t
	helper := filepath.Join(f.dir, "authkeys")
	build := exec.Command("go", "build", "-o", helper, "-ldflags",
		fmt.Sprintf("-X main.cacheDir=%s -X main.socketPath=%s", filepath.Join(f.dir, "cache"), f.client.Path), "../authkeys")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	beside := newFlood(t, f.online)
	var quiet, busy, logins []time.Duration
	f.spare()
	f.e.ResetCalls()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), f.lasts)
	defer cancel()
	var side sync.WaitGroup
	side.Go(func() { f.attack(ctx, key) })
	side.Go(func() {
		for ctx.Err() == nil {
			f.spare()
			f.spare() // refreshes follow one another in minutes, not at once
			var other sync.WaitGroup
			other.Go(func() { quiet = append(quiet, beside.refreshes()) })
			busy = append(busy, f.refreshes())
			other.Wait()
		}
	})
	failed := 0
	for i := 0; ctx.Err() == nil; i += 7 {
		took, err := f.logIn(helper, f.people[i%len(f.people)])
		logins = append(logins, took)
		if err != nil && time.Since(begin) > warm {
			failed++
			t.Log(err)
		}
		if all, _ := f.oldest(); *wholeFlood && all > f.maxStale {
			t.Fatalf("after %v keys are %v old, max_stale is %v", time.Since(begin), all, f.maxStale)
		}
		time.Sleep(time.Second)
	}
	side.Wait()
	took := time.Since(begin)
	calls := 0
	for _, n := range f.e.Calls() {
		calls += n
	}
	if failed > 0 {
		t.Errorf("%d of %d logins with the right key failed", failed, len(logins))
	}
	inFlood, inQuiet := mean(busy), mean(quiet)
	if inFlood > 2*inQuiet {
		t.Errorf("a refresh took %v, and %v at the same time on a host without a flood: %v, %v",
			inFlood, inQuiet, busy, quiet)
	}
	if _, alone := f.oldest(); alone > took {
		t.Errorf("the sweep did not list the keys of people left alone: some are %v old", alone)
	}
	if most := int(took.Seconds()*float64(f.speed*iam.DefaultRate)) + 2*iam.DefaultBurst; calls > most {
		t.Errorf("%d calls in %v, want %d at most", calls, took, most)
	}
	slices.Sort(logins)
	all, alone := f.oldest()
	counts := f.counts(strangers)
	t.Logf("in %v: a refresh took %v in quiet, %v here, up to %v; %d logins, the median %v, the slowest %v; "+
		"keys up to %v old, of people left alone %v; %d calls; %+v",
		took.Round(time.Second), inQuiet.Round(time.Millisecond), inFlood.Round(time.Millisecond),
		slices.Max(busy).Round(time.Millisecond), len(logins), logins[len(logins)/2].Round(time.Millisecond),
		slices.Max(logins).Round(time.Millisecond), all.Round(time.Second),
		alone.Round(time.Second), calls, counts)
}

func mean(all []time.Duration) (sum time.Duration) {
	for _, d := range all {
		sum += d
	}
	return sum / time.Duration(len(all))
}

// counts returns what the daemon counted, and looks for it in the metrics.
func (f *flood) counts(strangers bool) control.Counts {
	f.t.Helper()
	f.refreshes()
	var r report
	text, err := f.client.Status(f.t.Context())
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	metrics, metricsErr := os.ReadFile(filepath.Join(f.dir, "metrics.prom"))
	if err = errors.Join(err, metricsErr); err != nil {
		f.t.Fatal(err)
	}
	counted, name := r.Logins.Limited, "unknown_key"
	if !strangers {
		counted, name = r.Logins.Older, "older_answer"
	}
	if counted == 0 || !strings.Contains(string(metrics), fmt.Sprintf("nss_iam_login_rate_limited_total{outcome=%q} ",
		name)) {
		f.t.Errorf("counted %+v; the metrics say\n%s", r.Logins, metrics)
	}
	return r.Logins
}
