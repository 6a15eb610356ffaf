package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nss-iam/nss-iam/internal/config"
)

func checkConfigCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "check-config",
		Short: "Check the configuration file and say what it means",
		Long: "Read the configuration, name every fault of it with its line, and say in words what it means.\n\n" +
			"Exits with 2 if anything is wrong.",
		Example: "  # iam-cachefill check-config\n  # iam-cachefill check-config --config ./config.toml",
		Args:    noArguments,
		RunE: job(func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(o.configFile)
			if err != nil {
				return err
			}
			if err := checkKeys(c); err != nil {
				return err
			}
			if f := staleKeys(c, peopleWithKeys(c.Cache.Dir)); f != nil {
				return wrongConfig{fmt.Errorf("%w; %s", f, f.remedy())}
			}
			if o.json {
				return printJSON(cmd.OutOrStdout(), c)
			}
			return describe(cmd.OutOrStdout(), o.configFile, c)
		}),
	}
}

// describe says in words what a configuration does.
func describe(w io.Writer, name string, c config.Config) error {
	var who []string
	if c.Login.AllUsers {
		who = append(who, "every user of the directory")
	}
	if len(c.Login.Groups) > 0 {
		who = append(who, "members of "+strings.Join(c.Login.Groups, ", "))
	}
	if c.Login.GroupsTag != "" {
		who = append(who, fmt.Sprintf("members of the groups in the instance's tag %q", c.Login.GroupsTag))
	}
	sudo := "nobody"
	if len(c.Sudo.Groups) > 0 {
		sudo = "members of " + strings.Join(c.Sudo.Groups, ", ") + " who may log in"
	}
	if c.Sudo.GroupsTag != "" {
		sudo += fmt.Sprintf(" and of the groups in the instance's tag %q", c.Sudo.GroupsTag)
	}
	stale := c.Keys.MaxStale.String()
	if c.Keys.MaxStale == 0 {
		stale = "no limit"
	}
	var last *report
	if r, err := readReport(c.Cache.Dir); err == nil {
		last = &r
	}
	_, err := fmt.Fprintf(w, `%s is sound.
source    %s, asked every %s
login     %s
sudo      %s
ids       %d to %d, %d pinned
keys      online: %s within %s; cached %s for %s
removal   after %d answers without the user, at most %g of all at once
`, name, c.Source.Kind, interval(c, last), strings.Join(who, "; "), sudo,
		c.IDs.Low, c.IDs.High, len(c.IDs.Pin), c.Keys.Online, c.Keys.Timeout, config.Cached(c.Source.Kind), stale,
		c.Removal.Confirm, c.Removal.MaxFraction)
	if share := rateShare(c, last); share != "" && err == nil {
		_, err = fmt.Fprintf(w, "rate      %s\n", share)
	}
	return err
}
