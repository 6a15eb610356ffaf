package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/control"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/internal/state"
)

func runCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Refresh for as long as the host is up (the daemon)",
		Long: "The daemon, as nss-iam.service starts it: it refreshes on schedule, answers the helpers, and reads its " +
			"configuration again at a SIGHUP.",
		Args: noArguments,
		RunE: job(func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), o.configFile, slog.New(daemonLog(cmd.ErrOrStderr())))
		}),
	}
}

// How often the daemon looks whether there is something to do besides refreshing.
const (
	publishEvery = 2 * time.Second  // keys learned at logins reach keys.db
	hostEvery    = 5 * time.Second  // /etc/passwd and its like
	sweepEvery   = 30 * time.Second // people whose keys are to be listed again
	sweepAtOnce  = 50
	newsEvery    = time.Minute // what is learned of keys reaches the snapshot
)

// readyPatience is how long a host that has no cache yet waits for its first
// before it says that it is ready: what comes after nss-user-lookup.target
// should find people, but a host must boot without the directory.
const readyPatience = 15 * time.Second

// A daemon is the refresher's life between start and stop.
type daemon struct {
	configFile string
	log        *slog.Logger
	state      *state.Store

	mu        sync.Mutex // guards what a reload replaces
	config    config.Config
	refresher *refresh.Refresher // nil until there is a configuration that says who may log in
	sources   sources
	publisher *publisher // nil without [publish]
	learned   live       // since the daemon started

	server    atomic.Pointer[control.Server] // nil until it listens
	kick      chan struct{}                  // asks for a refresh soon
	changed   chan struct{}                  // nss.db is another: nscd is to forget
	newcomers chan struct{}                  // asks for a sweep soon: a refresh may have let people in
	faults    faults                         // what was logged
	told      map[string]bool                // findings of the last refresh
	started   time.Time
	served    chan struct{} // closed once people are served
	serveOnce sync.Once
	refused   atomic.Bool     // the directory did not answer about the person of a login; that may be everybody's matter
	since     atomic.Int64    // when the refresh of the schedule that is under way began, Unix nanoseconds; 0: none
	reporting sync.Mutex      // held while a refresh is reported: each report goes on from the one before
	after     sync.Mutex      // held for what follows a refresh: homes, removed users' processes; guards:
	homeless  map[string]bool // why homes were not made the last time
}

// run is the daemon: it returns when ctx ends, or when it cannot begin.
func run(ctx context.Context, configFile string, log *slog.Logger) error {
	limitMemory()
	d := &daemon{configFile: configFile, log: log, kick: make(chan struct{}, 1), newcomers: make(chan struct{}, 1),
		changed: make(chan struct{}, 1), started: time.Now(), served: make(chan struct{})}
	c, err := loadConfig(configFile)
	if err != nil && !errors.Is(err, config.ErrNotConfigured) {
		return err
	}
	hangup := make(chan os.Signal, 1) // one that comes while the state is waited for is answered after it
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	d.state, err = d.takeState(ctx, c)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // it was told to stop while it waited
	case err != nil:
		return err
	}
	defer func() { _ = d.state.Close() }()
	if err := d.load(); err != nil {
		return err
	}
	if d.current() != nil {
		d.restore()
	}
	d.reportStart()
	defer d.saveSuccess()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var jobs sync.WaitGroup
	defer jobs.Wait()
	background := func(job func(context.Context) error) {
		jobs.Go(func() {
			if err := job(ctx); err != nil {
				stop(err)
			}
		})
	}
	// Before anything says READY: who comes then is to find the daemon.
	listener, err := listen()
	if err != nil {
		return err
	}
	background(func(ctx context.Context) error { return d.serve(ctx, listener) })
	background(d.refreshForEver)
	background(d.sweepForEver)
	background(d.watchHost)
	background(d.nscdForEver)
	served := d.served
	patience := time.After(readyPatience)
	if d.current() == nil || !d.servesNobody() {
		d.ready()
		served, patience = nil, nil
	}
	watchdog, err := systemd.SdWatchdogEnabled(false)
	if err != nil || watchdog <= 0 {
		watchdog = time.Hour // nobody listens
	}
	alive := time.NewTicker(watchdog / 2)
	defer alive.Stop()
	for {
		select {
		case <-ctx.Done():
			_, _ = systemd.SdNotify(false, systemd.SdNotifyStopping)
			if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
				return cause
			}
			return nil
		case <-served:
			d.ready()
			served, patience = nil, nil
		case <-patience:
			d.log.Warn("nobody is served yet; what starts after nss-user-lookup.target goes on without the directory's users")
			d.ready()
			served, patience = nil, nil
		case <-hangup:
			d.reload()
		case <-alive.C:
			if !d.stuck(time.Now()) {
				_, _ = systemd.SdNotify(false, systemd.SdNotifyWatchdog)
			}
		}
	}
}

// takeState opens the state, which a command may have locked: for an hour, where it reads
// the keys of thousands of people. Where a sound cache is there the daemon is ready
// meanwhile: the cache serves, and what starts after nss-user-lookup.target need not wait
// for a command. Without one it is ready after readyPatience, as ever.
func (d *daemon) takeState(ctx context.Context, c config.Config) (s *state.Store, err error) {
	ready, late, began := false, false, time.Now()
	err = inTurn(ctx, c.Cache.Dir, daemonTurn, d.log, func() (err error) {
		if s, err = openState(c.Cache.Dir, d.log); !errors.Is(err, state.ErrBusy) {
			return err
		}
		_, _ = systemd.SdNotify(false, systemd.SdNotifyWatchdog)
		waited := time.Since(began)
		if !ready && (readServed(c.Cache.Dir).NSS != nil || waited > readyPatience) {
			ready = true
			status := "Waiting for another iam-cachefill, which has state.db locked"
			if holder := state.Holder(c.Cache.Dir); holder != "" {
				status += ": " + holder
			}
			_, _ = systemd.SdNotify(false, systemd.SdNotifyReady+"\nSTATUS="+status)
		}
		if !late && waited > lateAfter {
			late = true
			d.log.Warn("nothing is refreshed yet", "error", heldBy(err, c.Cache.Dir))
		}
		return err
	})
	if ready {
		_, _ = systemd.SdNotify(false, "STATUS=")
	}
	return s, err
}

func (d *daemon) ready() {
	state := systemd.SdNotifyReady
	if d.current() == nil {
		state += "\nSTATUS=Not configured: nothing is served until [login] in " + d.configFile + " says who may log in"
	}
	_, _ = systemd.SdNotify(false, state)
}
