package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/homes"
)

// homesFolder is where this program makes homes, or "".
func homesFolder(c config.Config) string {
	if c.Accounts.Homes != "create" {
		return ""
	}
	return c.Accounts.HomesFolder()
}

// homesOf are the homes of those who may log in.
func homesOf(t accounts.Tables) (all []homes.Home) {
	for _, u := range t.Users {
		if !u.Former {
			all = append(all, homes.Home{User: u.Name, UID: u.UID, Path: u.Home})
		}
	}
	return all
}

// maker makes homes; tests have one of their own.
var maker = homes.Here

// makeHomes makes the homes of the served users that are missing, where the
// configuration wants it, and returns what hindered it.
func makeHomes(ctx context.Context, c config.Config, log *slog.Logger) []error {
	if c.Accounts.Homes != "create" || !c.Login.Configured() {
		return nil
	}
	tables, _, err := cache.ReadNSS(c.Cache.Dir)
	if err != nil {
		return []error{fmt.Errorf("make homes: %w", err)}
	}
	made, faults := maker().Make(ctx, homesOf(tables))
	for _, h := range made {
		log.Info("made a home", "user", h.User, "home", h.Path)
	}
	return faults
}

// makeHomes is the daemon's: what it says is new.
func (d *daemon) makeHomes(ctx context.Context, c config.Config) {
	telling := map[string]bool{}
	for _, err := range makeHomes(ctx, c, d.log) {
		if telling[err.Error()] = true; !d.homeless[err.Error()] {
			d.log.Error("homes are missing", "error", err)
		}
	}
	d.homeless = telling
}
