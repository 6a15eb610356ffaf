package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/importer"
)

func importCommand(o *options) *cobra.Command {
	var iamConfig string
	cmd := &cobra.Command{
		Use:   "import [FILE]",
		Short: "Print the configuration that does what aws-ec2-ssh's did, and a plan for its users",
		Long: "Print the configuration that does what FILE, a configuration of widdix/aws-ec2-ssh, did, and a plan for " +
			"the uids " +
			"of the users which that tool made. Nothing is changed; all commands of the plan are comments. A rule that FILE " +
			"decides in a way that is not understood, or that has no equivalent, is a comment, too, and the " +
			"exit status is 1.\n\n" +
			"With --from-iam, print the pins with which people keep their uids and gids: that configuration serves them " +
			"from IAM, and the one " +
			"of --config from Identity Center. Somebody is matched by name or e-mail address, and only " +
			"where nobody else is like them; who is not matched is a comment, and the exit status is 1.",
		Example: "  # iam-cachefill import >/etc/nss-iam/config.toml\n" +
			"  # iam-cachefill import --from-iam /etc/nss-iam/config.toml --config /root/new.toml >/root/pins.toml",
		ValidArgsFunction: ofKind(cobra.ShellCompDirectiveDefault),
		Args:              cobra.MaximumNArgs(1),
		RunE: job(func(cmd *cobra.Command, args []string) error {
			if iamConfig != "" {
				return fromIAM(cmd.Context(), o, cmd.OutOrStdout(), iamConfig)
			}
			file := importer.ConfigPath
			if len(args) == 1 {
				file = args[0]
			}
			old, err := os.ReadFile(file)
			if errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("open %q: no such file or directory; name the old configuration: iam-cachefill import FILE", file)
			}
			if err != nil {
				return err
			}
			s := importer.Parse(string(old))
			text, whole := s.Config()
			c, err := config.Parse(o.configFile, []byte(text))
			if err != nil && !errors.Is(err, config.ErrNotConfigured) {
				text += "\n# To be corrected by hand:\n# " + strings.ReplaceAll(err.Error(), "\n", "\n# ") + "\n"
				whole = false
			}
			stop := sayWaiting(cmd, o)
			plan, planErr := planOf(cmd.Context(), s, c)
			stop()
			if planErr != nil {
				plan = fmt.Sprintf("# No plan for the users' uids: %v\n", planErr)
			}
			if o.json {
				err = printJSON(cmd.OutOrStdout(), struct{ Configuration, Plan string }{text, plan})
			} else {
				_, err = io.WriteString(cmd.OutOrStdout(), text+"\n"+plan)
			}
			if !whole {
				err = errors.Join(err,
					fmt.Errorf("%q was not carried over whole: read the comments and complete the rules by hand", file))
			}
			return errors.Join(err, planErr)
		}),
	}
	cmd.Flags().StringVar(&iamConfig, "from-iam", "", "print pins for a move to Identity Center; `FILE` is the "+
		"configuration that reads IAM")
	return cmd
}

// planOf asks the directory for the ids that the uids are made of.
func planOf(ctx context.Context, s importer.Settings, c config.Config) (string, error) {
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return "", err
	}
	group, err := os.ReadFile("/etc/group")
	if err != nil {
		return "", err
	}
	users := importer.LocalUsers(string(passwd), string(group), s.Marker())
	if len(users) == 0 {
		return importer.Plan(nil), nil
	}
	if c.Source.Kind == "" {
		return "", errors.New("the configuration must be corrected first")
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	a, err := openSources(c, directory.Origin{}, slog.New(slog.DiscardHandler))
	if err != nil {
		return "", err
	}
	answer, err := a.directory.Directory(ctx, directory.Query{AllUsers: true})
	if err != nil {
		return "", err
	}
	moves := make([]importer.Move, len(users))
	for i, local := range users {
		moves[i].LocalUser = local
		for _, u := range answer.Directory.Users {
			if importer.UnixName(u.Name) == local.Name {
				moves[i].IAM, moves[i].ID = u.Name, u.ID
				moves[i].New = accounts.UserUID(u.ID, accounts.Range{Low: c.IDs.Low, High: c.IDs.High})
				moves[i].Pin = local.UID >= config.MinID && local.UID <= config.MaxID
			}
		}
	}
	return importer.Plan(moves), nil
}
