package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/internal/terminal"
)

// quietTime is how long a command may wait for AWS without a word.
const quietTime = 2 * time.Second

// sayWaiting says on standard error that a command waits, once it has waited for a while.
func sayWaiting(cmd *cobra.Command, o *options) (stop func()) {
	if o.json {
		return func() {}
	}
	w := cmd.ErrOrStderr()
	said := time.AfterFunc(quietTime, func() {
		_, _ = fmt.Fprintf(w, "%s: AWS takes longer than %s; still waiting (Ctrl-C ends the wait)\n", ownName,
			short(quietTime))
	})
	return func() { said.Stop() }
}

// sweepAtATime is after how many users the progress of a sweep is shown.
const sweepAtATime = 10

// sweepHere reads the keys that are due, and shows a person how far it is.
func sweepHere(cmd *cobra.Command, r *refresh.Refresher, stats func() directory.Stats) (refresh.Swept, error) {
	w := cmd.ErrOrStderr()
	most := 0 // all at once
	if terminal.Is(w) {
		most = sweepAtATime
	}
	p := progress{w: w, width: terminal.On(w).Width(), began: time.Now()}
	var total refresh.Swept
	for {
		swept, err := r.Logins.Sweep(cmd.Context(), most)
		total.Users += swept.Users
		total.Keys += swept.Keys
		total.Refused += swept.Refused
		total.Remaining = swept.Remaining
		done := total.Users + total.Refused
		if most == 0 || err != nil || swept.Remaining == 0 || swept.Users+swept.Refused == 0 {
			p.end()
			if errors.Is(err, context.Canceled) {
				err = fmt.Errorf("stopped after the keys of %s of %s users; those left are read by the daemon, or by the next "+
					"refresh", thousands(done), thousands(done+total.Remaining))
			}
			return total, err
		}
		p.show(done, done+swept.Remaining, stats().Rate, time.Now())
	}
}

// A progress is one line on a terminal that is written over.
type progress struct {
	w     io.Writer
	width int
	began time.Time
	shown bool
}

func (p *progress) show(done, of int, rate float64, now time.Time) {
	text := progressText(done, of, rate, now.Sub(p.began))
	if runes := []rune(text); p.width > 0 && len(runes) >= p.width {
		text = string(runes[:p.width-1])
	}
	_, _ = fmt.Fprintf(p.w, "\r%s\x1b[K", text)
	p.shown = true
}

func (p *progress) end() {
	if p.shown {
		_, _ = io.WriteString(p.w, "\r\x1b[K")
	}
}

// progressText says how far a sweep is, and when it will be through.
func progressText(done, of int, rate float64, took time.Duration) string {
	left := time.Duration(float64(took) / float64(max(done, 1)) * float64(of-done))
	about := "less than a minute"
	if left > time.Minute {
		about = fmt.Sprintf("about %d min", int(math.Ceil(left.Minutes())))
	}
	return fmt.Sprintf("keys %s of %s, %s at %.3g calls a second; logins already work", thousands(done), thousands(of),
		about, rate)
}

// many is a number of things: 1 user, 2 users.
func many(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return thousands(n) + " " + thing
}

// thousands is a number as people read it: 5,000.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
