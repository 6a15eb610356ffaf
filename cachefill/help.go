package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nss-iam/nss-iam/internal/terminal"
)

// grouped adds commands under a heading of the help.
func grouped(root *cobra.Command, heading string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: heading, Title: heading})
	for _, c := range commands {
		c.GroupID = heading
	}
	root.AddCommand(commands...)
}

// helpful gives a command line its help, its guesses at what was meant, and its completion.
func helpful(root *cobra.Command) {
	const about = "About the program:"
	root.SetHelpCommandGroupID(about)
	root.SetCompletionCommandGroupID(about)
	root.SetHelpCommand(helpCommand())
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		if cmd.HasParent() || len(cmd.Flags().Args()) == 0 { // else it is an unknown command with --help
			writeHelp(cmd.OutOrStdout(), cmd)
		}
	})
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return errors.New(err.Error() + meantFlag(cmd, err.Error()))
	})
	completes(root)
}

// knownShells has completion print its help without a shell, and refuse an unknown one.
// Cobra makes the command, and keeps the output of that moment for it.
func knownShells(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
}

// maxHelp is how wide help is at most: longer lines are hard to read.
const maxHelp = 90

// writeHelp writes a command's help: what it does, how it is called, its commands by use.
func writeHelp(w io.Writer, cmd *cobra.Command) {
	width := terminal.On(w).Width()
	if width == 0 || width > maxHelp {
		width = maxHelp
	}
	s := terminal.Of(w, width, false)
	text := cmd.Long
	if text == "" {
		text = cmd.Short
	}
	s.Text(text)
	s.Text("\nUsage:")
	if cmd.HasAvailableSubCommands() {
		s.Line("  ", terminal.Plain, cmd.CommandPath()+" COMMAND [FLAG…]")
	} else {
		s.Line("  ", terminal.Plain, cmd.UseLine())
	}
	for _, group := range cmd.Groups() {
		s.Text("\n" + group.Title)
		for _, c := range cmd.Commands() {
			if c.GroupID == group.ID && c.IsAvailableCommand() || c.GroupID == group.ID && c.Name() == "help" {
				s.Line(fmt.Sprintf("  %-15s ", c.Name()), terminal.Plain, c.Short)
			}
		}
	}
	if len(cmd.Groups()) == 0 && cmd.HasAvailableSubCommands() {
		s.Text("\nCommands:")
		for _, c := range cmd.Commands() {
			s.Line(fmt.Sprintf("  %-15s ", c.Name()), terminal.Plain, c.Short)
		}
	}
	if cmd.HasExample() {
		s.Text("\nExamples:")
		_, _ = fmt.Fprintln(w, strings.TrimRight(strings.ReplaceAll(cmd.Example, ownName, cmd.Root().Name()), "\n"))
	}
	if flags := cmd.LocalFlags().FlagUsagesWrapped(width); flags != "" {
		_, _ = fmt.Fprintf(w, "\nFlags:\n%s", flags)
	}
	if flags := cmd.InheritedFlags().FlagUsagesWrapped(width); flags != "" {
		_, _ = fmt.Fprintf(w, "\nFlags of every command:\n%s", flags)
	}
	if !cmd.HasParent() {
		s.Text(fmt.Sprintf("\n\"%s COMMAND --help\" says more about a command, iam-cachefill(8) all.", cmd.Name()))
	}
}

// helpCommand is cobra's, but for an unknown word, which is an error there too.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Say what a command does",
		Args:  cobra.MaximumNArgs(1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, c := range cmd.Root().Commands() {
				if len(args) == 0 && c.IsAvailableCommand() {
					names = append(names, c.Name()+"\t"+c.Short)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			of, rest, err := cmd.Root().Find(args)
			if err != nil {
				return err
			}
			if len(rest) > 0 {
				return knownCommand(of, rest)
			}
			return of.Help()
		},
	}
}

// knownCommand refuses words after a command that takes none, and says which one was
// perhaps meant.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %.40q for %q", args[0], cmd.CommandPath())
	if near := suggestions(cmd, args[0]); len(near) > 0 {
		text += didYouMean(near)
	}
	return errors.New(text)
}

// noArguments is of commands that have flags alone. A flag without its dashes, or the
// configuration without its flag, is answered by what was meant.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("%s takes no argument, and got %.40q", cmd.Name(), args[0])
	switch {
	case cmd.Flags().Lookup(args[0]) != nil:
		text += didYouMean([]string{"--" + args[0]})
	case strings.HasSuffix(args[0], ".toml") && len(args[0]) <= 80 && cmd.Flags().Lookup("config") != nil:
		text += didYouMean([]string{"--config " + args[0]})
	}
	return errors.New(text)
}

// suggestions are the commands that somebody who typed this may have meant.
func suggestions(cmd *cobra.Command, typed string) []string {
	if len(typed) > 40 {
		return nil
	}
	if cmd.SuggestionsMinimumDistance == 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	return cmd.SuggestionsFor(typed)
}

var (
	unknownFlag = regexp.MustCompile(`^unknown flag: --([A-Za-z0-9_-]+)`)
	flagName    = regexp.MustCompile(`(?m)^ +(?:-[a-z], )?--([a-z-]+)`)
)

// meantFlag guesses at the flag of an error that names an unknown one.
func meantFlag(cmd *cobra.Command, message string) string {
	typed := unknownFlag.FindStringSubmatch(message)
	if typed == nil {
		return ""
	}
	flags := &cobra.Command{} // its guesses at commands serve for flags
	for _, name := range flagName.FindAllStringSubmatch(cmd.Flags().FlagUsages(), -1) {
		flags.AddCommand(&cobra.Command{Use: name[1], Run: func(*cobra.Command, []string) {}})
	}
	if near := suggestions(flags, typed[1]); len(near) > 0 {
		for i := range near {
			near[i] = "--" + near[i]
		}
		return didYouMean(near)
	}
	return ""
}

func didYouMean(near []string) string { return "; did you mean " + strings.Join(near, " or ") + "?" }

func versionCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which version this is",
		Args:  noArguments,
		RunE: job(func(cmd *cobra.Command, _ []string) error {
			if o.json {
				return printJSON(cmd.OutOrStdout(), struct{ ProgramVersion string }{version})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s version %s\n", ownName, version)
			return err
		}),
	}
}
