package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/nss-iam/nss-iam/internal/hostsetup"
)

func setupCommand(opts *options) *cobra.Command {
	var undo, dryRun, offline bool
	var root string
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Edit nsswitch.conf, sshd, sudoers and PAM, or undo it",
		Long: "Edit this host's configuration so that users of the directory exist and can log in: nsswitch.conf, sshd's " +
			"AuthorizedKeysCommand, sudo for group iam-sudo, PAM's question whether somebody may come in now, and what makes " +
			"homes. " +
			"The programs concerned check the result; if they object, all is put back. May be repeated.",
		Example: "  # iam-cachefill setup --dry-run\n  # iam-cachefill setup\n  # iam-cachefill setup --offline --root " +
			"/mnt/image\n  # iam-cachefill setup --undo",
		Args: noArguments,
	}
	cmd.Flags().BoolVar(&undo, "undo", false, "put every file back as it was before")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only print what would change, as a unified diff")
	cmd.Flags().BoolVar(&offline, "offline", false, "an image or a chroot: reload no service")
	cmd.Flags().StringVar(&root, "root", "/", "the `folder` of another host's files")
	_ = cmd.MarkFlagDirname("root")
	cmd.RunE = job(func(cmd *cobra.Command, _ []string) error {
		if os.Geteuid() != 0 {
			return errors.New("setup reads and changes what is root's; run it with sudo")
		}
		s := setup{host: hostsetup.Tree(root), out: cmd.OutOrStdout(), json: opts.json}
		switch {
		case undo && dryRun:
			return s.showUndo()
		case undo:
			return s.undo(cmd.Context(), offline)
		}
		c, err := loadConfig(opts.configFile)
		if err != nil {
			return err
		}
		o := hostsetup.Options{
			Sudo: len(c.Sudo.Groups) > 0 || c.Sudo.GroupsTag != "", HomesByPAM: c.Accounts.Homes == "pam",
			HomesFolder: homesFolder(c), EndSessions: c.Removal.EndSessions || c.Sudo.EndSessions,
			OwnKeys: c.Keys.OwnFile == "allow", Chain: c.Keys.Chain, Offline: offline,
		}
		if dryRun {
			return s.show(cmd.Context(), o)
		}
		return s.apply(cmd.Context(), o)
	})
	return cmd
}

// setup is one run of the command.
type setup struct {
	host *hostsetup.Host
	out  io.Writer
	json bool
}

func (s setup) apply(ctx context.Context, o hostsetup.Options) error {
	r, err := s.host.Setup(ctx, o)
	if err != nil {
		return errors.Join(err, s.report(r, ""))
	}
	return s.report(r, "nothing to change: the host is as it should be\n")
}

func (s setup) undo(ctx context.Context, offline bool) error {
	r, err := s.host.Undo(ctx, offline)
	if errors.Is(err, hostsetup.ErrNothingToUndo) {
		r, err = &hostsetup.Result{Notes: []string{err.Error()}}, nil
	}
	if err != nil {
		return errors.Join(err, s.report(r, ""))
	}
	return s.report(r, "nothing to put back: the host is as it was\n")
}

func (s setup) report(r *hostsetup.Result, nothing string) error {
	if r == nil {
		return nil
	}
	if s.json {
		return printJSON(s.out, r)
	}
	var text string
	if r.Recovered != "" {
		text += r.Recovered + "\n"
	}
	for _, name := range r.Changed {
		text += "changed " + name + "\n"
	}
	if len(r.Changed) == 0 {
		text += nothing
	}
	for _, note := range r.Notes {
		text += "note: " + note + "\n"
	}
	_, err := io.WriteString(s.out, text)
	return err
}

func (s setup) show(ctx context.Context, o hostsetup.Options) error {
	p, err := s.host.Plan(ctx, o)
	if err != nil {
		return err
	}
	previewed, err := s.host.Preview(ctx, p)
	if err != nil {
		p.Notes = append(p.Notes, err.Error())
	}
	if s.json {
		p.Changes = append(p.Changes, previewed...)
		return printJSON(s.out, p)
	}
	if err := s.diff(append(p.Changes, previewed...)); err != nil {
		return err
	}
	for _, c := range p.Commands {
		_, _ = fmt.Fprintf(s.out, "# would run: %q\n", c.Argv)
	}
	for _, note := range p.Notes {
		_, _ = fmt.Fprintf(s.out, "# note: %s\n", note)
	}
	return nil
}

func (s setup) showUndo() error {
	changes, err := s.host.UndoChanges()
	if errors.Is(err, hostsetup.ErrNothingToUndo) {
		err = nil
	}
	if err != nil {
		return err
	}
	if s.json {
		return printJSON(s.out, hostsetup.Plan{Changes: changes})
	}
	return s.diff(changes)
}

func (s setup) diff(changes []hostsetup.Change) error {
	for _, c := range changes {
		if _, err := s.out.Write(diff.Diff("a"+c.Path, []byte(c.Before), "b"+c.Path, []byte(c.After))); err != nil {
			return err
		}
	}
	return nil
}
