package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/control"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/health"
	"github.com/nss-iam/nss-iam/internal/hostsetup"
	"github.com/nss-iam/nss-iam/internal/identitycenter"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/internal/snapshot"
	"github.com/nss-iam/nss-iam/internal/state"
)

// A report is what the last refresh of this boot left for status to tell. It
// stands in the run-time folder, so that a refresh which finds nothing new
// leaves the disk alone.
type report struct {
	Version  string
	Attempt  time.Time          // when the last refresh began
	Took     time.Duration      // nanoseconds
	Error    string             `json:",omitempty"` // why it failed
	Failures int                `json:",omitempty"` // in a row
	Success  time.Time          `json:",omitzero"`  // when the last good one began
	Admitted int                // who may log in
	Users    int                // served
	Groups   int                // served, private ones left out
	Whole    bool               // ids are claimed among everybody of the directory
	Keys     int                // that open something, in keys.db
	Findings []accounts.Finding `json:",omitempty"`

	Skipped    map[accounts.Reason]int `json:",omitempty"` // findings by reason
	Collisions int                     // of those: uids and gids that an older principal has
	// answers that were not believed since the host booted: incomplete, or too many removals
	Refused int

	Refresh   time.Duration    // between refreshes, before jitter
	Calls     map[string]int64 `json:",omitempty"` // AWS requests by action since the program started
	Throttles map[string]int64 `json:",omitempty"`
	Rate      float64          // AWS calls a second at most just now
	RateShare string           `json:",omitempty"` // how many hosts like this one the directory's rate bears
	// Cost is what refreshes take of the rate of the Identity Store, where this host
	// asks it.
	Cost *identitycenter.Cost `json:",omitempty"`
	live

	Snapshot  *snapshot.Status `json:",omitempty"` // the one in use
	Published *publication     `json:",omitempty"` // the last publication
	Unwritten string           `json:",omitempty"` // why the last publication failed

	SSHD *hostsetup.Verdict `json:",omitempty"` // so that sshd is asked again only after a change of its files
}

// A live is what the daemon learns between refreshes, too.
type live struct {
	Logins     control.Counts // questions of logins that were refused for rate since the daemon started
	LoginError string         `json:",omitempty"` // why the directory could not be asked at the last login
	Tried      time.Time      `json:",omitzero"`  // when the daemon last tried what logins need
	Trials     []health.Trial `json:",omitempty"` // what came of it

	SweepError   string    `json:",omitempty"` // why the last sweep over keys ended early
	SweepFailing time.Time `json:",omitzero"`  // since when sweeps do
}

// reportPath is where the report on a cache folder is: each folder has its own,
// so that what is tried with another configuration is not told of the host.
func reportPath(dir string) string {
	name := "status.json"
	if dir != cacheDir {
		name = fmt.Sprintf("status-%x.json", sha256.Sum256([]byte(dir)))
	}
	return filepath.Join(filepath.Dir(socketPath), name)
}

// lastReport is the report before this one. After a reboot it has only when a
// refresh was good last.
func lastReport(s *state.Store, c config.Config) report {
	r, err := readReport(c.Cache.Dir)
	if err != nil || r.Success.IsZero() {
		r.Success = loadSuccess(s)
	}
	return r
}

// newReport tells of a refresh that began at started, and has the state keep when
// it was good.
func newReport(s *state.Store, started time.Time, o refresh.Outcome, err error, a sources, c config.Config) report {
	before := lastReport(s, c)
	stats := a.stats()
	r := report{
		Version: version, Attempt: started, Took: time.Since(started),
		Calls: stats.Calls, Throttles: stats.Throttles, Rate: stats.Rate,
	}
	r.Snapshot, r.Published, r.Unwritten = a.snapshotStatus(), before.Published, before.Unwritten
	if r.Snapshot == nil && a.snapshot != nil {
		r.Snapshot = before.Snapshot
	}
	r.Refused, r.live, r.SSHD = before.Refused, before.live, before.SSHD
	for _, u := range readServed(c.Cache.Dir).tables.Users {
		r.Keys += len(u.Keys)
	}
	if err != nil {
		r.Error, r.Failures = err.Error(), before.Failures+1
		r.Success, r.Admitted, r.Users, r.Groups, r.Whole, r.Findings = before.Success, before.Admitted, before.Users,
			before.Groups, before.Whole, before.Findings
		if errors.Is(err, accounts.ErrEmptyAnswer) || errors.Is(err, directory.ErrIncomplete) {
			r.Refused++
		}
	} else {
		_ = saveSuccess(s, started, saveSuccessEvery) // for after a reboot; a disk that is full is told of elsewhere
		r.Success, r.Admitted, r.Users, r.Groups, r.Whole, r.Findings = started, o.Admitted, o.Users, o.Groups, o.Whole,
			o.Findings
	}
	r.Skipped = accounts.Count(r.Findings)
	r.Collisions = r.Skipped[accounts.IDTaken]
	if a.cost != nil {
		if cost := a.cost(); cost != (identitycenter.Cost{}) {
			r.Cost = &cost
		} else {
			r.Cost = before.Cost
		}
	}
	r.Refresh, r.RateShare = interval(c, &r), rateShare(c, &r)
	return r
}

// thisHost is the host that the program runs on.
func thisHost() *hostsetup.Host { return hostsetup.Tree(hostRoot) }

// watchHost looks how what setup edits stands, by what sshd said before, if it is known.
func watchHost(ctx context.Context, before *hostsetup.Verdict) (hostsetup.Sight, *hostsetup.Verdict) {
	if before == nil {
		before = new(hostsetup.Verdict)
	}
	s, v := thisHost().Watch(ctx, *before)
	if v.Of == "" {
		return s, nil
	}
	return s, &v
}

func readReport(dir string) (r report, err error) {
	b, err := os.ReadFile(reportPath(dir))
	if err != nil {
		return r, err
	}
	err = json.Unmarshal(b, &r)
	return r, err
}

// tellReport writes the report for status, and the figures for monitoring.
func tellReport(r report, c config.Config) error {
	var host hostsetup.Sight
	if servesHost(c) {
		host, r.SSHD = watchHost(context.Background(), r.SSHD)
	}
	err := writeReport(c.Cache.Dir, r)
	if c.Metrics.TextFile != "" && !spoilsMetrics(c) {
		now, s := time.Now(), readServed(c.Cache.Dir)
		f := factsOf(c, s, &r, now)
		f.Host = host
		err = errors.Join(err, writeMetrics(c.Metrics.TextFile, r, s, f))
	}
	return err
}

// writeReport replaces the report of a cache folder in one step. A one-shot makes
// the run-time folder that the daemon will have; who may not make it goes
// without a report.
func writeReport(dir string, r report) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	path := reportPath(dir)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil
	}
	// Of a name of its own: two writers must not write one file. For root alone, as
	// the umask of the unit has it.
	f, err := os.CreateTemp(filepath.Dir(path), ".status-*.new")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// newTextLog logs for people at a terminal: no time, no level but from warnings on.
func newTextLog(w io.Writer) slog.Handler {
	return slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey && a.Value.String() == "INFO") {
			return slog.Attr{}
		}
		return a
	}})
}

// A served is what the published files say of themselves.
type served struct {
	NSS       *cache.Meta     `json:",omitempty"`
	NSSError  string          `json:",omitempty"`
	Keys      *cache.KeysMeta `json:",omitempty"`
	KeysError string          `json:",omitempty"`
	tables    cache.KeyTables // of keys.db
	none      bool            // neither file is there
}

func readServed(dir string) served {
	var s served
	m, err := cache.ReadMeta(dir)
	s.none = errors.Is(err, fs.ErrNotExist)
	if err != nil {
		s.NSSError = err.Error()
	} else if err := cache.Verify(dir); err != nil {
		s.NSSError = err.Error()
	} else {
		s.NSS = &m
	}
	t, k, err := cache.ReadKeys(dir)
	s.none = s.none && errors.Is(err, fs.ErrNotExist)
	if err != nil {
		s.KeysError = err.Error()
	} else {
		s.Keys, s.tables = &k, t
	}
	return s
}
