package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/control"
	"github.com/nss-iam/nss-iam/internal/health"
	"github.com/nss-iam/nss-iam/internal/hostsetup"
)

// statusPatience is how long a command waits for the daemon to say how it does.
// One that hangs must not hold up who wants to know why.
const statusPatience = 3 * time.Second

// A hostView is what can be read of a host, or of another configuration's cache
// folder, without asking the directory.
type hostView struct {
	configFile  string
	config      config.Config
	configError error
	served      served
	last        *report // the last refresh, where it is known
	daemon      health.Daemon
	facts       health.Facts
	unseen      bool // the caller may read nss.db, and no more
}

// lookAt reads what can be known of a configuration. A configuration that is wrong
// is looked at with the values that hold without one.
func lookAt(ctx context.Context, configFile string) (hostView, error) {
	v := hostView{configFile: configFile}
	v.config, v.configError = loadOwn(configFile)
	if v.configError != nil && !errors.Is(v.configError, config.ErrNotConfigured) {
		v.config = config.Default()
		if v.config.Cache.Dir = cacheDir; !isHostsOwn(configFile) {
			v.config.Cache.Dir = folderOf(configFile)
		}
	}
	dir := v.config.Cache.Dir
	v.served = readServed(dir)
	r, err := readReport(dir)
	if err == nil {
		v.last = &r
	} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		return v, err
	}
	if os.Geteuid() != 0 && strings.Contains(v.served.KeysError, fs.ErrPermission.Error()) {
		v.served.KeysError, v.unseen = "", true // for root and the helpers alone: no fault
	}
	if isHostsOwn(configFile) {
		v.daemon = health.Silent
		ctx, cancel := context.WithTimeout(ctx, statusPatience)
		defer cancel()
		body, err := control.Client{Path: socketPath}.Status(ctx)
		switch {
		case err == nil:
			v.daemon = health.Answers
			var live report
			_ = json.Unmarshal(body, &live) // of an older daemon, which counts nothing
			if v.last != nil {
				v.last.live = live.live
			}
		case errors.Is(err, os.ErrPermission):
			v.daemon = health.NotAsked
		}
	}
	v.facts = factsOf(v.config, v.served, v.last, time.Now())
	v.facts.Daemon, v.facts.UnitInstalled, v.facts.Wish.ConfigFile = v.daemon, unitInstalled(), configFile
	if isHostsOwn(configFile) && servesHost(v.config) {
		var before *hostsetup.Verdict
		if v.last != nil {
			before, v.last.SSHD = v.last.SSHD, nil // which is for us alone
		}
		v.facts.Host, _ = watchHost(ctx, before)
	}
	if v.configError != nil && !errors.Is(v.configError, config.ErrNotConfigured) {
		v.facts.ConfigError = v.configError.Error()
	}
	if v.last == nil {
		v.facts.Success = savedSuccess(dir)
	}
	return v, nil
}

// findings are what health says of it.
func (v hostView) findings() []health.Finding {
	all := health.Examine(v.facts)
	if v.unseen { // what is not known of keys and refreshes is no fault
		all = slices.DeleteFunc(all, func(f health.Finding) bool { return f.Check == "refresh" || f.Check == "keys" })
	}
	return withConfig(v.configFile, all)
}

// factsOf collects what health judges, but for the daemon and its unit.
func factsOf(c config.Config, s served, r *report, now time.Time) health.Facts {
	f := health.Facts{
		Now:           now,
		NotConfigured: !c.Login.Configured() && c.Publish.URL == "", ServesNobody: !c.Login.Configured() &&
			c.Publish.URL != "",
		NSSError: s.NSSError, KeysError: s.KeysError, Unserved: s.none,
		Keys: health.AgesOf(s.tables, now), Policy: s.tables.Policy,
		Keyless: keyless(c, r),
		Refresh: interval(c, r), PublishOf: c.Publish.URL,
		Wish: health.Wish{Chain: c.Keys.Chain, ConfigFile: configPath},
	}
	if slow := staleKeys(c, len(s.tables.Users)); slow != nil {
		f.Slow, f.SlowRemedy = slow.Error(), slow.remedy()
	}
	if r == nil {
		return f
	}
	f.Known, f.Success, f.LastError, f.Unpublished = true, r.Success, r.Error, r.Unwritten
	f.LoginError, f.Trials = r.LoginError, r.Trials
	f.SweepError, f.SweepFailing = r.SweepError, r.SweepFailing
	if p := r.Snapshot; p != nil {
		f.Snapshot = "generation of " + p.Address
		if !now.Before(p.Expires) {
			f.Expired = p.Expires
		}
	}
	return f
}

// isHostsOwn reports whether a configuration file is the host's own: the daemon's,
// and that of commands without --config.
func isHostsOwn(name string) bool {
	if filepath.Clean(name) == filepath.Clean(configPath) {
		return true
	}
	a, err := os.Stat(name)
	if err != nil {
		return false
	}
	b, err := os.Stat(configPath)
	return err == nil && os.SameFile(a, b)
}

// unitFolders are where systemd looks for units, the strongest first.
var unitFolders = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system",
	"/usr/lib/systemd/system", "/lib/systemd/system"}

// unitInstalled reports whether systemd has a unit of the daemon that is not
// masked, so that a daemon should run.
func unitInstalled() bool {
	for _, dir := range unitFolders {
		path := filepath.Join(hostRoot, dir, "nss-iam.service")
		info, err := os.Lstat(path)
		if err != nil {
			continue
		}
		target, err := os.Readlink(path)
		masked := err == nil && target == os.DevNull || info.Mode().IsRegular() && info.Size() == 0
		return !masked
	}
	return false
}

// The state keeps under stateSuccess when a refresh was good last, since reports
// do not outlive a reboot. It is behind by saveSuccessEvery at most.
const (
	stateSuccess     = "success"
	saveSuccessEvery = 15 * time.Minute
)

// savedSuccess is when a refresh was good last, as the state of a folder has it
// that no daemon holds; zero where that is not known.
func savedSuccess(dir string) time.Time {
	s, err := readState(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return time.Time{}
	}
	defer func() { _ = s.Close() }()
	return loadSuccess(s)
}

// A successStore keeps values: state.Store.
type successStore interface {
	Load(name string, v any) error
	Save(values map[string]any) error
}

func loadSuccess(s successStore) (t time.Time) {
	if err := s.Load(stateSuccess, &t); err != nil {
		return time.Time{}
	}
	return t
}

// saveSuccess keeps when a refresh was good, if what is kept is older than by.
func saveSuccess(s successStore, at time.Time, by time.Duration) error {
	before := loadSuccess(s)
	if at.IsZero() || !at.Before(before) && at.Sub(before) < by {
		return nil
	}
	return s.Save(map[string]any{stateSuccess: at})
}
