package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/control"
	"github.com/nss-iam/nss-iam/internal/refresh"
)

func refreshCommand(o *options) *cobra.Command {
	var ask refresh.Options
	cmd := &cobra.Command{
		Use:   "refresh",
		Short: "Refresh now, and say what changed",
		Long: "Ask the directory now and publish what follows. A running daemon does it, unless --config is given; " +
			"without one it is done here, and the keys of those who have none in the cache yet are read too.",
		Example: "  # iam-cachefill refresh --dry-run\n  # iam-cachefill refresh\n" +
			"  # iam-cachefill refresh --accept-removals",
		Args: noArguments,
		RunE: job(func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("config") {
				return lockedAlone(refreshHere(cmd, o, ask), o.configFile)
			}
			log := slog.New(newTextLog(cmd.ErrOrStderr()))
			return inTurn(cmd.Context(), cacheDir, commandTurn, log, func() error {
				if err := refreshThere(cmd, o, ask); !noDaemon(err) {
					return err
				}
				return refreshHere(cmd, o, ask)
			})
		}),
	}
	cmd.Flags().BoolVar(&o.verbose, "verbose", false, fmt.Sprintf("list every change, where more than %d are summed up",
		mostChanges))
	cmd.Flags().BoolVar(&ask.DryRun, "dry-run", false, "say what would change, and change nothing")
	cmd.Flags().BoolVar(&ask.AcceptRemovals, "accept-removals", false,
		"apply removals even above removal.max_fraction, without waiting for confirmation")
	cmd.Flags().BoolVar(&ask.AcceptGroups, "accept-groups", false, "believe groups that were deleted and created again")
	return cmd
}

// askDaemon has the running daemon refresh. It waits as long as the daemon does: a large
// store is read for an hour (refreshDeadline), and a daemon that dies ends the wait.
func askDaemon(ctx context.Context, o refresh.Options) (refresh.Outcome, error) {
	var outcome refresh.Outcome
	body, err := control.Client{Path: socketPath}.Refresh(ctx, control.RefreshRequest{DryRun: o.DryRun,
		Confirm: o.AcceptRemovals, AcceptGroups: o.AcceptGroups})
	if err == nil {
		err = json.Unmarshal(body, &outcome)
	}
	return outcome, plainly(err)
}

// plainly is an error of the daemon as people read it: its own words, quoted once.
func plainly(err error) error {
	var refusal control.Refusal
	if errors.As(err, &refusal) {
		return errors.New("the daemon says: " + refusal.Said)
	}
	return err
}

// refreshThere has the daemon refresh. noDaemon says of its error that none answers.
func refreshThere(cmd *cobra.Command, o *options, ask refresh.Options) error {
	stop := sayWaiting(cmd, o)
	outcome, err := askDaemon(cmd.Context(), ask)
	stop()
	switch {
	case noDaemon(err):
		return err
	case err != nil:
		return whyIdle(err, o.configFile)
	}
	if err := printOutcome(cmd.OutOrStdout(), o, ask, outcome); err != nil {
		return err
	}
	if len(outcome.Changes.Added) > 0 && !ask.DryRun && !o.json {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), "keys: the daemon reads those of new users now; logins work meanwhile")
	}
	return err
}

// whyIdle says in the words of the configuration why a daemon that idles could not answer.
// The file may be right by now, and the daemon has not read it.
func whyIdle(err error, configFile string) error {
	if !errors.Is(err, control.ErrNotConfigured) {
		return plainly(err)
	}
	if _, fault := loadConfig(configFile); fault != nil {
		return fault
	}
	return fmt.Errorf("%w; %q is sound now, and the daemon reads it with \"systemctl reload nss-iam\"", err, configFile)
}

// noDaemon reports whether err says that nobody listens on the socket.
func noDaemon(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// refreshHere does in this process what the daemon would do.
func refreshHere(cmd *cobra.Command, o *options, ask refresh.Options) error {
	log := slog.New(newTextLog(cmd.ErrOrStderr()))
	load, open := loadOwn, openState
	if ask.DryRun {
		load, open = loadConfig, readState // what would change on this host
	}
	c, err := load(o.configFile)
	if err != nil {
		return err
	}
	if !servesHost(c) {
		log.Info("this is not the host's own configuration; the host does not serve the result", "config", o.configFile,
			"folder",
			c.Cache.Dir)
	}
	s, err := open(c.Cache.Dir, log)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	r, asked, err := newRefresher(c, s, log)
	if err != nil {
		return err
	}
	started := time.Now()
	stop := sayWaiting(cmd, o)
	outcome, err := r.Refresh(cmd.Context(), ask)
	stop()
	for i, f := range outcome.Findings {
		outcome.Findings[i].Remedy = naming(o.configFile, f.Remedy)
	}
	var told report
	if !ask.DryRun {
		told = newReport(s, started, outcome, err, asked, c)
		err = errors.Join(err, tellReport(told, c))
	}
	if err != nil {
		return err
	}
	if err := printOutcome(cmd.OutOrStdout(), o, ask, outcome); err != nil || ask.DryRun {
		return err
	}
	if servesHost(c) {
		followHere(cmd.Context(), c, r, outcome, log)
	}
	swept, err := sweepHere(cmd, r, asked.stats)
	told.live = live{SweepError: textOf(err)}
	if err != nil {
		told.SweepFailing = started
	}
	err = errors.Join(err, tellReport(told, c)) // keys.db is another by now
	if swept.Users > 0 && !o.json {
		_, _ = fmt.Fprintf(cmd.OutOrStdout(), "keys: %d of %d users\n", swept.Keys, swept.Users)
	}
	return err
}

// followHere does what follows a refresh on the host that it serves.
func followHere(ctx context.Context, c config.Config, r *refresh.Refresher, outcome refresh.Outcome, log *slog.Logger) {
	for _, fault := range makeHomes(ctx, c, log) {
		log.Error("homes are missing", "error", fault)
	}
	if outcome.Published {
		if _, err := invalidateNscd(ctx, log); err != nil {
			log.Warn(`nscd still answers what is no longer served; run "nscd -i passwd" and "nscd -i group"`, "error", err)
		}
	}
	endSessions(ctx, c, r, log)
}

func printOutcome(w io.Writer, o *options, ask refresh.Options, outcome refresh.Outcome) error {
	if o.json {
		return printJSON(w, outcome)
	}
	verb := "is unchanged"
	switch {
	case outcome.Published:
		verb = "is written"
	case ask.DryRun && !outcome.Changes.Empty():
		verb = "would change"
	}
	if err := printChanges(w, outcome.Changes, o.verbose); err != nil {
		return err
	}
	if err := printFindings(w, outcome.Findings); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "nss.db %s: %s may log in, %d served, %s, %s\n",
		verb, many(outcome.Admitted, "user"), outcome.Users, many(outcome.Groups, "group"),
		many(len(outcome.Findings), "finding"))
	return err
}
