// Command mutate tests the tests of the packages that decide who comes in. It
// changes one condition, bound or sum of a package at a time, runs the tests of
// that package, and prints the share of the changes that some test notices,
// with every change that none did.
//
// Gremlins makes the changes. For its "go test" this program stands in: see
// standin.go, which says why. Use it by make mutate.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A target is a package whose tests are tested. A file whose name begins with
// none of Files is left as it is; no Files are all.
type target struct {
	Dir   string
	Files []string
}

// targets are what decides who comes in and with which rights.
var targets = []target{
	{Dir: "internal/accounts"},
	{Dir: "internal/keys"},
	{Dir: "authkeys"},
	{Dir: "authkeys/account"},
	{Dir: "internal/admission"},
	// keys.db with the login policy; nss/ tests nss.db's reader
	{Dir: "internal/cache", Files: []string{"keys", "lookup"}},
	{Dir: "internal/control"},
	{Dir: "internal/snapshot"},
	{Dir: "internal/directory"},
}

func main() {
	if filepath.Base(os.Args[0]) == "go" {
		os.Exit(standIn(os.Args[1:]))
	}
	gremlins := flag.String("gremlins", "", "the built `program` gremlins")
	out := flag.String("out", "", "the `folder` for the reports")
	least := flag.Float64("least", 0, "fail where a package's share in `percent` is lower")
	again := flag.Bool("again", false, "print the table of the reports that are in the folder, and change nothing")
	survivors := flag.Bool("survivors", false, "of unchanged files, try only what no test noticed the last time")
	flag.Parse()
	if err := run(*gremlins, *out, *least, *again, *survivors, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// run tests the packages or files that only names, or all where it names none.
func run(gremlins, out string, least float64, again, survivorsOnly bool, only []string) error {
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	tree, err := copyTree()
	if err != nil {
		return err
	}
	defer os.RemoveAll(tree)

	var rows []row
	for _, t := range chosen {
		fmt.Fprintf(os.Stderr, "mutate: %s %s\n", t.Dir, strings.Join(t.Files, " "))
		if !again {
			if err := mutate(t, gremlins, out, tree, survivorsOnly); err != nil {
				return fmt.Errorf("%s: %w", t.Dir, err)
			}
		}
		r, err := t.read(out, tree)
		if err != nil {
			return fmt.Errorf("%s: %w", t.Dir, err)
		}
		rows = append(rows, r)
		fmt.Fprint(os.Stderr, survivors([]row{r}, tree))
	}
	fmt.Print(table(rows))
	for _, r := range rows {
		if r.share() < least {
			err = fmt.Errorf("%s: %.1f %% of the changes are noticed, want %.0f %%", r.Dir, r.share(), least)
		}
	}
	return err
}

// choose returns the targets that only names: a folder, or one file of it.
func choose(only []string) ([]target, error) {
	if len(only) == 0 {
		return targets, nil
	}
	var chosen []target
	for _, name := range only {
		dir, file := filepath.Clean(name), ""
		if filepath.Ext(dir) == ".go" {
			dir, file = filepath.Dir(dir), filepath.Base(dir)
		}
		i := slices.IndexFunc(targets, func(t target) bool { return t.Dir == dir })
		if i < 0 {
			return nil, fmt.Errorf("%q is none of the packages that are mutated", name)
		}
		t := targets[i]
		if file != "" {
			t.Files = []string{file}
		}
		if n := len(chosen) - 1; n >= 0 && file != "" && chosen[n].Dir == dir {
			chosen[n].Files = append(chosen[n].Files, file)
			continue
		}
		chosen = append(chosen, t)
	}
	return chosen, nil
}
