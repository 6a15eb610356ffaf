package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/control"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/hostfiles"
	"github.com/nss-iam/nss-iam/internal/journal"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/internal/schedule"
	"github.com/nss-iam/nss-iam/internal/state"
)

func runCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Refresh for as long as the host is up (the daemon)",
		Long: "The daemon, as nss-iam.service starts it: it refreshes on schedule, answers the helpers, and reads its " +
			"configuration again at a SIGHUP.",
		Args: cobra.NoArgs,
		RunE: job(func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), o.configFile, slog.New(daemonLog(cmd.ErrOrStderr())))
		}),
	}
}

// journalSocket is where the journal listens; tests have another.
var journalSocket = journal.Socket

// priority is what makes the last words of a program an error in the journal, or
// "" where people read them.
func priority(stderr io.Writer) string {
	if f, ok := stderr.(*os.File); ok && journal.Connected(f) {
		return journal.Prefix
	}
	return ""
}

// daemonLog is the journal with its fields, where systemd has started the daemon;
// elsewhere it is text on standard error.
func daemonLog(stderr io.Writer) slog.Handler {
	if f, ok := stderr.(*os.File); ok && journal.Connected(f) {
		return journal.NewHandler(journalSocket, f, slog.LevelDebug)
	}
	return slog.NewTextHandler(stderr, &slog.HandlerOptions{ReplaceAttr: withoutTime})
}

// withoutTime leaves the time to the journal.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// How often the daemon looks whether there is something to do besides refreshing.
const (
	publishEvery = 2 * time.Second  // keys learnt at logins reach keys.db
	hostEvery    = 5 * time.Second  // /etc/passwd and its like
	sweepEvery   = 30 * time.Second // people whose keys are to be listed again
	sweepAtOnce  = 50
	newsEvery    = time.Minute // what is learnt of keys reaches the snapshot
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
	if d.state, err = openState(c.Cache.Dir, log); err != nil {
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
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)

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

func (d *daemon) ready() {
	state := systemd.SdNotifyReady
	if d.current() == nil {
		state += "\nSTATUS=Not configured: nothing is served until [login] in " + d.configFile + " says who may log in"
	}
	_, _ = systemd.SdNotify(false, state)
}

// load reads the configuration and makes a refresher of it. A file without a
// login rule is no fault: the daemon waits for one.
func (d *daemon) load() error {
	c, err := loadConfig(d.configFile)
	if errors.Is(err, config.ErrNotConfigured) {
		d.log.Warn("not configured: nothing is served until [login] says who may log in", "config", d.configFile)
		if c.Publish.URL == "" {
			d.replace(c, nil, sources{}, nil)
			return nil
		}
		err = nil
	}
	if err != nil {
		return err
	}
	var writer *publisher
	if c.Publish.URL != "" {
		if writer, err = newPublisher(c); err != nil {
			return err
		}
	}
	r, a, err := newRefresher(c, d.state, d.log)
	if err != nil {
		return err
	}
	r.Changed = d.noteChange
	d.replace(c, r, a, writer)
	return nil
}

// replace puts another refresher in the place of the one at work. That one
// first ends what it publishes, and publishes nothing more: two must not write
// the same files.
func (d *daemon) replace(c config.Config, r *refresh.Refresher, a sources, writer *publisher) {
	if before := d.current(); before != nil {
		before.Stop()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.config, d.refresher, d.sources, d.publisher = c, r, a, writer
}

// reload takes up a changed configuration; a faulty one changes nothing.
func (d *daemon) reload() {
	_, _ = systemd.SdNotify(false, systemd.SdNotifyReloading)
	defer d.ready()
	dir := d.settings().Cache.Dir
	if c, err := loadConfig(d.configFile); err == nil && c.Cache.Dir != dir {
		d.log.Error("reload: cache.dir cannot change while the daemon runs, keeping the previous configuration", "from", dir,
			"to", c.Cache.Dir)
		return
	}
	if err := d.load(); err != nil {
		d.log.Error("reload failed, keeping the previous configuration", "error", err)
		return
	}
	d.log.Info("configuration read again", "config", d.configFile)
	d.learn(func(l *live) { *l = live{} })
	if d.current() != nil {
		d.restore()
		d.soon()
	}
}

// restore answers from what is remembered until the directory has been asked, and puts
// files in order that were damaged, or that the host's accounts outdated.
func (d *daemon) restore() {
	r := d.current()
	err := r.Restore()
	if err == nil {
		_, err = r.Rebuild()
	}
	if err != nil {
		d.log.Warn("what the last run knew cannot be used; waiting for the directory", "error", err)
	}
}

func (d *daemon) current() *refresh.Refresher {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refresher
}

func (d *daemon) settings() config.Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.config
}

// soon asks for a refresh ahead of the schedule.
func (d *daemon) soon() {
	select {
	case d.kick <- struct{}{}:
	default:
	}
}

// servesNobody reports whether there is no sound nss.db yet, although there is
// one to come.
func (d *daemon) servesNobody() bool {
	c := d.settings()
	return c.Login.Configured() && readServed(c.Cache.Dir).NSS == nil
}

// refreshForEver refreshes now and then on schedule, sooner after a failure.
func (d *daemon) refreshForEver(ctx context.Context) error {
	failures := 0
	for {
		wait := time.Hour // not configured: a SIGHUP will say so
		if d.current() != nil {
			d.since.Store(time.Now().UnixNano())
			_, err := d.refresh(ctx, refresh.Options{})
			if failures++; err == nil {
				failures = 0
			}
			d.since.Store(0)
			wait = schedule.Next(d.settings().Source.Refresh, failures, rand.Float64())
			switch {
			case err == nil || !d.servesNobody():
				d.serveOnce.Do(func() { close(d.served) })
			case errors.Is(err, directory.ErrNotReached):
				wait = schedule.Unreached(failures)
			}
			if err == nil {
				d.tryLogins(ctx)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-d.kick:
		case <-time.After(wait):
		}
	}
}

// refresh does one refresh, logs what it did in one line, and reports it.
func (d *daemon) refresh(ctx context.Context, o refresh.Options) (refresh.Outcome, error) {
	d.mu.Lock()
	r, a, c, writer := d.refresher, d.sources, d.config, d.publisher
	d.mu.Unlock()
	if r == nil {
		return refresh.Outcome{}, fmt.Errorf("%s: %w", d.configFile, config.ErrNotConfigured)
	}
	ctx, cancel := context.WithTimeout(ctx, refreshDeadline(c.Source.Refresh))
	defer cancel()
	started := time.Now()
	outcome, err := r.Refresh(ctx, o)
	if o.DryRun || errors.Is(ctx.Err(), context.Canceled) {
		return outcome, err
	}
	if server := d.server.Load(); server != nil && err == nil {
		server.Outdate()
	}
	if r != d.current() {
		return outcome, err // the configuration was read again meanwhile: the next refresh reports
	}
	d.tell(outcome, err, time.Since(started))
	if err == nil {
		select {
		case d.newcomers <- struct{}{}:
		default:
		}
	}
	if err != nil && !errors.Is(err, refresh.ErrStopped) {
		// Time goes by without the directory too: accounts end, numbers are forgotten.
		if _, err := r.Rebuild(); err != nil {
			d.log.Warn("what is known cannot be published again", "error", err)
		}
	}
	d.reporting.Lock()
	report := newReport(d.state, started, outcome, err, a, c)
	report.live = d.live()
	if err == nil && writer != nil {
		d.publish(ctx, r, writer, &report)
	}
	if err := tellReport(report, c); err != nil {
		d.log.Warn("tell the status", "error", err)
	}
	d.reporting.Unlock()
	d.after.Lock()
	defer d.after.Unlock()
	d.makeHomes(ctx, c)
	// A refresh needs several times what is kept: the rest is not needed for minutes.
	debug.FreeOSMemory()
	d.state.Release()
	endSessions(ctx, c, r, d.log)
	return outcome, err
}

// publish writes the snapshot again if there is something new, and logs a
// failure once. What hosts hold goes on serving them.
func (d *daemon) publish(ctx context.Context, r *refresh.Refresher, writer *publisher, report *report) {
	done, err := writer.write(ctx, r, true)
	if err == nil {
		done.tell(d.log)
		report.Published, report.Unwritten = &done, ""
		return
	}
	if report.Unwritten != err.Error() {
		d.log.Error("publish failed, hosts keep the snapshot before", "error", err)
	}
	report.Unwritten = err.Error()
}

// publishNews is publish for what was learnt between refreshes.
func (d *daemon) publishNews(ctx context.Context, r *refresh.Refresher) {
	d.mu.Lock()
	writer := d.publisher
	d.mu.Unlock()
	if writer == nil {
		return
	}
	done, err := writer.write(ctx, r, false)
	if err != nil {
		d.log.Debug("publish what was learnt of keys; the next refresh tries again", "error", err)
		return
	}
	done.tell(d.log)
}

// tell logs a failure when it is new, and a success when it changed something
// or ended a failure.
func (d *daemon) tell(o refresh.Outcome, err error, took time.Duration) {
	d.mu.Lock()
	told, telling := d.told, map[string]bool{}
	for _, f := range o.Findings {
		telling[f.String()] = true
	}
	if err == nil {
		d.told = telling
	}
	d.mu.Unlock()
	for _, f := range o.Findings {
		if !told[f.String()] {
			d.log.Warn("not served as might be expected", "kind", f.Kind, f.Kind, f.DirectoryName, "id", f.ID, "reason",
				f.Reason, "detail", f.Detail, "remedy", f.Remedy)
		}
	}
	if errors.Is(err, directory.ErrNotReached) && time.Since(d.started) < readyPatience && d.servesNobody() {
		if d.faults.note("network", err, 0) {
			d.log.Info("waiting for the network; nobody is served yet", "error", err)
		}
		return
	}
	fresh := d.faults.note("refresh", err, 0)
	switch {
	case err != nil && fresh:
		d.log.Error("refresh failed, what is served stays as it is", "error", err)
	case err == nil:
		level := slog.LevelDebug // one line for each refresh, which nobody needs to read
		if o.Published || fresh {
			level = slog.LevelInfo
		}
		d.log.Log(context.Background(), level, "refreshed", "generation", d.generation(), "users", o.Users, "admitted",
			o.Admitted, "groups", o.Groups,
			"findings", len(o.Findings), "took", took.Round(time.Millisecond), "changed", summary(o.Changes))
	}
}

// generation is that of nss.db, or 0.
func (d *daemon) generation() uint64 {
	m, err := cache.ReadMeta(d.settings().Cache.Dir)
	if err != nil {
		return 0
	}
	return m.Generation
}

// refreshDeadline bounds a whole refresh: one that takes longer than the time
// to the next is not catching up, but short intervals are no reason to give up.
func refreshDeadline(every time.Duration) time.Duration { return max(every, 2*time.Minute) }

// overtime is what a refresh may take beyond its deadline, at which it gives up
// by itself: publishing, and ending processes.
const overtime = 2 * time.Minute

// stuck reports whether the refresh under way should have ended long ago. Then
// systemd is told nothing more, and starts the daemon again.
func (d *daemon) stuck(now time.Time) bool {
	since := d.since.Load()
	return since != 0 && now.Sub(time.Unix(0, since)) > refreshDeadline(d.settings().Source.Refresh)+overtime
}

// sweepForEver lists keys a few people at a time, and publishes what logins learnt.
func (d *daemon) sweepForEver(ctx context.Context) error {
	publish, sweep := time.NewTicker(publishEvery), time.NewTicker(publishEvery)
	defer publish.Stop()
	defer sweep.Stop()
	news, written := 0, time.Now()
	note := func(what, message string, err error) {
		if what == "sweep" && ctx.Err() == nil && !errors.Is(err, refresh.ErrStopped) {
			d.noteSweep(err)
		}
		if ctx.Err() == nil && !errors.Is(err, refresh.ErrStopped) && d.faults.note(what, err, 0) && err != nil {
			d.log.Error(message, "error", err)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-publish.C:
			if r := d.current(); r != nil {
				note("publish", "what was learned since the last refresh is not published", r.PublishChanges())
			}
		case <-d.newcomers:
			sweep.Reset(time.Millisecond)
		case <-sweep.C:
			next := sweepEvery
			if r := d.current(); r != nil {
				swept, err := r.Logins.Sweep(directory.Background(ctx), sweepAtOnce)
				note("sweep", "keys are not all up to date", err)
				if err == nil && swept.Remaining > 0 {
					next = publishEvery // the first keys of a new host: go on at the rate's pace
				}
				if n := r.Logins.News(); n != news && time.Since(written) >= newsEvery {
					news, written = n, time.Now()
					d.publishNews(ctx, r)
				}
			}
			sweep.Reset(next)
		}
	}
}

// watchHost computes the tables again when the host's own accounts change.
func (d *daemon) watchHost(ctx context.Context) error {
	seen := hostfiles.Stamp(hostfiles.System)
	tick := time.NewTicker(hostEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := d.state.Check(); err != nil {
			return err // who starts next has the new file, or finds out who has it
		}
		now := hostfiles.Stamp(hostfiles.System)
		if now == seen || d.current() == nil {
			continue
		}
		seen = now
		outcome, err := d.current().Rebuild()
		if err != nil {
			d.log.Error("the host's own accounts changed and cannot be taken into account", "error", err)
			continue
		}
		d.tell(outcome, nil, 0)
	}
}
