package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/nss-iam/nss-iam/internal/control"
	"github.com/nss-iam/nss-iam/internal/health"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/internal/state"
)

func explainCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "explain NAME",
		Short: "Say why somebody can or cannot log in",
		Long: "Say why somebody can or cannot log in, and what to do about it. NAME is a name of the directory, a login " +
			"name, " +
			"a uid or gid, or an id of the directory. Every rule that applied is named in its order.\n\n" +
			"Exits with 1 if nobody of that name may log in.",
		Example: "  # iam-cachefill explain alice\n  # iam-cachefill explain AIDACKCEVSQ6C2EXAMPLE\n  # " +
			"iam-cachefill explain 2049520388 --json",
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
			e := explained(all, o.configFile, health.StopsLogins(v.findings(), v.facts.Policy))
			if o.json {
				err = printJSON(cmd.OutOrStdout(), e)
			} else {
				err = e.print(cmd.OutOrStdout(), args[0])
			}
			if err == nil && !e.MayLogIn {
				err = errNo
			}
			return err
		}),
	}
}

// explain asks the daemon, or reads what the last refresh remembered.
func explain(cmd *cobra.Command, o *options, name string) ([]refresh.Explanation, error) {
	if !cmd.Flags().Changed("config") {
		ctx, cancel := context.WithTimeout(cmd.Context(), statusPatience)
		defer cancel()
		var all []refresh.Explanation
		body, err := control.Client{Path: socketPath}.Explain(ctx, name)
		if err == nil {
			err = json.Unmarshal(body, &all)
		}
		if !noDaemon(err) {
			return all, whyIdle(err, o.configFile)
		}
	}
	c, err := loadOwn(o.configFile)
	if err != nil {
		return nil, err
	}
	log := slog.New(newTextLog(cmd.ErrOrStderr()))
	s, err := readState(c.Cache.Dir, log)
	if errors.Is(err, state.ErrBusy) {
		err = fmt.Errorf("%w; ask again when it has ended", heldBy(err, c.Cache.Dir))
	}
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
