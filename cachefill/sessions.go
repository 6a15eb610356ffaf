package main

import (
	"context"
	"log/slog"
	"slices"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/internal/sessions"
)

// endSessions ends what runs for people who are out, and for those who lost
// sudo, where the configuration wants it. It is asked after every refresh, and
// so goes on until nothing is left.
func endSessions(ctx context.Context, c config.Config, r *refresh.Refresher, log *slog.Logger) {
	if !c.Removal.EndSessions && !c.Sudo.EndSessions {
		return
	}
	if _, err := endThose(ctx, c, r, log, whoseSessionsEnd(c, r, log)); err != nil {
		log.Error("sessions of users without the right to log in still run", "error", err)
	}
}

// whoseSessionsEnd returns the people whose sessions the configuration wants ended.
func whoseSessionsEnd(c config.Config, r *refresh.Refresher, log *slog.Logger) []accounts.User {
	var people []accounts.User
	if c.Removal.EndSessions {
		people = r.Out(c.Removal.EndAtOnce)
	}
	if !c.Sudo.EndSessions {
		return people
	}
	candidates, gid := r.WithoutSudo()
	holders, err := sessions.Holding(gid)
	if err != nil {
		log.Error("sessions of users who lost sudo still run", "error", err)
	}
	for _, u := range candidates {
		if slices.Contains(holders, u.UID) && !slices.ContainsFunc(people,
			func(p accounts.User) bool { return p.UID == u.UID }) {
			people = append(people, u)
		}
	}
	return people
}

// endThose ends everything that runs for people, and logs what became of it.
func endThose(ctx context.Context, c config.Config, r *refresh.Refresher, log *slog.Logger,
	people []accounts.User) ([]sessions.Ended, error) {
	host, err := r.Host()
	if err != nil {
		return nil, err
	}
	names, uids := map[uint32]string{}, make([]uint32, 0, len(people))
	for _, u := range people {
		names[u.UID] = u.Name
		uids = append(uids, u.UID)
	}
	limits := sessions.Limits{Range: accounts.Range{Low: c.IDs.Low, High: c.IDs.High}, Host: host}
	ended, err := sessions.End(ctx, uids, limits)
	for _, e := range ended {
		if e.Err != nil {
			log.Error("processes of a user without the right to log in still run", "user", names[e.UID], "uid", e.UID, "error",
				e.Err)
			continue
		}
		log.Info("ended the processes of a user without the right to log in", "user", names[e.UID], "uid", e.UID,
			"processes", e.Processes)
	}
	return ended, err
}
