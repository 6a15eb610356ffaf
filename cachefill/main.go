// Command iam-cachefill fills the cache that libnss_iam.so.2 and authkeys
// answer from, and tells people what is in it and why.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/jsondoc"
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

// loadConfig is config.Load with the cache folder that this program was built for. A
// file that cannot be read is a wrong configuration as well.
func loadConfig(name string) (config.Config, error) {
	c, err := config.Load(name)
	if c.Cache == config.Default().Cache {
		c.Cache.Dir = cacheDir
	}
	var faulty config.Errors
	if err != nil && !errors.As(err, &faulty) {
		err = wrongConfig{err}
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
	os.Exit(execute(ctx, calledAs(os.Args[0]), os.Args[1:], os.Stdout, os.Stderr))
}

// Names of the command. The second is a link, for people: it is the package's name.
const (
	ownName = "iam-cachefill"
	alias   = "nss-iam"
)

// calledAs is the name that help and completion speak of.
func calledAs(program string) string {
	if filepath.Base(program) == alias {
		return alias
	}
	return ownName
}

// A jobError is a command's own failure, in contrast to a command line that
// cobra could not make sense of.
type jobError struct{ error }

func (e jobError) Unwrap() error { return e.error }

// errNo is a command's "no", which its output says already.
var errNo = errors.New("no")

func execute(ctx context.Context, name string, args []string, stdout, stderr io.Writer) int {
	out := newOutput(stdout)
	defer out.close()
	root := commands(name)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(stderr)
	knownShells(root)
	cmd, err := root.ExecuteContextC(ctx)
	if words := root.Flags().Args(); err == nil && cmd == root && len(words) > 0 {
		err = knownCommand(root, words) // beside --help, which cobra answers first
	}
	if asked, _ := root.PersistentFlags().GetBool("json"); asked || slices.Contains(args, "--json") {
		return answerJSON(out, cmd, err, stderr)
	}
	return answer(out, cmd, err, stderr)
}

// answer ends a command that people called: its output is written already.
func answer(out *output, cmd *cobra.Command, err error, stderr io.Writer) int {
	if fault := out.fault(); fault != nil && (err == nil || errors.Is(err, errNo)) {
		err = jobError{fmt.Errorf("write the answer: %w", fault)}
	}
	var job jobError
	switch {
	case err == nil, errors.Is(err, errNo):
	case errors.As(err, &job):
		remedy := ""
		if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
			remedy = "; run it with sudo"
		}
		_, _ = fmt.Fprintf(stderr, "%s%s: %v%s\n", priority(stderr), ownName, err, remedy)
	default:
		_, _ = fmt.Fprintf(stderr, "%s: %v\nTry \"%s --help\".\n", ownName, err, cmd.CommandPath())
	}
	return exitStatusOf(err)
}

// answerJSON ends a command that a script called: standard output has one document,
// whatever became of the command.
func answerJSON(out *output, cmd *cobra.Command, err error, stderr io.Writer) int {
	failed := jsonError(err, exitStatusOf(err))
	if out.found != nil || failed != nil {
		if fault := jsondoc.Write(out, cmd.Name(), out.found, failed); fault != nil && err == nil {
			err = jobError{fault}
		}
	}
	if fault := out.fault(); fault != nil {
		return answer(out, cmd, err, stderr) // nobody can read the document
	}
	return exitStatusOf(err)
}

// exitStatusOf is what a command's end means to a script.
func exitStatusOf(err error) int {
	var job jobError
	var faulty config.Errors
	var wrong wrongConfig
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errNo):
		return exitFailed
	case !errors.As(err, &job), errors.As(err, &faulty), errors.As(err, &wrong), errors.Is(err, config.ErrNotConfigured):
		return exitUsage
	}
	return exitFailed
}

// options are the flags that every command has.
type options struct {
	configFile string
	json       bool
	verbose    bool // of refresh: every change
}

func commands(name string) *cobra.Command {
	var opts options
	root := &cobra.Command{
		Use:   name,
		Short: "Users of a directory of AWS as Unix users",
		Long: "The refresher of nss-iam: it asks the directory who may use this host, publishes users, groups and keys " +
			"for the module and the helpers, and says why somebody can or cannot log in.",
		Example: `  # iam-cachefill explain alice       why can alice not log in?
  # iam-cachefill doctor              what is wrong with this host?
  # iam-cachefill refresh --dry-run   what would change?`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          knownCommand,
		PersistentPreRun: func(cmd *cobra.Command, _ []string) {
			if cmd.Name() != "run" { // systemd gives it to the daemon
				daemonEnvironment()
			}
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringVar(&opts.configFile, "config", configPath, "configuration `file`")
	root.PersistentFlags().BoolVar(&opts.json, "json", false, "print JSON in place of tables")
	grouped(root, "Why can somebody not log in?", explainCommand(&opts), doctorCommand(&opts), statusCommand(&opts))
	grouped(root, "Change what is served:", refreshCommand(&opts), expelCommand(&opts), publishCommand(&opts))
	grouped(root, "Put a host into service:", checkConfigCommand(&opts), setupCommand(&opts), importCommand(&opts),
		runCommand(&opts))
	grouped(root, "About the program:", bundleCommand(&opts), versionCommand(&opts))
	helpful(root)
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
