// Command iam-cachefill fills the cache that libnss_iam.so.2 and authkeys
// answer from, and tells people what is in it and why.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/sessions"
)

// Set by the linker (Makefile).
var (
	version    = "unknown"
	cacheDir   = "/var/lib/nss-iam"
	socketPath = "/run/nss-iam/cachefill.sock"
)

// configPath is the configuration where --config is not given.
var configPath = config.DefaultPath

// loadConfig is config.Load with the cache folder that this program was built for.
func loadConfig(name string) (config.Config, error) {
	c, err := config.Load(name)
	if c.Cache == config.Default().Cache {
		c.Cache.Dir = cacheDir
	}
	return c, err
}

// Exit statuses of every command.
const (
	exitOK     = 0
	exitFailed = 1 // the job could not be done, or the answer is no
	exitUsage  = 2 // the command line or the configuration is wrong
)

func main() {
	sessions.Child()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// A jobError is a command's own failure, in contrast to a command line that
// cobra could not make sense of.
type jobError struct{ error }

func (e jobError) Unwrap() error { return e.error }

// errNo is a command's "no", already told in its output.
var errNo = errors.New("no")

func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := commands()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	var job jobError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errNo):
		return exitFailed
	case errors.As(err, &job):
		_, _ = fmt.Fprintf(stderr, "iam-cachefill: %v\n", err)
		var faulty config.Errors
		var wrong wrongConfig
		if errors.As(err, &faulty) || errors.As(err, &wrong) || errors.Is(err, config.ErrNotConfigured) {
			return exitUsage
		}
		return exitFailed
	default:
		_, _ = fmt.Fprintf(stderr, "iam-cachefill: %v\nTry \"%s --help\".\n", err, cmd.CommandPath())
		return exitUsage
	}
}

// options are the flags that every command has.
type options struct {
	configFile string
	json       bool
}

func commands() *cobra.Command {
	var opts options
	root := &cobra.Command{
		Use:           "iam-cachefill",
		Short:         "AWS IAM users as Unix users: the refresher",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		PersistentPreRun: func(cmd *cobra.Command, _ []string) {
			if cmd.Name() != "run" { // systemd gives it to the daemon
				daemonEnvironment()
			}
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return errors.New("a command is missing")
		},
	}
	root.PersistentFlags().StringVar(&opts.configFile, "config", configPath, "configuration `file`")
	root.PersistentFlags().BoolVar(&opts.json, "json", false, "print JSON in place of tables")
	root.AddCommand(
		runCommand(&opts),
		refreshCommand(&opts),
		statusCommand(&opts),
		explainCommand(&opts),
		expelCommand(&opts),
		checkConfigCommand(&opts),
		setupCommand(&opts),
		publishCommand(&opts),
		doctorCommand(&opts),
		importCommand(&opts),
	)
	return root
}

// job makes a command's function of one that returns its own errors.
func job(fn func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := fn(cmd, args); err != nil {
			return jobError{err}
		}
		return nil
	}
}
