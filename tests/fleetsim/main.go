// Command fleetsim computes a day of a fleet against a model of IAM: what the
// fleet asks of IAM and S3, and how long a change takes to arrive everywhere.
// It is a model, deterministic by its seed; nothing is sent anywhere.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "fleetsim:", err)
		os.Exit(1)
	}
}

// sizes are the fleets of the chart.
var sizes = []int{10, 30, 100, 300, 1000, 3000, 10000}

func run(args []string) error {
	w := Assumed
	flags := flag.NewFlagSet("fleetsim", flag.ContinueOnError)
	flags.IntVar(&w.Users, "users", w.Users, "IAM users")
	flags.IntVar(&w.Changes, "changes", w.Changes, "changes in the day")
	flags.Float64Var(&w.Rate, "iam-rate", w.Rate, "calls a second that IAM allows the account")
	flags.Float64Var(&w.Burst, "iam-burst", w.Burst, "calls that IAM allows at once after a pause")
	flags.Uint64Var(&w.Seed, "seed", w.Seed, "of all chance")
	out := flags.String("out", "", "folder for scale.md and scale.svg; without it the page goes to standard output")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if w.Users < 1 || w.Users > 100000 || w.Changes < 1 || w.Changes > 10000 || !(w.Rate > 0) || !(w.Burst >= 1) {
		return fmt.Errorf("users must be 1 to 100000, changes 1 to 10000, iam-rate above 0 and iam-burst 1 or more")
	}
	results := map[string][]Result{}
	for _, mode := range Modes {
		for _, hosts := range sizes {
			w.Hosts = hosts
			results[mode] = append(results[mode], Simulate(w, mode))
		}
	}
	page := page(w, results)
	if *out == "" {
		_, err := os.Stdout.WriteString(page)
		return err
	}
	if err := os.WriteFile(filepath.Join(*out, "scale.svg"), []byte(chart(w, results)), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(*out, "scale.md"), []byte(page), 0o644)
}
