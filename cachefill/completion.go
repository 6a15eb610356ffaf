package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nss-iam/nss-iam/internal/cache"
)

// mostNames is how many names a shell is offered: more than that nobody reads.
const mostNames = 500

// completes says for every command and flag what a shell may complete. A file is offered
// only where a file is asked for.
func completes(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		if cmd.ValidArgsFunction == nil {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
	_ = root.RegisterFlagCompletionFunc("config", ofKind(cobra.ShellCompDirectiveFilterFileExt, "toml"))
}

// ofKind completes with what the directive says, and these words for it.
func ofKind(directive cobra.ShellCompDirective, words ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(words, directive)
}

// servedNames completes login names of the served users, from nss.db, which everybody may read.
func servedNames(o *options) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		c, _ := loadConfig(o.configFile) // a wrong one has its defaults still
		if c.Cache.Dir == "" {
			c.Cache.Dir = cacheDir
		}
		tables, _, err := cache.ReadNSS(c.Cache.Dir)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, u := range tables.Users {
			if strings.HasPrefix(u.Name, begun) {
				names = append(names, u.Name)
			}
		}
		slices.Sort(names)
		return names[:min(len(names), mostNames)], cobra.ShellCompDirectiveNoFileComp
	}
}
