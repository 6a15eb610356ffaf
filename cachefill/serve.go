package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/control"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/refresh"
)

// serve answers on the socket: keys for authkeys, admission for the account helper, status and refresh for people.
func (d *daemon) serve(ctx context.Context, listener net.Listener) error {
	var peers []uint32
	if uid, _ := helperIDs(); uid > 0 {
		peers = append(peers, uint32(uid))
	}
	server := control.NewServer(control.Options{
		Lookup: d.lookup,
		Listed: d.listed,
		Admit:  d.admit,
		Recent: d.recent,
		Patience: func() time.Duration {
			if k := d.settings().Keys; k.Online == "prefer" {
				return k.Timeout // the cache is the answer then
			}
			return 0
		},
		Spare:     d.spare,
		Strangers: func() float64 { return strangersShare * d.settings().Source.Rate / callsOfALookup },
		Status: func(context.Context) (any, error) {
			r, err := readReport(d.settings().Cache.Dir)
			if errors.Is(err, fs.ErrNotExist) {
				err = nil // somebody emptied the folder; the next refresh writes it
			}
			r.live = d.live()
			return r, err
		},
		Refresh: func(ctx context.Context, ask control.RefreshRequest) (any, error) {
			outcome, err := d.refresh(ctx, refresh.Options{DryRun: ask.DryRun, AcceptRemovals: ask.Confirm,
				AcceptGroups: ask.AcceptGroups})
			if err == nil && !ask.DryRun {
				d.tryLogins(ctx)
			}
			return outcome, err
		},
		Try: func(ctx context.Context) (any, error) {
			ctx, cancel := context.WithTimeout(ctx, trialPatience)
			defer cancel()
			return trySources(ctx, d.settings()), nil // with sources of their own: a refresh may be under way
		},
		Explain: func(_ context.Context, name string) (any, error) {
			r := d.current()
			if r == nil {
				return nil, d.notConfigured()
			}
			return r.Explain(name)
		},
		Peers: peers, Log: d.log,
	})
	d.server.Store(server)
	return server.Serve(ctx, listener)
}

// notConfigured is what a daemon that idles answers to commands, which then say what is
// wrong with the file themselves.
func (d *daemon) notConfigured() error {
	return fmt.Errorf("%w: %q: %w", control.ErrNotConfigured, d.configFile, config.ErrNotConfigured)
}

const (
	// strangersShare is the share of source.rate that questions with unknown keys
	// may cost, so that a person's new key is found and nobody else spends much.
	strangersShare = 0.1
	// callsOfALookup is what one of them costs: the groups and the keys.
	callsOfALookup = 2
)

// spare reports whether the directory may be asked about a login that could do without.
func (d *daemon) spare() bool {
	d.mu.Lock()
	stats := d.sources.stats
	d.mu.Unlock()
	return stats == nil || stats().Spare
}

// listed says what is known of a login name without asking the directory.
func (d *daemon) listed(name string) (control.Answer, control.Standing) {
	r := d.current()
	if r == nil {
		return control.Answer{}, control.Unlisted
	}
	switch user, shared, err := r.Logins.Listed(name); {
	case err == nil:
		return control.Answer{User: user, Shared: shared}, control.Listed
	case errors.Is(err, directory.ErrNoSuchUser):
		return control.Answer{}, control.Nobody
	}
	return control.Answer{}, control.Unlisted
}

// admit answers one question of the account helper.
func (d *daemon) admit(ctx context.Context, name string) (cache.UserKeys, error) {
	r, c := d.current(), d.settings()
	if r == nil {
		return cache.UserKeys{}, config.ErrNotConfigured
	}
	if c.Keys.Online == "off" {
		return cache.UserKeys{}, errors.New(`keys.online is "off"`)
	}
	u, err := r.Logins.Admit(directory.Urgent(ctx), name)
	d.noteLogin(ctx, err)
	return u, err
}

// loginQuiet is how long failures at logins are one.
const loginQuiet = 10 * time.Minute

// noteLogin logs, once for each cause, that the directory cannot be asked at
// logins: what the cache answers is older.
func (d *daemon) noteLogin(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	if errors.Is(err, directory.ErrUserRefused) { // it is one user's matter, until a trial has another end
		d.refused.Store(true)
	} else {
		d.learn(func(l *live) { l.LoginError = textOf(err) })
	}
	if d.faults.note("login", err, loginQuiet) {
		d.log.Warn("the directory cannot be asked at logins; the cache answers, as keys.online says", "error", err)
	}
}

// recent answers for cron and its like from the last refresh or the one before:
// jobs that begin while a refresh is under way must not each ask.
func (d *daemon) recent(name string) (cache.UserKeys, bool) {
	r := d.current()
	if r == nil {
		return cache.UserKeys{}, false
	}
	return r.Logins.Recent(name, 2*d.interval())
}

// lookup answers one question of authkeys.
func (d *daemon) lookup(ctx context.Context, name string) (control.Answer, error) {
	r, c := d.current(), d.settings()
	if r == nil {
		return control.Answer{}, config.ErrNotConfigured
	}
	if c.Keys.Online == "off" {
		return control.Answer{}, errors.New(`keys.online is "off"`)
	}
	if control.NobodyWaits(ctx) {
		user, shared, err := r.Logins.Ask(directory.Renewal(ctx), name)
		if err == nil { // a renewal that fails keeps nobody out, and its time may have ended in the queue
			d.noteLogin(ctx, nil)
		}
		return control.Answer{User: user, Shared: shared}, err
	}

	user, shared, err := r.Logins.Ask(directory.Urgent(ctx), name)
	d.noteLogin(ctx, err)
	return control.Answer{User: user, Shared: shared}, err
}

// listen makes the socket. The state file's lock says that no other daemon
// lives, so a socket in its place is left over.
func listen() (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(socketPath), 0o755); err != nil {
		return nil, err
	}
	_, gid := helperIDs()
	l, err := control.Listen(socketPath, 0o660, gid)
	if err != nil {
		return nil, fmt.Errorf("socket %q: %w", socketPath, err)
	}
	return l, nil
}

// limitMemory keeps the collector from letting the heap grow to twice of what
// a refresh of 5,000 users needs. GOMEMLIMIT and GOGC still have the last word.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(64 << 20)
	}
}
