package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/homes"
	"github.com/nss-iam/nss-iam/internal/hostfiles"
	"github.com/nss-iam/nss-iam/internal/keys"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/internal/state"
)

// helperAccount is the user that sshd runs authkeys as, and its group, which
// may read keys.db. Both are local: sysusers.d or the packages make them.
const helperAccount = "nss-iam"

// helperIDs returns the helper's uid and gid, or -1 where there is none.
func helperIDs() (uid, gid int) {
	uid, gid = -1, -1
	if u, err := user.Lookup(helperAccount); err == nil {
		uid, _ = strconv.Atoi(u.Uid)
	}
	if g, err := user.LookupGroup(helperAccount); err == nil {
		gid, _ = strconv.Atoi(g.Gid)
	}
	return uid, gid
}

// openState opens the refresher's memory. A damaged one is set aside: what it
// held comes back from the directory, but for former users and waiting removals.
func openState(dir string, log *slog.Logger) (*state.Store, error) {
	if parent := filepath.Dir(dir); parent == filepath.Join(cacheDir, others) {
		if err := os.MkdirAll(parent, 0o755); err != nil {
			return nil, fmt.Errorf("make the cache folder: %w", err)
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make the cache folder: %w", err)
	}
	s, err := state.Open(dir)
	if err == nil {
		if err := cache.Tidy(dir); err != nil {
			log.Warn("cannot remove the temporary files of a publisher that was killed", "error", err)
		}
	}
	if !errors.Is(err, state.ErrDamaged) {
		return s, err
	}
	log.Warn("the state file is damaged and was set aside; former users and removals that wait for confirmation are "+
		"forgotten", "error", err)
	if err := state.SetAside(dir); err != nil {
		return nil, err
	}
	return state.Open(dir)
}

// readState opens the refresher's memory so that nothing changes. A damaged
// one counts as none.
func readState(dir string, log *slog.Logger) (*state.Store, error) {
	s, err := state.Read(dir)
	if errors.Is(err, state.ErrDamaged) {
		log.Warn("the state file is damaged and is ignored", "error", err)
		return &state.Store{}, nil
	}
	return s, err
}

// newRefresher makes of a configuration what refreshes this host.
func newRefresher(c config.Config, s *state.Store, log *slog.Logger) (*refresh.Refresher, sources, error) {
	held, err := refresh.LastOrigin(s)
	if err != nil {
		return nil, sources{}, err
	}
	a, err := openSources(c, held, log)
	if err != nil {
		return nil, sources{}, err
	}
	r := refresherWithout(c, s, log)
	r.Source, r.Users, r.InstanceTag, r.Form = a.directory, a.users, a.instanceTag, a.form
	return r, a, nil
}

// refresherWithout makes a refresher that has nobody to ask.
func refresherWithout(c config.Config, s *state.Store, log *slog.Logger) *refresh.Refresher {
	_, gid := helperIDs()
	r := refresh.New(refresh.Setup{
		State: s, Dir: c.Cache.Dir, Machine: machineID(), KeyRemedy: keyRemedies[c.Source.Kind],
		Policy: policyFrom(c), LoginTag: c.Login.GroupsTag, SudoTag: c.Sudo.GroupsTag,
		Keys: keys.Policy{Allowed: c.Keys.Types, MinRSABits: c.Keys.MinRSABits, MaxAge: c.Keys.MaxAge,
			TagPrefix: c.Keys.TagPrefix},
		Login: cache.LoginPolicy{
			Online: c.Keys.Online, Timeout: c.Keys.Timeout, MaxStale: c.Keys.MaxStale,
			Range: accounts.Range{Low: c.IDs.Low, High: c.IDs.High}, Options: c.Keys.Options, Chain: c.Keys.Chain,
		},
		Host: func() (accounts.Host, error) { return readHost(log) }, KeysGID: gid, HomeOwners: looker.Owners,
		Grants:   func(loginNames []string) ([]accounts.Grant, error) { return hostfiles.Grants("/", loginNames) },
		SweepAge: sweepAge(c.Keys), Now: time.Now, Log: log,
		WholeAccount: c.Publish.URL != "", ServeNobody: !c.Login.Configured(),
	})
	if r.WholeAccount {
		r.SweepAge = min(r.SweepAge, publisherSweepAge)
	}
	return r
}

// looker looks at homes for every configuration of this process: a look at a
// server that does not answer is not repeated with the next one.
var looker homes.Looker

// policyFrom takes from a configuration what concerns accounts. The groups of
// login.groups_tag and sudo.groups_tag are added by each refresh.
func policyFrom(c config.Config) accounts.Policy {
	return accounts.Policy{
		Range: accounts.Range{Low: c.IDs.Low, High: c.IDs.High}, Pins: c.IDs.Pin,
		AllUsers: c.Login.AllUsers, Login: c.Login.Groups, Sudo: c.Sudo.Groups,
		LoginTaggedBy: c.Login.GroupsTag, SudoTaggedBy: c.Sudo.GroupsTag,
		Shell: c.Accounts.Shell, NoLogin: "/usr/sbin/nologin", Home: c.Accounts.Home,
		StripDomains: c.Accounts.StripDomains, Lowercase: c.Accounts.Lowercase, Reserve: c.Accounts.Reserve,
		Publish: c.Accounts.PublishGroups, MapGroups: c.Accounts.MapGroups,
		AllowPrivileged: c.Accounts.AllowPrivilegedGroups,
		MaxGroups:       c.Accounts.MaxGroups, ExpiresTag: c.Accounts.ExpiresTag,
		Shared: c.Shared, AllowRoot: c.SharedAllowRoot,
		Confirm: c.Removal.Confirm, MaxFraction: c.Removal.MaxFraction, KeepNames: c.Removal.KeepNames,
	}
}

// sweepAge is how old a listing of keys becomes at most before it is repeated: in
// half of max_stale every cached key is confirmed twice before it grows too old.
// Without questions at login the sweep is all that notices a revoked key.
func sweepAge(k config.Keys) time.Duration {
	age := 12 * time.Hour
	if k.MaxStale > 0 {
		age = k.MaxStale / 2
	}
	if k.Online == "off" {
		age = min(age, time.Hour)
	}
	return age
}

// readHost reads what the host's own files hold. A line that cannot be
// understood is glibc's to judge; it is told and left out.
func readHost(log *slog.Logger) (accounts.Host, error) {
	host, problems, err := hostfiles.Read(hostfiles.System)
	for _, p := range problems {
		log.Debug("local account not understood", "problem", p)
	}
	return host, err
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
			d.log.Error("the host's own accounts changed and cannot be read", "error", err)
			continue
		}
		d.tell(outcome, nil, 0)
	}
}
