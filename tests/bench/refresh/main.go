// Command refresh measures the refresher: 5,000 users with two keys each and
// 200 groups, in an account on the loopback, through the built program. It
// replaces its section of docs/benchmarks.md, and judges nothing.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/iam"
	"github.com/nss-iam/nss-iam/internal/keys"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/internal/state"
	"github.com/nss-iam/nss-iam/tests/bench/page"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	document := flag.String("page", "docs/benchmarks.md", "the `file` whose section is replaced")
	flag.Parse()
	if err := run(ctx, *document); err != nil {
		fmt.Fprintln(os.Stderr, "bench refresh:", err)
		os.Exit(1)
	}
}

// A bench is one run.
type bench struct {
	ctx     context.Context
	e       *emulator.Emulator
	dir     string
	program string
	rows    [][3]string // what, target, measured
}

func (b *bench) row(what, target, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	b.rows = append(b.rows, [3]string{what, target, text})
	fmt.Printf("%-58s %-12s %s\n", what, target, text)
}

func run(ctx context.Context, document string) error {
	dir, err := os.MkdirTemp("", "nss-iam-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	e, err := emulator.Start(emulator.Options{Company: emulator.Generate(emulator.Size{Users: 5000, Keys: 2, Groups: 200,
		Seed: 1})})
	if err != nil {
		return err
	}
	defer e.Close()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": emulator.AccessKey, "AWS_SECRET_ACCESS_KEY": emulator.SecretKey, "AWS_REGION": "eu-west-1",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": dir + "/none", "AWS_SHARED_CREDENTIALS_FILE": dir + "/none",
		"NO_PROXY": "*",
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	b := &bench{ctx: ctx, e: e, dir: dir, program: filepath.Join(dir, "iam-cachefill")}
	build := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w -X main.socketPath="+filepath.Join(dir, "run",
		"sock"), "-o", b.program, "./cachefill")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := errors.Join(build.Run(), os.Mkdir(filepath.Join(dir, "run"), 0o755)); err != nil {
		return err
	}
	if err := errors.Join(b.first(), b.sweep(), b.steady()); err != nil {
		return err
	}
	return b.write(document)
}

// daemon starts the program over a cache folder.
func (b *bench) daemon(folder string) (*exec.Cmd, error) {
	file := folder + ".toml"
	text := fmt.Sprintf("[source]\nrefresh = \"30s\"\nendpoint = %q\n[login]\ngroups = [\"everyone\"]\n[sudo]\ngroups "+
		"= [\"group-001\"]\n[cache]\ndir = %q\n", b.e.URL, folder)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(b.ctx, b.program, "run", "--config", file)
	cmd.Stderr = os.Stderr
	return cmd, cmd.Start()
}

func stop(cmd *exec.Cmd) error {
	return errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait())
}

// memory reads a line of /proc/PID/status, in MiB.
func memory(pid int, line string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for text := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(text, line+":"); ok {
			n, err := strconv.Atoi(strings.Fields(value)[0])
			return float64(n) / 1024, err
		}
	}
	return 0, fmt.Errorf("no %s in /proc/%d/status", line, pid)
}

// first is a host that has nothing yet.
func (b *bench) first() error {
	folder := filepath.Join(b.dir, "first")
	started := time.Now()
	cmd, err := b.daemon(folder)
	if err != nil {
		return err
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, cache.NSSFile)); err == nil {
			break
		}
		if time.Since(started) > time.Minute {
			return errors.Join(errors.New("nss.db was not published within a minute"), stop(cmd))
		}
		time.Sleep(time.Millisecond)
	}
	b.row("program start to first nss.db published", "< 2 s", "%.2f s", time.Since(started).Seconds())
	peak, err := memory(cmd.Process.Pid, "VmHWM")
	b.row("peak RSS until then", "< 96 MiB", "%.0f MiB", peak)
	return errors.Join(err, stop(cmd))
}

// sweep lists everybody's keys without a limit of rate, into a folder that
// steady goes on with.
func (b *bench) sweep() error {
	c := config.Default()
	folder := filepath.Join(b.dir, "steady")
	if err := os.Mkdir(folder, 0o755); err != nil {
		return err
	}
	s, err := state.Open(folder)
	if err != nil {
		return err
	}
	defer s.Close()
	var host accounts.Host
	src := iam.NewSource(iam.Options{Options: awsapi.Options{Endpoint: b.e.URL, Rate: 1e6, Burst: 1e6}})
	r := refresh.New(refresh.Setup{
		Source: src, Users: src, State: s, Dir: folder,
		Policy: accounts.Policy{
			Range: accounts.Range{Low: c.IDs.Low, High: c.IDs.High}, Login: []string{"everyone"}, Sudo: []string{"group-001"},
			Shell: c.Accounts.Shell, NoLogin: "/usr/sbin/nologin", Home: c.Accounts.Home,
			Confirm: c.Removal.Confirm, MaxFraction: c.Removal.MaxFraction, KeepNames: c.Removal.KeepNames,
		},
		Keys: keys.Policy{Allowed: c.Keys.Types, MinRSABits: c.Keys.MinRSABits},
		Login: cache.LoginPolicy{Online: c.Keys.Online, Timeout: c.Keys.Timeout, MaxStale: c.Keys.MaxStale,
			Range: accounts.Range{Low: c.IDs.Low, High: c.IDs.High}},
		Host: func() (accounts.Host, error) { return host, nil }, KeysGID: -1, SweepAge: c.Keys.MaxStale / 2, Now: time.Now,
		Log: slog.New(slog.DiscardHandler),
	})
	if _, err := r.Refresh(b.ctx, refresh.Options{}); err != nil {
		return err
	}
	b.e.ResetCalls()
	started := time.Now()
	swept, err := r.Logins.Sweep(b.ctx, 0)
	if err != nil {
		return err
	}
	took := time.Since(started)
	b.row(fmt.Sprintf("first sweep of %d keys of %d users, without limit of rate", swept.Keys, swept.Users), "",
		"%.0f s, %d calls", took.Seconds(), total(b.e.Calls()))
	b.row("the same at the default 5 calls a second, computed", "", "%.0f min",
		float64(total(b.e.Calls()))/iam.DefaultRate/60)

	host.Users = []accounts.HostUser{{Name: "user-00001", UID: 1000, GID: 1000}}
	started = time.Now()
	if _, err := r.Rebuild(); err != nil {
		return err
	}
	b.row("one user changed: compute, nss.db and keys.db published", "", "%d ms", time.Since(started).Milliseconds())
	t, _, err := cache.ReadNSS(folder)
	if err != nil {
		return err
	}
	known, _, err := cache.ReadKeys(folder)
	if err != nil {
		return err
	}
	var nss, both []time.Duration
	for range 11 {
		t.Users[0].Gecos += "."
		known.Policy.Timeout += time.Second
		started = time.Now()
		_, err1 := cache.PublishNSS(folder, t, time.Now())
		nss = append(nss, time.Since(started))
		_, err2 := cache.PublishKeys(folder, known, -1, time.Now())
		both = append(both, time.Since(started))
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
	}
	slices.Sort(nss)
	slices.Sort(both)
	b.row("publish of a changed nss.db and keys.db, median of 11", "≤ 150 ms", "%d ms", both[5].Milliseconds())
	b.row("of which nss.db", "", "%d ms", nss[5].Milliseconds())
	return nil
}

func total(calls map[string]int) (n int) {
	for _, c := range calls {
		n += c
	}
	return n
}

// steady is a host that knows everything.
func (b *bench) steady() error {
	cmd, err := b.daemon(filepath.Join(b.dir, "steady"))
	if err != nil {
		return err
	}
	time.Sleep(15 * time.Second) // the first refresh, which finds the files as another policy left them
	b.e.ResetCalls()
	before, err := cpu(cmd.Process.Pid)
	if err != nil {
		return err
	}
	const watched = 60 * time.Second
	for end := time.Now().Add(watched); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if b.ctx.Err() != nil {
			return errors.Join(b.ctx.Err(), stop(cmd))
		}
	}
	after, err := cpu(cmd.Process.Pid)
	if err != nil {
		return err
	}
	calls := b.e.Calls()
	refreshes := max(1, calls["GetGroup"]/6) // five pages of everyone, one of group-001
	var each []string
	for _, action := range slices.Sorted(maps.Keys(calls)) {
		each = append(each, fmt.Sprintf("%d %s", calls[action]/refreshes, action))
	}
	b.row("calls of a refresh without change", "≤ 10", "%s", strings.Join(each, ", "))
	spent := (after - before).Seconds()
	b.row("CPU of a refresh without change", "", "%.0f ms", 1000*spent/float64(refreshes))
	b.row("CPU at source.refresh = 5m, computed", "≤ 0.1 %", "%.2f %%", 100*spent/float64(refreshes)/300)
	peak, err := memory(cmd.Process.Pid, "VmHWM")
	if err != nil {
		return err
	}
	idle, err := memory(cmd.Process.Pid, "VmRSS")
	b.row("peak RSS of the daemon, all keys known", "< 96 MiB", "%.0f MiB", peak)
	b.row("RSS of the daemon at rest", "≤ 32 MiB", "%.0f MiB", idle)
	anon, anonErr := memory(cmd.Process.Pid, "RssAnon")
	b.row("of which are its own, not pages of files", "", "%.0f MiB", anon)
	return errors.Join(err, anonErr, stop(cmd))
}

// cpu is the processor time that a process used so far, in ticks of 10 ms.
func cpu(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// write replaces this benchmark's section of the document.
func (b *bench) write(document string) error {
	var s strings.Builder
	fmt.Fprintf(&s, "5,000 users with two keys each, 200 groups, an IAM on the loopback; %s/%s, %d processors, %s.\n\n"+
		"| what | target | measured |\n|---|---|---|\n",
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	for _, r := range b.rows {
		fmt.Fprintf(&s, "| %s | %s | %s |\n", r[0], r[1], r[2])
	}
	return page.Replace(document, "refresh", s.String())
}
