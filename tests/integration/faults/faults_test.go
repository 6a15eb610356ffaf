// Package faults makes what can go wrong on a host go wrong, with the real daemon,
// helpers and sshd, and holds every witness to it that docs/operations.md names:
// status, explain, doctor, the alerts, the journal. What they say is the table in
// that page: go test ./tests/integration/faults -update writes it.
package faults

import (
	"cmp"
	"flag"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/alerts"
	"github.com/nss-iam/nss-iam/tests/testbed"
)

var update = flag.Bool("update", false, "write the table into docs/operations.md")

// A witness is what one of them says of a fault. Only one of the fields is set.
type witness struct {
	says  string // a regular expression
	quiet string // why it does not show there
}

func says(pattern string) witness { return witness{says: pattern} }
func quiet(reason string) witness { return witness{quiet: reason} }

// A fault is a row of the table.
type fault struct {
	name string
	// person is the login name that explain is asked about; "" is alice.
	person string
	make   func(*site)
	heals  bool // by itself, so that good is the truth
	code   int  // of status
	later  time.Duration
	// What is said.
	status, explain, doctor, alert, journal witness
}

const (
	openStill  = "cached keys open logins until the time that it names"
	notRunning = "it does not run; systemd says how it ended"
	healed     = "it is in order again within seconds"
)

// faults are the rows of the table.
var faults = slices.Concat(daemonFaults, directoryFaults, hostFaults)

// A said is what was heard of a fault, for the table.
type said struct{ status, explain, doctor, alert, journal string }

func TestEveryFaultIsSaid(t *testing.T) {
	rules, err := alerts.Load(filepath.Join(testbed.Root(), "docs/alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(faults) < 25 {
		t.Errorf("%d faults", len(faults))
	}
	var mu sync.Mutex
	heard := map[string]said{}
	t.Run("faults", func(t *testing.T) {
		for _, f := range faults {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				s.serve()
				text := s.Read(figures)
				began := time.Now()
				f.make(s)
				x := witnesses(t, s, f, rules, text, began)
				mu.Lock()
				heard[f.name] = x
				mu.Unlock()
			})
		}
	})
	switch {
	case t.Failed():
	case len(heard) == len(faults):
		inDocument(t, table(heard))
	case *update:
		t.Errorf("%d of %d faults were made; only a whole table is written", len(heard), len(faults))
	}
}

// witnesses hears all of them.
func witnesses(t *testing.T, s *site, f fault, rules []alerts.Rule, figuresBefore string, began time.Time) said {
	var x said
	hear := func(who string, w witness, text, summary string) string {
		if w.says == "" {
			return "–"
		}
		if !regexp.MustCompile(w.says).MatchString(text) {
			t.Errorf("%s does not say %q:\n%s", who, w.says, text)
		}
		return summary
	}
	status := s.Try(testbed.Refresh, "status")
	// What heals does so within seconds.
	for deadline := time.Now().Add(10 * time.Second); f.heals && status.Code != 0 && time.Now().Before(deadline); {
		time.Sleep(time.Second)
		status = s.Try(testbed.Refresh, "status")
	}
	if status.Code != f.code {
		t.Errorf("status: want exit status %d: %v", f.code, status)
	}
	x.status = fmt.Sprintf("%d, %s", f.code, hear("status", f.status, status.Stdout+status.Stderr, broken(f.status.says)))
	if f.status.says != "" && f.code == 0 {
		x.status = "0, a finding"
	}
	explain := s.Try(testbed.Refresh, "explain", cmp.Or(f.person, "alice"))
	if no := explain.Code != 0; no != (f.explain.says != "") {
		t.Errorf("explain: %v", explain)
	}
	x.explain = hear("explain", f.explain, explain.Stdout+explain.Stderr, "no")
	doctor := s.TryInput("", testbed.Credentials(), testbed.Refresh, "doctor")
	x.doctor = hear("doctor", f.doctor, doctor.Stdout+doctor.Stderr, broken(f.doctor.says))
	x.alert = hear("the alerts", f.alert, pending(t, s, f, rules, figuresBefore, began), f.alert.says)
	var lines []string
	for line := range strings.Lines(s.before + s.daemon.Output()) {
		if regexp.MustCompile(`^<[34]>`).MatchString(line) {
			lines = append(lines, line)
		}
	}
	x.journal = hear("the journal", f.journal, strings.Join(lines, ""), "yes")
	if f.code == 0 && f.status.says == "" && f.alert.says == "" && !f.heals {
		t.Error("neither status nor an alert says it")
	}
	if f.heals && (status.Code != 0 || explain.Code != 0) {
		t.Errorf("it has not healed: %v\n%v", status, explain)
	}
	return x
}

// pending are the alerts that hold of the figures some time later.
func pending(t *testing.T, s *site, f fault, rules []alerts.Rule, before string, began time.Time) string {
	t.Helper()
	var record alerts.Record
	now := time.Now()
	texts := map[time.Time]string{began: before}
	if after := s.Try("cat", figures); after.Code == 0 {
		texts[now.Add(f.later)] = after.Stdout // a file that nobody replaces is scraped on and on
	}
	for _, at := range []time.Time{began, now.Add(f.later)} {
		if text, ok := texts[at]; ok {
			if err := record.Scrape("web-1", text, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	all, err := record.Pending(rules, now.Add(f.later))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, a := range all {
		names = append(names, a.Rule)
	}
	if f.alert.says == "" && len(names) > 0 {
		t.Errorf("alerts: %v", names)
	}
	return strings.Join(names, " ")
}
