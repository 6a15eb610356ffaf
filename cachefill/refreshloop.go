package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/identitycenter"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/internal/schedule"
)

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
			before := d.calls()
			_, err := d.refresh(ctx, refresh.Options{})
			if failures++; err == nil {
				failures = 0
			}
			d.since.Store(0)
			wait = pauseAfter(d.settings(), d.interval(), failures, d.calls()-before, d.servesNobody(), rand.Float64())
			switch {
			case err == nil || !d.servesNobody():
				d.serveOnce.Do(func() { close(d.served) })
			case errors.Is(err, directory.ErrNotReached):
				wait = schedule.Unreached(failures)
			}
			if err == nil {
				d.tryLogins(directory.Background(ctx))
			}
		}
		if !d.rest(ctx, wait, lookEvery) {
			return nil
		}
	}
}

// lookEvery is how often the daemon reports how the host does if refreshes come less
// often: files may be damaged and permissions taken away between them.
const lookEvery = 10 * time.Minute

// rest waits for so long, or until a refresh is asked for, and reports meanwhile how
// the host does. It returns whether the daemon goes on.
func (d *daemon) rest(ctx context.Context, wait, every time.Duration) bool {
	over := time.After(wait)
	look := time.NewTicker(every)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-d.kick:
			return true
		case <-over:
			return true
		case <-look.C:
			d.retell()
			if trialEvery(d.settings()) > 0 {
				d.tryLogins(directory.Background(ctx))
			}
		}
	}
}

// refresh does one refresh, logs what it did in one line, and reports it.
func (d *daemon) refresh(ctx context.Context, o refresh.Options) (refresh.Outcome, error) {
	d.mu.Lock()
	r, a, c, writer := d.refresher, d.sources, d.config, d.publisher
	d.mu.Unlock()
	if r == nil {
		return refresh.Outcome{}, d.notConfigured()
	}
	ctx, cancel := context.WithTimeout(ctx, refreshDeadline(c))
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
		// Time goes by without the directory too: accounts end, former users expire.
		if _, err := r.Rebuild(); err != nil {
			d.log.Warn("the last answer cannot be published again", "error", err)
		}
	}
	d.reporting.Lock()
	report := newReport(d.state, started, outcome, err, a, c)
	report.live = d.live()
	if err == nil && writer != nil {
		d.publish(ctx, r, writer, &report)
	}
	if err := tellReport(report, c); err != nil {
		d.log.Warn("cannot report the status", "error", err)
	}
	d.reporting.Unlock()
	d.noteHost(c)
	d.after.Lock()
	defer d.after.Unlock()
	d.makeHomes(ctx, c)
	// A refresh needs several times what is kept: the rest is not needed for minutes.
	debug.FreeOSMemory()
	d.state.Release()
	endSessions(ctx, c, r, d.log)
	return outcome, err
}

// refreshDeadline bounds a whole refresh: one that takes longer than the time
// to the next is not catching up, but short intervals are no reason to give up,
// and a large Identity Store is read at source.rate for longer than its interval.
func refreshDeadline(c config.Config) time.Duration {
	if c.Source.Kind == config.KindIdentityCenter {
		return max(c.Source.Refresh, time.Hour)
	}
	return max(c.Source.Refresh, 2*time.Minute)
}

// interval is the time between refreshes, before jitter.
func (d *daemon) interval() time.Duration {
	d.mu.Lock()
	a, c := d.sources, d.config
	d.mu.Unlock()
	if a.cost != nil {
		if cost := a.cost(); cost != (identitycenter.Cost{}) {
			return intervalFor(c, cost)
		}
	}
	if r, err := readReport(c.Cache.Dir); err == nil {
		return interval(c, &r)
	}
	return interval(c, nil)
}

// calls is how many calls the source of now made.
func (d *daemon) calls() (n int) {
	d.mu.Lock()
	a := d.sources
	d.mu.Unlock()
	if a.stats != nil {
		n = int(sum(a.stats().Calls))
	}
	return n
}

// overtime is what a refresh may take beyond its deadline, at which it gives up
// by itself: publishing, and ending processes.
const overtime = 2 * time.Minute

// stuck reports whether the refresh under way should have ended long ago. Then
// systemd is told nothing more, and starts the daemon again. The same happens where
// the daemon's lock is never given up: stuck then does not return.
func (d *daemon) stuck(now time.Time) bool {
	deadline := refreshDeadline(d.settings())
	since := d.since.Load()
	return since != 0 && now.Sub(time.Unix(0, since)) > deadline+overtime
}
