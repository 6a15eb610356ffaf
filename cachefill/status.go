package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/control"
	"github.com/nss-iam/nss-iam/internal/health"
	"github.com/nss-iam/nss-iam/internal/terminal"
)

func statusCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say what is served, how old it is, and who is left out",
		Long: "Say what is served, how old it is, and who is left out, without asking AWS.\n\n" +
			"Exits with 1 if somebody cannot log in, or soon cannot: no sound cache, a refresh that failed, " +
			"keys that are too old, no daemon although its unit is installed, or, where setup was run, glibc or sshd that " +
			"does not ask; with 2 if the configuration is wrong.",
		Example: "  # iam-cachefill status\n  # iam-cachefill status --json | jq .findings",
		Args:    noArguments,
		RunE: job(func(cmd *cobra.Command, _ []string) error {
			v, err := lookAt(cmd.Context(), o.configFile)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("config") && errors.Is(v.configError, fs.ErrNotExist) {
				return v.configError // a file that is not there serves nothing
			}
			s := statusOf(v)
			if o.json {
				err = printJSON(cmd.OutOrStdout(), s)
			} else {
				err = s.print(cmd.OutOrStdout())
			}
			switch {
			case err != nil:
				return err
			case v.facts.ConfigError != "", v.facts.NotConfigured:
				return v.configError
			case !health.Sound(s.Health):
				return errNo
			}
			return nil
		}),
	}
}

// statusOf makes a status of what was seen.
func statusOf(v hostView) status {
	s := status{served: v.served, Daemon: v.daemon == health.Answers, Stale: v.facts.Slow, Last: v.last,
		Health: v.findings(), facts: v.facts, unseen: v.unseen}
	if s.Stale != "" {
		s.Stale += "; " + v.facts.SlowRemedy
	}
	return s
}

// A status is all that can be told without asking AWS.
type status struct {
	served
	Daemon bool    // one answers on the socket
	Stale  string  `json:",omitempty"` // why cached keys grow too old though all is well
	Last   *report `json:",omitempty"` // the last refresh since the host booted

	Health []health.Finding // what is good, and what is not
	facts  health.Facts
	unseen bool
}

func (s status) print(w io.Writer) error {
	now := s.facts.Now
	ago := func(t time.Time) string {
		return fmt.Sprintf("%s ago (%s)", now.Sub(t).Round(time.Second), t.Format(time.RFC3339))
	}
	var rows [][]string
	row := func(name, format string, args ...any) {
		rows = append(rows, []string{name, fmt.Sprintf(format, args...)})
	}
	switch s.facts.Daemon {
	case health.Answers:
		row("daemon", "running")
	case health.Silent:
		row("daemon", "not running")
	}
	if s.NSS != nil {
		row("nss.db", "generation %d, changed %s", s.NSS.Generation, ago(s.NSS.Written))
	} else if !s.none {
		row("nss.db", "%s", s.NSSError)
	}
	if s.none {
		row("cache", "nothing is published yet")
	} else if s.unseen {
		row("keys.db", "only root may see more; run it with sudo")
	} else if s.Keys != nil {
		row("keys.db", "generation %d, changed %s", s.Keys.Generation, ago(s.Keys.Written))
	} else {
		row("keys.db", "%s", s.KeysError)
	}
	if s.Keys != nil {
		row("keys", "%s", s.facts.Checked())
	}
	if s.Stale != "" {
		row("sweep", "%s", s.Stale)
	}
	if r := s.Last; r == nil && s.unseen {
	} else if r == nil {
		row("last refresh", "none since this host booted")
		if t := s.facts.Success; !t.IsZero() {
			row("last good refresh", "%s", ago(t))
		}
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
				row("", "EXPIRED %s; it is still served; find out why its publisher wrote no newer one", ago(p.Expires))
			}
		}
		if p := r.Published; p != nil {
			row("published", "%s", p)
		}
		if r.Unwritten != "" {
			row("published", "failed: %s", r.Unwritten)
		}
		row("AWS calls", "%d, %d throttled", sum(r.Calls), sum(r.Throttles))
		if r.RateShare != "" {
			row("rate", "%s", r.RateShare)
		}
		if n := r.Logins; n != (control.Counts{}) {
			row("logins", "%d questions with unknown keys refused for rate, %d given an answer up to a minute old, %d "+
				"without a turn", n.Limited, n.Older, n.Busy)
		}
	}
	t := terminal.On(w)
	t.Table(rows)
	if err := t.Err(); err != nil {
		return err
	}
	if s.Last != nil {
		if err := printFindings(w, s.Last.Findings); err != nil {
			return err
		}
	}
	return printProblems(w, s.Health)
}

// printProblems prints what is not good, as doctor does.
func printProblems(w io.Writer, findings []health.Finding) error {
	return printDiagnosis(w, slices.DeleteFunc(slices.Clone(findings),
		func(f health.Finding) bool { return f.State == health.Good }))
}

func printFindings(w io.Writer, findings []accounts.Finding) error {
	s := terminal.On(w)
	for _, f := range findings {
		s.Text(f.String())
	}
	return s.Err()
}

func sum(counts map[string]int64) (total int64) {
	for _, n := range counts {
		total += n
	}
	return total
}
