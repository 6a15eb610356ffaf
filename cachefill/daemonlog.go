package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/journal"
	"github.com/nss-iam/nss-iam/internal/refresh"
)

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
			d.log.Warn("user or group not served as configured", "kind", f.Kind, f.Kind, f.DirectoryName, "id", f.ID, "reason",
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
