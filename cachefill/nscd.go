package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/nss-iam/nss-iam/internal/nscd"
)

var nscdSocket = nscd.Socket

// nscdEvery is how often the daemon looks for an nscd that was not running when
// something was published: its cache outlives it.
const nscdEvery = time.Minute

// invalidateNscd has nscd forget users and groups. It reports false if there is
// something left to do: nscd does not run, or does not answer.
func invalidateNscd(ctx context.Context, log *slog.Logger) (done bool, err error) {
	running, err := nscd.Invalidate(ctx, nscdSocket)
	if err != nil || !running {
		return false, err
	}
	// Once more, for what it asked while it had the old nss.db.
	select {
	case <-ctx.Done():
		return false, nil
	case <-time.After(nscd.Settle):
	}
	if running, err = nscd.Invalidate(ctx, nscdSocket); err != nil || !running {
		return false, err
	}
	log.Debug("nscd has forgotten users and groups")
	return true, nil
}

// nscdForEver invalidates nscd's cache after each change of nss.db. It begins
// with one: an earlier run may have published last.
func (d *daemon) nscdForEver(ctx context.Context) error {
	tick := time.NewTicker(nscdEvery)
	defer tick.Stop()
	failed := ""
	for owed := true; ; {
		if owed {
			done, err := invalidateNscd(ctx, d.log)
			text := ""
			if err != nil {
				text = err.Error()
			}
			if err != nil && text != failed {
				d.log.Warn(`nscd still answers what is no longer served; run "nscd -i passwd" and "nscd -i group"`, "error", err)
			}
			owed, failed = !done, text
		}
		select {
		case <-ctx.Done():
			return nil
		case <-d.changed:
			owed = true
		case <-tick.C:
		}
	}
}

// noteChange is told of every new nss.db.
func (d *daemon) noteChange() {
	select {
	case d.changed <- struct{}{}:
	default:
	}
}
