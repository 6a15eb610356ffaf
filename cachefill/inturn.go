package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nss-iam/nss-iam/internal/state"
)

// How long state.db is waited for where another process has it: a command while the
// daemon starts, which soon answers itself; the daemon while a command refreshes. After
// lateAfter the daemon warns that nothing is refreshed.
var (
	commandTurn = time.Minute
	daemonTurn  = 24 * time.Hour
	lateAfter   = 2 * time.Minute
)

// inTurn tries something until no other process has the state of a cache folder
// locked, or patience ends. It says once who has it. Each try waits a second itself.
func inTurn(ctx context.Context, dir string, patience time.Duration, log *slog.Logger, try func() error) error {
	began, said := time.Now(), false
	for {
		err := try()
		if !errors.Is(err, state.ErrBusy) {
			return err
		}
		if ctx.Err() != nil || time.Since(began) >= patience {
			return heldBy(err, dir)
		}
		if !said {
			said = true
			log.Info("waiting for another iam-cachefill, which has state.db locked", "holder", state.Holder(dir), "at_most",
				patience)
		}
	}
}

// lockedAlone adds to an error about a locked state what a command with a configuration
// of its own can do: it does not ask the daemon.
func lockedAlone(err error, configFile string) error {
	if !errors.Is(err, state.ErrBusy) {
		return err
	}
	dir := cacheDir
	if c, fault := loadConfig(configFile); fault == nil {
		dir = c.Cache.Dir
	}
	return fmt.Errorf("%w; if the daemon is running, drop --config and the command asks it", heldBy(err, dir))
}

// heldBy adds to an error about a locked state which process has the lock.
func heldBy(err error, dir string) error {
	if holder := state.Holder(dir); holder != "" {
		return fmt.Errorf("%w: %s", err, holder)
	}
	return err
}
