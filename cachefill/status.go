package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/control"
)

func statusCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say what is served, how old it is, and who is left out",
		Long:  "Say what is served, how old it is, and who is left out, without asking AWS.\nExits with 1 if no sound cache is served, or if the last refresh failed.",
		Args:  cobra.NoArgs,
		RunE: job(func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(o.configFile)
			if err != nil && !errors.Is(err, config.ErrNotConfigured) {
				return err
			}
			s := status{served: readServed(c.Cache.Dir)}
			if f := staleKeys(c, peopleWithKeys(c.Cache.Dir)); f != nil {
				s.Stale = f.Error() + "; " + f.remedy()
			}
			var live report
			if b, err := (control.Client{Path: socketPath}).Status(cmd.Context()); err == nil {
				s.Daemon = true
				_ = json.Unmarshal(b, &live) // of an older daemon, which counts nothing
			}
			switch r, err := readReport(c.Cache.Dir); {
			case err == nil:
				if s.Daemon {
					r.Logins = live.Logins
				}
				s.Last = &r
			case !errors.Is(err, fs.ErrNotExist):
				return err
			}
			if o.json {
				err = printJSON(cmd.OutOrStdout(), s)
			} else {
				err = s.print(cmd.OutOrStdout(), time.Now())
			}
			if err == nil && !s.good() {
				err = errNo
			}
			return err
		}),
	}
}

// A status is all that can be told without asking AWS.
type status struct {
	served
	Daemon bool    // one answers on the socket
	Stale  string  `json:",omitempty"` // why cached keys grow too old though all is well
	Last   *report `json:",omitempty"` // the last refresh since the host booted
}

func (s status) good() bool {
	return s.NSSError == "" && (s.Last == nil || s.Last.Error == "" && s.Last.Unwritten == "")
}

func (s status) print(w io.Writer, now time.Time) error {
	ago := func(t time.Time) string {
		return fmt.Sprintf("%s ago (%s)", now.Sub(t).Round(time.Second), t.Format(time.RFC3339))
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	if s.Daemon {
		row("daemon", "running")
	} else {
		row("daemon", "not running")
	}
	if s.NSS != nil {
		row("nss.db", "generation %d, changed %s", s.NSS.Generation, ago(s.NSS.Written))
	} else {
		row("nss.db", "%s", s.NSSError)
	}
	if s.Keys != nil {
		row("keys.db", "generation %d, changed %s", s.Keys.Generation, ago(s.Keys.Written))
	} else {
		row("keys.db", "%s", s.KeysError)
	}
	if s.Stale != "" {
		row("sweep", "%s", s.Stale)
	}
	if r := s.Last; r == nil {
		row("last refresh", "none since this host booted")
	} else {
		if r.Error != "" {
			row("last refresh", "failed %s, %d in a row: %s", ago(r.Attempt), r.Failures, r.Error)
		}
		if !r.Success.IsZero() {
			row("last good refresh", "%s", ago(r.Success))
			row("served", "%d users, %d of them may log in; %d groups", r.Users, r.Admitted, r.Groups)
			if !r.Whole {
				row("ids", "claimed among the users and groups that were read, a part of the directory; see docs/ids.md")
			}
		}
		if p := r.Snapshot; p != nil {
			row("snapshot", "generation %d of %s, written %s", p.Generation, p.Address, ago(p.Written))
			if !now.Before(p.Expires) {
				row("", "EXPIRED %s; it is served still: see why its publisher is silent", ago(p.Expires))
			}
		}
		if p := r.Published; p != nil {
			row("published", "%s", p)
		}
		if r.Unwritten != "" {
			row("published", "failed: %s", r.Unwritten)
		}
		row("AWS calls", "%d, %d throttled", sum(r.Calls), sum(r.Throttles))
		if n := r.Logins; n != (control.Counts{}) {
			row("logins", "%d questions with unknown keys refused for rate, %d given an answer up to a minute old, %d without a turn", n.Limited, n.Older, n.Busy)
		}
	}
	if err := t.Flush(); err != nil || s.Last == nil {
		return err
	}
	return printFindings(w, s.Last.Findings)
}

func printFindings(w io.Writer, findings []accounts.Finding) error {
	for _, f := range findings {
		if _, err := fmt.Fprintln(w, f); err != nil {
			return err
		}
	}
	return nil
}

func sum(counts map[string]int64) (total int64) {
	for _, n := range counts {
		total += n
	}
	return total
}
