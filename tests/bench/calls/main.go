// Command calls counts what a host asks of IAM in an hour, by the number of
// users and of groups in its configuration: the refresher's own code, against
// an account on the loopback. It replaces its section of docs/benchmarks.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/iam"
	"github.com/nss-iam/nss-iam/internal/keys"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/internal/schedule"
	"github.com/nss-iam/nss-iam/internal/state"
	"github.com/nss-iam/nss-iam/tests/bench/page"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	name := flag.String("page", "docs/benchmarks.md", "the `file` whose section is replaced")
	flag.Parse()
	if err := run(ctx, *name); err != nil {
		fmt.Fprintln(os.Stderr, "bench calls:", err)
		os.Exit(1)
	}
}

// A size is a company and how much of it the configuration names.
type size struct{ users, groups int }

// hourly is what was counted of one size, an hour.
type hourly struct {
	size
	bulk                        bool
	each, memberships, sweeping float64 // calls of one refresh, of all of an hour, of the sweep in an hour
}

func run(ctx context.Context, document string) error {
	none := os.DevNull
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": emulator.AccessKey, "AWS_SECRET_ACCESS_KEY": emulator.SecretKey, "AWS_REGION": "eu-west-1",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "NO_PROXY": "*",
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	c := config.Default()
	var s strings.Builder
	// Jittered is two thirds to all of the interval, and the calls follow from its middle.
	between := schedule.Jittered(c.Source.Refresh, 0.5)
	age := c.Keys.MaxStale / 2
	fmt.Fprintf(&s, "`source.refresh = %q`, which is every %s with its jitter; everybody in one login group, the "+
		"further groups published;\ntwo keys each, listed again within %s. Counted by the emulated account. A host that "+
		"reads a snapshot asks IAM nothing.\nAfter each refresh the daemon tries what a login asks, where somebody may "+
		"log in: "+
		"three calls more, %.0f an hour.\n\n",
		"5m", between, age, 3*time.Hour.Seconds()/between.Seconds())
	s.WriteString("| users | groups | mode | calls of a refresh | refreshes, an hour | key sweep, an hour | both |\n" +
		"|--:|--:|---|--:|--:|--:|--:|\n")
	for _, users := range []int{50, 500, 5000} {
		for _, groups := range []int{1, 10, 100} {
			for _, bulk := range []bool{false, true} {
				h, err := count(ctx, c, size{users, groups}, bulk, between, age)
				if err != nil {
					return err
				}
				mode := "direct"
				if bulk {
					mode = "bulk"
				}
				line := fmt.Sprintf("| %d | %d | %s | %.0f | %.0f | %.0f | %.0f |\n", users, groups, mode, h.each, h.memberships,
					h.sweeping, h.memberships+h.sweeping)
				fmt.Print(line)
				s.WriteString(line)
			}
		}
	}
	s.WriteString("| any | any | snapshot | 0 | 0 | 0 | 0 |\n")
	if err := identityCenter(ctx, &s); err != nil {
		return err
	}
	return page.Replace(document, "calls", s.String())
}

// count lets a host that knows everything refresh and sweep through one age of
// its keys.
func count(ctx context.Context, c config.Config, z size, bulk bool, between, age time.Duration) (h hourly, err error) {
	e, err := emulator.Start(emulator.Options{Company: emulator.Generate(emulator.Size{Users: z.users, Keys: 2,
		Groups: max(z.groups-1, 1), Seed: 1})})
	if err != nil {
		return h, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	dir, err := os.MkdirTemp("", "nss-iam-bench-")
	if err != nil {
		return h, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := state.Open(dir)
	if err != nil {
		return h, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	now := time.Now()
	src := iam.NewSource(iam.Options{Options: awsapi.Options{Endpoint: e.URL, Rate: 1e6, Burst: 1e6}, Bulk: bulk})
	r := refresh.New(refresh.Setup{
		Source: src, Users: src, State: s, Dir: dir,
		Policy: accounts.Policy{
			Range: accounts.Range{Low: c.IDs.Low, High: c.IDs.High}, Login: []string{"everyone"},
			Shell: c.Accounts.Shell, NoLogin: "/usr/sbin/nologin", Home: c.Accounts.Home,
			Confirm: c.Removal.Confirm, MaxFraction: c.Removal.MaxFraction, KeepNames: c.Removal.KeepNames,
		},
		Keys: keys.Policy{Allowed: c.Keys.Types, MinRSABits: c.Keys.MinRSABits},
		Login: cache.LoginPolicy{Online: c.Keys.Online, Timeout: c.Keys.Timeout, MaxStale: c.Keys.MaxStale,
			Range: accounts.Range{Low: c.IDs.Low, High: c.IDs.High}},
		Host: func() (accounts.Host, error) { return accounts.Host{}, nil }, KeysGID: -1, SweepAge: age,
		Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
	})
	for g := 1; g < z.groups; g++ {
		r.Policy.Publish = append(r.Policy.Publish, fmt.Sprintf("group-%03d", g))
	}
	refreshes := func(n int) error {
		for range n {
			now = now.Add(between)
			if _, err := r.Refresh(ctx, refresh.Options{}); err != nil {
				return err
			}
		}
		return nil
	}
	if err := refreshes(2); err != nil {
		return h, err
	}
	if _, err := r.Logins.Sweep(ctx, 0); err != nil {
		return h, err
	}
	const watched = 6
	e.ResetCalls()
	if err := refreshes(watched); err != nil {
		return h, err
	}
	h = hourly{size: z, bulk: bulk, each: float64(total(e.Calls())) / watched}
	h.memberships = h.each * float64(time.Hour) / float64(between)
	now = now.Add(age)
	e.ResetCalls()
	if _, err := r.Logins.Sweep(ctx, 0); err != nil {
		return h, err
	}
	h.sweeping = float64(total(e.Calls())) * float64(time.Hour) / float64(age)
	return h, nil
}

func total(calls map[string]int) (n int) {
	for _, c := range calls {
		n += c
	}
	return n
}
