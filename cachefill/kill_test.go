package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/tests/emulator"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

// A victim is a host on which "iam-cachefill refresh" runs and is killed.
type victim struct {
	t       *testing.T
	e       *emulator.Emulator
	dir     string
	program string // "": the test's own
}

func newVictim(t *testing.T) *victim {
	e, err := emulator.Start(emulator.Options{Company: company})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	v := &victim{t: t, e: e, dir: t.TempDir()}
	if err := errors.Join(
		os.Mkdir(filepath.Join(v.dir, "run"), 0o755),
		os.WriteFile(filepath.Join(v.dir, "config.toml"), v.config(), 0o644),
	); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *victim) config() []byte {
	text := "[login]\ngroups = [\"developers\"]\n[removal]\nmax_fraction = 0.5\n[source]\nrate = 100\n"
	return fmt.Appendf(nil, "%s[cache]\ndir = %q\n", text, filepath.Join(v.dir, "cache"))
}

func (v *victim) command() *exec.Cmd {
	cmd := exec.Command(os.Args[0], "refresh")
	if v.program != "" {
		cmd = exec.Command(v.program, "refresh", "--config", filepath.Join(v.dir, "config.toml"))
	}
	// The race detector would have every program sleep for a second at its end.
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", "IAM_CACHEFILL_OF_A_TEST=1", "WORK="+v.dir,
		"AWS_ENDPOINT_URL="+v.e.URL,
		"AWS_REGION=eu-west-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_ACCESS_KEY_ID="+emulator.AccessKey,
		"AWS_SECRET_ACCESS_KEY="+emulator.SecretKey, "AWS_CONFIG_FILE="+v.dir+"/none", "AWS_SHARED_CREDENTIALS_FILE="+v.dir+
			"/none", "NO_PROXY=*")
	return cmd
}

func (v *victim) refresh() {
	v.t.Helper()
	if out, err := v.command().CombinedOutput(); err != nil {
		v.t.Fatalf("%v\n%s", err, out)
	}
}

// live are the users served who are no former ones, and alice's number.
func (v *victim) live() (string, uint32) {
	v.t.Helper()
	dir := filepath.Join(v.dir, "cache")
	tables, _, err := cache.ReadNSS(dir)
	if err := errors.Join(err, cache.Verify(dir)); err != nil {
		v.t.Fatalf("what is served is damaged: %v", err)
	}
	if _, _, err := cache.ReadKeys(dir); err != nil {
		v.t.Fatalf("what opens logins is damaged: %v", err)
	}
	var names []string
	var alice uint32
	for _, u := range tables.Users {
		if !u.Former {
			names = append(names, u.Name)
		}
		if u.Name == "alice" {
			alice = u.UID
		}
	}
	slices.Sort(names)
	return strings.Join(names, " "), alice
}

func (v *victim) move(n int) {
	v.t.Helper()
	change := v.e.AddMember
	if n%2 == 1 {
		change = v.e.RemoveMember
	}
	if err := change("developers", "dave"); err != nil {
		v.t.Fatal(err)
	}
}

const (
	withDave    = "alice bob carol dave eve.at.example.com"
	withoutDave = "alice bob carol eve.at.example.com"
)

// kills is how many refreshes are killed in all, on hosts side by side. A
// machine that is busy elsewhere kills as many as two minutes allow.
const kills, victims = 1000, 4

func TestAKillAtAnyMomentLeavesACompleteState(t *testing.T) {
	unmet.Long(t, "a thousand processes are started and killed")
	// The program as it is installed: the race detector's takes several times as
	// long to start.
	program := filepath.Join(t.TempDir(), "iam-cachefill")
	build := exec.Command("go", "build", "-ldflags", "-X main.socketPath="+filepath.Join(t.TempDir(), "none", "sock"),
		"-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var all, killed atomic.Int64
	t.Run("hosts", func(t *testing.T) {
		for n := range victims {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				v := newVictim(t)
				v.program = program
				v.killAtRandom(kills/victims, &all, &killed)
			})
		}
	})
	t.Logf("%d of %d refreshes were killed", killed.Load(), all.Load())
	if killed.Load() == 0 {
		t.Error("nothing was killed")
	}
}

// killAtRandom kills refreshes at random moments, and looks at what is served
// after each.
func (v *victim) killAtRandom(times int, all, killed *atomic.Int64) {
	t := v.t
	v.refresh()
	_, number := v.live()
	v.move(0)
	started := time.Now()
	v.refresh()
	whole := time.Since(started)
	last := 0
	for n, hit := 1, 0; hit < times && (n < 20 || time.Since(started) < 2*time.Minute); n++ {
		v.move(n)
		cmd := v.command()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.Float64() * 0.9 * float64(whole)))
		_ = cmd.Process.Kill()
		all.Add(1)
		if cmd.Wait() != nil {
			killed.Add(1)
			hit++
		}
		live, alice := v.live()
		if live != withDave && live != withoutDave || alice != number {
			t.Fatalf("after kill %d: served are %q, alice with %d, before %d", n, live, alice, number)
		}
		last = n
	}
	for range 3 { // removals are confirmed
		v.refresh()
	}
	want := withDave
	if last%2 == 1 {
		want = withoutDave
	}
	if live, _ := v.live(); live != want {
		t.Errorf("after it all: served are %q, want %q", live, want)
	}
	left, err := os.ReadDir(filepath.Join(v.dir, "cache"))
	if err != nil || len(left) != 3 {
		t.Errorf("left are %v, %v, want three files", left, err)
	}
}

func TestTwoRefreshesAtOnceLeaveACompleteState(t *testing.T) {
	unmet.Long(t, "twenty processes race for the cache folder")
	v := newVictim(t)
	v.refresh()
	for n := range 10 {
		v.move(n)
		first, second := v.command(), v.command()
		var said strings.Builder
		second.Stderr = &said
		if err := errors.Join(first.Start(), second.Start()); err != nil {
			t.Fatal(err)
		}
		err1, err2 := first.Wait(), second.Wait()
		if err1 != nil && err2 != nil {
			t.Errorf("both failed: %v, %v", err1, err2)
		}
		if err2 != nil && !strings.Contains(said.String(), "it is locked by another iam-cachefill") {
			t.Errorf("the second failed and said %q", said.String())
		}
		if live, _ := v.live(); live != withDave && live != withoutDave {
			t.Errorf("served are %q", live)
		}
	}
}
