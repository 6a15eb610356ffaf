package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"github.com/nss-iam/nss-iam/internal/doctor"
	"github.com/nss-iam/nss-iam/internal/jsondoc"
	"github.com/nss-iam/nss-iam/internal/support"
)

func bundleCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "support-bundle [FILE]",
		Short: "Write an archive with everything that a bug report needs",
		Long: "Write FILE, a gzipped tar, with everything that a bug report needs: status, what doctor finds, the " +
			"configuration, logs, and " +
			"how this host is set up. Keys, tokens, passwords and external ids are left out; names of people and groups are " +
			"in it, so read it " +
			"before you hand it on. Nothing is sent anywhere. Without FILE it is nss-iam-support-DATE.tar.gz in this folder.",
		Example:           "  # iam-cachefill support-bundle\n  # iam-cachefill support-bundle /tmp/report.tar.gz",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: ofKind(cobra.ShellCompDirectiveFilterFileExt, "tar.gz"),
		RunE: job(func(cmd *cobra.Command, args []string) error {
			if os.Geteuid() != 0 {
				return errors.New("support-bundle reads what only root may see; run it with sudo")
			}
			now := time.Now()
			file := "nss-iam-support-" + now.Format("20060102-150405") + ".tar.gz"
			if len(args) == 1 {
				file = args[0]
			}
			stop := sayWaiting(cmd, o)
			b := bundle(cmd.Context(), o.configFile, now)
			stop()
			if err := writeBundle(file, b); err != nil {
				return err
			}
			if o.json {
				return printJSON(cmd.OutOrStdout(), struct {
					File  string
					Files []string
				}{file, b.Names()})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is written, %d files; keys, tokens and external ids are left out, "+
				"names are not: read it before you hand it on\n", file, len(b.Names()))
			return err
		}),
	}
}

// bundle gathers what this host has of nss-iam.
func bundle(ctx context.Context, configFile string, now time.Time) *support.Bundle {
	c, _ := loadConfig(configFile)
	b := support.New(ctx, support.Host{Root: hostRoot, Now: now, Run: outputOf}, []string{c.Source.ExternalID})
	b.AddFile(configFile, "config.toml")
	b.Add("version.txt", ownName+" version "+version+"\n")
	add := func(command string, found any, err error) {
		var text bytes.Buffer
		if err == nil {
			err = jsondoc.Write(&text, command, found, nil)
		}
		if err != nil {
			b.Missing(command+".json", err)
			return
		}
		b.Add(command+".json", text.String())
	}
	v, err := lookAt(ctx, configFile)
	add("status", statusOf(v), err)
	p, err := input(ctx, configFile)
	var d diagnosis
	if err == nil {
		d.Findings = withConfig(configFile, doctor.Examine(ctx, p))
		d.Sound = doctor.Sound(d.Findings)
	}
	add("doctor", d, err)
	return b
}

// outputOf runs a program and returns both its outputs.
func outputOf(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	return string(out), err
}

// writeBundle makes a new file for root alone.
func writeBundle(name string, b *support.Bundle) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make the archive: %w", err)
	}
	err = b.Write(io.Writer(f))
	err = errors.Join(err, f.Close())
	if err != nil {
		_ = os.Remove(name)
	}
	return err
}
