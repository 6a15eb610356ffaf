package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/nss-iam/nss-iam/internal/control"
	"github.com/nss-iam/nss-iam/internal/health"
	"github.com/nss-iam/nss-iam/internal/refresh"
)

func explainCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "explain NAME",
		Short: "Say why somebody can or cannot log in",
		Long: "Say why somebody can or cannot log in, and what to do about it. NAME is a name of the directory, a login name, " +
			"a uid or gid, or an id of the directory. Every rule that applied is named in its order.\n\n" +
			"Exits with 1 if nobody of that name may log in.",
		Example:           "  # iam-cachefill explain alice\n  # iam-cachefill explain AIDACKCEVSQ6C2EXAMPLE\n  # iam-cachefill explain 2049520388 --json",
		ValidArgsFunction: servedNames(o),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("explain wants one NAME, and got %d", len(args))
			}
			return nil
		},
		RunE: job(func(cmd *cobra.Command, args []string) error {
			all, err := explain(cmd, o, args[0])
			if err != nil {
				return err
			}
			v, err := lookAt(cmd.Context(), o.configFile)
			if err != nil {
				return err
			}
			stops := health.StopsLogins(v.findings(), v.facts.Policy)
			if o.json {
				err = printJSON(cmd.OutOrStdout(), all)
			} else {
				err = printExplanations(cmd.OutOrStdout(), args[0], all, stops)
			}
			if err == nil && (!anyServed(all) || len(stops) > 0) {
				err = errNo
			}
			return err
		}),
	}
}

// explain asks the daemon, or reads what the last refresh remembered.
func explain(cmd *cobra.Command, o *options, name string) ([]refresh.Explanation, error) {
	if !cmd.Flags().Changed("config") {
		ctx, cancel := context.WithTimeout(cmd.Context(), daemonPatience)
		defer cancel()
		var all []refresh.Explanation
		body, err := control.Client{Path: socketPath}.Explain(ctx, name)
		if err == nil {
			err = json.Unmarshal(body, &all)
		}
		if !noDaemon(err) {
			return all, err
		}
	}
	c, err := loadConfig(o.configFile)
	if err != nil {
		return nil, err
	}
	log := slog.New(newTextLog(cmd.ErrOrStderr()))
	s, err := readState(c.Cache.Dir, log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }()
	// What is remembered is enough: no source is asked.
	r := refresherWithout(c, s, log)
	if err := r.Restore(); err != nil {
		return nil, err
	}
	return r.Explain(name)
}

func anyServed(all []refresh.Explanation) bool {
	for _, x := range all {
		if x.State == "served" && !x.Denied && x.KeysRefused == "" && (x.Cached == nil || x.Cached.Useless == "") {
			return true
		}
	}
	return false
}

func printExplanations(w io.Writer, name string, all []refresh.Explanation, stops []health.Finding) error {
	if len(all) == 0 {
		_, err := fmt.Fprintf(w, "%.200q: nobody of this name was in IAM's last answer, and nobody of this name is remembered\n", name)
		return err
	}
	for i, x := range all {
		if i > 0 {
			_, _ = fmt.Fprintln(w)
		}
		_, _ = fmt.Fprintf(w, "%s %.80q", x.Kind, x.UnixName)
		if x.ID != "" {
			_, _ = fmt.Fprintf(w, ", IAM %.80q %s, id %d", x.DirectoryName, x.ID, x.UnixID)
		}
		_, _ = fmt.Fprintf(w, ": %s\n", x.State)
		for _, s := range x.Steps {
			mark := "yes"
			if !s.OK {
				mark = "NO"
			}
			_, _ = fmt.Fprintf(w, "  %-3s  %s: %s\n", mark, s.Rule, s.Detail)
			if s.Remedy != "" {
				_, _ = fmt.Fprintf(w, "       what to do: %s\n", s.Remedy)
			}
		}
		if err := printKeys(w, x); err != nil {
			return err
		}
		if x.Kind != "user" || x.State != "served" {
			continue
		}
		for _, f := range stops {
			if _, err := fmt.Fprintf(w, "  NO   this host: %s\n       what to do: %s\n", f.What, f.Fix); err != nil {
				return err
			}
		}
	}
	return nil
}

func printKeys(w io.Writer, x refresh.Explanation) error {
	if x.Denied {
		_, _ = fmt.Fprintln(w, "  NO   groups: a login since the last refresh found the user out of them; the next refresh decides")
	}
	if x.Kind == "user" && x.State == "served" && x.KeysRefused != "" {
		_, _ = fmt.Fprintf(w, "  NO   keys: the directory does not answer about them: %s\n", x.KeysRefused)
	}
	switch {
	case x.Kind != "user" || x.State != "served":
		return nil
	case x.KeysListed.IsZero():
		_, err := fmt.Fprintln(w, "  NO   keys: IAM was not asked for them yet")
		return err
	case len(x.Keys) == 0:
		_, err := fmt.Fprintf(w, "  NO   keys: IAM had none at %s\n       what to do: upload one: aws iam upload-ssh-public-key\n", x.KeysListed.Format(time.RFC3339))
		return err
	}
	if err := printCached(w, x.Cached); err != nil {
		return err
	}
	for _, k := range x.Keys {
		line := fmt.Sprintf("  yes  key %s: %s %s", k.ID, k.Type, k.Fingerprint)
		if !k.Expires.IsZero() {
			line += ", ends " + k.Expires.Format(time.RFC3339)
		}
		if k.Refused != "" {
			line = fmt.Sprintf("  NO   key %s: %s", k.ID, k.Refused)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// printCached says until when a person's cached keys open logins.
func printCached(w io.Writer, c *refresh.KeysCache) (err error) {
	switch {
	case c == nil:
		_, err = fmt.Fprintln(w, "  NO   cached keys: keys.db has none of this user; the directory is asked at a login")
	case c.Useless != "":
		_, err = fmt.Fprintf(w, "  NO   cached keys: %s\n       what to do: iam-cachefill refresh; if that fails, it says why\n", c.Useless)
	case !c.Until.IsZero():
		_, err = fmt.Fprintf(w, "  yes  cached keys: they open logins without the directory until %s\n", c.Until.Format(time.RFC3339))
	}
	return err
}
