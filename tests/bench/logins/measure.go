// Package logins measures what a login costs: the key helper from start to
// exit, and a whole ssh login, beside a login of a local user and beside a
// script on the AWS CLI. It judges nothing and fails on no time.
package logins

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// A Command is what is timed from start to exit.
type Command struct {
	Name     string
	Argv     []string
	UID, GID uint32 // it runs as
}

// A Plan is commands that are run by turns, so that whatever else the machine
// does concerns all of them alike.
type Plan struct {
	Rounds   int
	Commands []Command
}

// Times are the durations of one command, ascending.
type Times []time.Duration

// Quantile is the duration that a share q of the runs did not exceed.
func (t Times) Quantile(q float64) time.Duration {
	return t[min(int(q*float64(len(t))), len(t)-1)]
}

// measure carries out the Plan in in and writes the Times by name to out.
func measure(in io.Reader, out io.Writer) error {
	var plan Plan
	if err := json.NewDecoder(in).Decode(&plan); err != nil {
		return err
	}
	times := map[string]Times{}
	for range plan.Rounds {
		for _, c := range plan.Commands {
			cmd := exec.Command(c.Argv[0], c.Argv[1:]...)
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: c.UID, Gid: c.GID, NoSetGroups: true}}
			begin := time.Now()
			err := cmd.Run()
			if err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
			times[c.Name] = append(times[c.Name], time.Since(begin))
		}
	}
	for _, t := range times {
		slices.Sort(t)
	}
	return json.NewEncoder(out).Encode(times)
}

// measureHere is for a copy of the test binary that runs inside a host, where
// no nsenter stands between the clock and the command.
func measureHere() {
	if err := measure(os.Stdin, os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
