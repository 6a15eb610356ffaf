package main

import (
	"context"
	"log/slog"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/internal/sessions"
)

// endSessions ends what runs for those who are gone, where the configuration
// wants it. Who could not be ended is told again by the next refresh.
func endSessions(ctx context.Context, c config.Config, r *refresh.Refresher, gone []accounts.User, log *slog.Logger) {
	if !c.Removal.EndSessions || len(gone) == 0 {
		return
	}
	host, err := r.Host()
	if err != nil {
		log.Error("removed users' processes go on", "error", err)
		return
	}
	limits := sessions.Limits{Range: accounts.Range{Low: c.IDs.Low, High: c.IDs.High}, Host: host}
	for _, u := range gone {
		n, err := sessions.End(ctx, []uint32{u.UID}, limits)
		if err == nil {
			err = r.Ended([]accounts.User{u})
		}
		switch {
		case err != nil:
			log.Error("a removed user's processes go on", "user", u.Name, "uid", u.UID, "error", err)
		case n > 0:
			log.Info("ended a removed user's processes", "user", u.Name, "uid", u.UID, "processes", n)
		}
	}
}
