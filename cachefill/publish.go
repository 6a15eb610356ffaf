package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/internal/snapshot"
	"github.com/nss-iam/nss-iam/internal/state"
)

// publishEach is how many users' keys are read before what is known of them is
// published: a large account takes longer than hosts should wait for the first.
const publishEach = 500

func publishCommand(o *options) *cobra.Command {
	var p publishOnce
	var expires string
	cmd := &cobra.Command{
		Use:   "publish [URL]",
		Short: "Write a signed snapshot of the account for hosts that do not ask the directory",
		Long: "Ask the directory for all users, groups and keys, and write them as a signed snapshot to s3://bucket/key or " +
			"file:///path. URL and key default to [publish] in the configuration. The host itself may serve nobody. " +
			"With --new-key and no URL a key pair is made and nothing else.",
		Example: "  # iam-cachefill publish --new-key /etc/nss-iam/publish.key\n" +
			"  # iam-cachefill publish s3://example-bucket/nss-iam.snapshot --key /etc/nss-iam/publish.key",
		ValidArgsFunction: ofKind(cobra.ShellCompDirectiveNoSpace|cobra.ShellCompDirectiveNoFileComp, "s3://", "file:///"),
		Args:              cobra.MaximumNArgs(1),
	}
	cmd.Flags().StringVar(&p.key, "key", "", "the private key: a `file`, or ssm:///PARAMETER")
	cmd.Flags().StringVar(&p.newKey, "new-key", "", "make a key pair, `file` and file.pub, and sign with it")
	cmd.Flags().StringVar(&expires, "expires", "", "how long the snapshot is valid: a `time` such as 24h or 7d")
	cmd.Flags().BoolVar(&p.accept, "accept-removals", false, "publish though many users are missing in the directory's "+
		"answer")
	_ = cmd.RegisterFlagCompletionFunc("expires", cobra.NoFileCompletions)
	cmd.MarkFlagsMutuallyExclusive("key", "new-key")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		if len(args) > 0 {
			p.url = args[0]
			if _, _, _, err = snapshot.ParseURL(p.url); err != nil {
				return err
			}
		}
		if expires != "" {
			if p.expires, err = config.ParseDuration(expires); err == nil && p.expires < time.Minute {
				err = errors.New("shorter than a minute")
			}
			if err != nil {
				return fmt.Errorf("--expires %.40q: %w", expires, err)
			}
		}
		return job(func(cmd *cobra.Command, _ []string) error { return p.run(cmd, o) })(cmd, args)
	}
	return cmd
}

// publishOnce is one run of the command.
type publishOnce struct {
	url, key, newKey string
	expires          time.Duration
	accept           bool
	public           string // of the key pair that was made now
}

func (p publishOnce) run(cmd *cobra.Command, o *options) error {
	out := cmd.OutOrStdout()
	if p.newKey != "" {
		public, err := snapshot.WriteNewKey(p.newKey, "nss-iam-publisher")
		if err != nil {
			return err
		}
		switch {
		case o.json:
			err = printJSON(out, struct{ TrustedKey string }{public.String()})
		default:
			_, err = fmt.Fprintf(out, "trusted_keys = [%q]\n", public)
		}
		if err != nil || p.url == "" {
			return err
		}
		p.public = public.String()
		p.key = p.newKey
	}
	log := slog.New(newTextLog(cmd.ErrOrStderr()))
	c, err := p.config(o.configFile)
	if err != nil {
		return err
	}
	var s *state.Store
	asked := false // the daemon, which did it
	err = inTurn(cmd.Context(), c.Cache.Dir, commandTurn, log, func() (err error) {
		if s, err = openState(c.Cache.Dir, log); !errors.Is(err, state.ErrBusy) {
			return err
		}
		if failed := p.askDaemon(cmd, o, c.Cache.Dir); !noDaemon(failed) {
			asked, err = true, failed
		}
		return err
	})
	if err != nil || asked {
		return err
	}
	defer func() { _ = s.Close() }()
	r, source, err := newRefresher(c, s, log)
	if err != nil {
		return err
	}
	writer, err := newPublisher(c)
	if err != nil {
		return err
	}
	started := time.Now()
	r.Policy.Accept = strings.Join(strings.Fields("iam-cachefill publish "+p.url+" --accept-removals"), " ")
	stop := sayWaiting(cmd, o)
	outcome, err := r.Refresh(cmd.Context(), refresh.Options{AcceptRemovals: p.accept})
	stop()
	report := newReport(s, started, outcome, err, source, c)
	var done publication
	if err == nil {
		if done, err = sweepAndWrite(cmd.Context(), r, writer, func(p publication) { p.tell(log) }); err == nil {
			report.Published, report.Unwritten = &done, ""
		} else {
			report.Unwritten = err.Error()
		}
	}
	if err = errors.Join(err, writeReport(c.Cache.Dir, report)); err != nil {
		return err
	}
	if o.json {
		return printJSON(out, struct {
			publication
			TrustedKey string `json:",omitempty"`
		}{done, p.public})
	}
	return printPublication(out, false, done)
}

// askDaemon has the running daemon refresh, which publishes as its
// configuration says.
func (p publishOnce) askDaemon(cmd *cobra.Command, o *options, dir string) error {
	if p.url != "" || p.key != "" || p.expires != 0 || cmd.Flags().Changed("config") {
		return fmt.Errorf("a daemon runs here and publishes by its own configuration only: set what is wanted "+
			"under [publish] in %s and reload it, or stop it first", configPath)
	}
	if _, err := askDaemon(cmd.Context(), refresh.Options{AcceptRemovals: p.accept}); err != nil {
		return err
	}
	r, err := readReport(dir)
	switch {
	case err != nil:
		return err
	case r.Unwritten != "":
		return errors.New(r.Unwritten)
	case r.Published == nil:
		return errors.New("the running daemon published nothing; reload it if [publish] was set since its start")
	}
	return printPublication(cmd.OutOrStdout(), o.json, *r.Published)
}

// config is the file's configuration with the command line above it.
func (p publishOnce) config(name string) (config.Config, error) {
	c, err := loadOwn(name)
	if err != nil && !errors.Is(err, config.ErrNotConfigured) {
		return c, err
	}
	if p.url != "" {
		c.Publish.URL = p.url
	}
	if p.key != "" {
		c.Publish.Key = p.key
	}
	if p.expires != 0 {
		c.Publish.Expires = p.expires
	}
	host, _ := loadConfig(configPath)
	switch {
	case c.Publish.URL != "" && c.Publish.URL == host.Publish.URL && !isHostsOwn(name):
		return c, wrongConfig{fmt.Errorf("%s: the host's own configuration %s publishes to %s; drop --config, or name "+
			"another place", name, configPath, c.Publish.URL)}
	case c.Source.Snapshot():
		return c, wrongConfig{fmt.Errorf("%s: source.kind is %q; a host that reads a snapshot does not write one", name,
			c.Source.Kind)}
	case c.Publish.URL == "":
		return c, wrongConfig{fmt.Errorf("no place to publish to; name s3://bucket/key or file:///path, or set "+
			"publish.url in %s", name)}
	case c.Publish.Key == "":
		return c, wrongConfig{fmt.Errorf("no key to sign with; give --key or --new-key, or set publish.key in %s", name)}
	}
	return c, nil
}

// sweepAndWrite publishes what is known at once, and again as keys are read.
func sweepAndWrite(ctx context.Context, r *refresh.Refresher, writer *publisher, tell func(publication)) (publication,
	error) {
	done, err := writer.write(ctx, r, true)
	for err == nil {
		if done.Published {
			tell(done)
		}
		var swept refresh.Swept
		if swept, err = r.Logins.Sweep(ctx, publishEach); swept.Users > 0 {
			// What was read before a failure is worth telling too.
			next, failed := writer.write(ctx, r, false)
			if failed != nil {
				return done, errors.Join(err, failed)
			}
			next.Published = next.Published || done.Published
			next.Bytes = max(next.Bytes, done.Bytes)
			done = next
		}
		if swept.Remaining == 0 {
			break
		}
	}
	return done, err
}

// tell logs a publication.
func (p publication) tell(log *slog.Logger) {
	if p.Replaced != "" {
		log.Error("replaced a snapshot that no host should use", "snapshot", p.Address, "reason", p.Replaced)
	}
	if p.Published {
		log.Info("snapshot published", "snapshot", p.Address, "generation", p.Generation, "bytes", p.Bytes, "users", p.Users,
			"keys_of", p.KeysOf)
	}
}

func printPublication(w io.Writer, asJSON bool, p publication) error {
	if asJSON {
		return printJSON(w, p)
	}
	_, err := fmt.Fprintln(w, p)
	return err
}
