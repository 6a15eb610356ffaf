package main

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nss-iam/nss-iam/internal/health"
)

// writeMetrics replaces the file at path with the report's figures in the text
// format of Prometheus, in one step and readable by all.
//
// Source: node_exporter's textfile collector,
// https://github.com/prometheus/node_exporter#textfile-collector
func writeMetrics(path string, r report, s served, f health.Facts) error {
	m := metrics{}
	m.set("info", "The program's version.", 1, labels{"version": r.Version})
	m.at("last_attempt_timestamp_seconds", "When the last refresh began.", r.Attempt, nil)
	m.ever("last_success_timestamp_seconds", "When the last good refresh began; 0 if there was none.", r.Success, nil)
	m.set("refresh_failures", "Refreshes that failed in a row.", float64(r.Failures), nil)
	m.set("refresh_duration_seconds", "How long the last refresh took.", r.Took.Seconds(), nil)
	m.set("refresh_interval_seconds", "The time between refreshes at most: source.refresh, or longer for "+
		"the sake of a shared rate.", r.Refresh.Seconds(), nil)
	m.count("refused_answers_total", "Answers that were not believed: incomplete, or too many removals.",
		int64(r.Refused), nil)
	m.set("users", "Users served, former ones included.", float64(r.Users), nil)
	m.set("users_admitted", "Users who may log in.", float64(r.Admitted), nil)
	m.set("groups", "Groups served, private ones left out.", float64(r.Groups), nil)
	m.set("keys", "Keys that open something.", float64(r.Keys), nil)
	m.set("collisions", "Users and groups whose uid or gid an older one has.", float64(r.Collisions), nil)
	for reason, n := range r.Skipped {
		m.set("skipped", "Users and groups that are not served as configured.", float64(n), labels{"reason": string(reason)})
	}
	for action, n := range r.Calls {
		m.count("aws_calls_total", "AWS calls since the program started.", n, labels{"action": action})
	}
	for action, n := range r.Throttles {
		m.count("aws_throttles_total", "AWS calls that were refused for their rate.", n, labels{"action": action})
	}
	for outcome, n := range map[string]int64{"unknown_key": r.Logins.Limited, "older_answer": r.Logins.Older,
		"no_turn": r.Logins.Busy} {
		m.count("login_rate_limited_total", "Questions of logins for which the directory was not asked, for the sake of "+
			"the rate.", n, labels{"outcome": outcome})
	}
	m.set("aws_rate", "AWS calls a second at most just now.", r.Rate, nil)
	file := func(name string, sound bool, generation uint64, written time.Time) {
		of := labels{"file": name}
		value := 0.0
		if sound {
			value = 1
			m.set("cache_generation", "The file's generation.", float64(generation), of)
			m.at("cache_written_timestamp_seconds", "When the file was written.", written, of)
		}
		m.set("cache_sound", "Whether the file can be served from.", value, of)
	}
	if !f.ServesNobody {
		if s.NSS != nil {
			file("nss.db", true, s.NSS.Generation, s.NSS.Written)
		} else {
			file("nss.db", false, 0, time.Time{})
		}
		if s.Keys != nil {
			file("keys.db", true, s.Keys.Generation, s.Keys.Written)
		} else {
			file("keys.db", false, 0, time.Time{})
		}
	}
	m.keys(f)
	m.problems(health.Examine(f))
	if p := r.Snapshot; p != nil {
		m.at("snapshot_written_timestamp_seconds", "When the snapshot in use was written.", p.Written, nil)
		m.at("snapshot_expires_timestamp_seconds", "When the snapshot in use expires.", p.Expires, nil)
	}
	if err := m.write(path); err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}

// keys adds how old cached keys are: that decides who gets in while the directory
// cannot be asked.
func (m metrics) keys(f health.Facts) {
	m.at("keys_oldest_check_timestamp_seconds", "When the keys of the person who waits longest were checked.",
		f.Keys.Oldest, nil)
	m.at("keys_median_check_timestamp_seconds", "When the keys of half of the people had been checked.", f.Keys.Median,
		nil)
	m.set("keys_useless", "People who may log in and whose cached keys are too old to open anything.",
		float64(len(f.Keys.Useless)), nil)
	if p := f.Policy; p.MaxStale > 0 && p.Online != "require" {
		m.set("keys_max_stale_seconds", "The age from which on cached keys open nothing: keys.max_stale.",
			p.MaxStale.Seconds(), nil)
	}
}

// problems adds how many findings are not good. A check without any is there as
// 0, so that an alert ends.
func (m metrics) problems(findings []health.Finding) {
	count := map[[2]string]int{}
	for _, check := range health.Checks {
		count[[2]string{check, health.Broken}], count[[2]string{check, health.Warning}] = 0, 0
	}
	for _, f := range findings {
		if f.State != health.Good {
			count[[2]string{f.Check, f.State}]++
		}
	}
	for of, n := range count {
		m.set("problems", "What is broken on this host, or should be looked at, by what status says.", float64(n),
			labels{"check": of[0], "state": of[1]})
	}
}

// labels are a sample's label names and values.
type labels map[string]string

// metrics are figures of one moment, by the name of their family.
type metrics map[string]*family

// A family is one metric with its samples.
type family struct {
	kind, help string
	samples    []string // "{label="value"} 1"
}

// set adds a gauge's sample.
func (m metrics) set(name, help string, value float64, of labels) {
	m.add("gauge", name, help, value, of)
}

// at adds a time as a gauge's sample, and leaves out what never was.
func (m metrics) at(name, help string, t time.Time, of labels) {
	if !t.IsZero() {
		m.set(name, help, float64(t.UnixMilli())/1000, of)
	}
}

// ever adds a time as a gauge's sample, and 0 for what never was, so that rules
// about its age hold.
func (m metrics) ever(name, help string, t time.Time, of labels) {
	if t.IsZero() {
		t = time.Unix(0, 0)
	}
	m.at(name, help, t, of)
}

// count adds a counter's sample.
func (m metrics) count(name, help string, value int64, of labels) {
	m.add("counter", name, help, float64(value), of)
}

// add adds a sample to its family. A family has one help text and one kind, and
// the text format demands that its samples come one after the other.
func (m metrics) add(kind, name, help string, value float64, of labels) {
	f := m[name]
	if f == nil {
		f = &family{kind: kind, help: help}
		m[name] = f
	}
	var sample strings.Builder
	for i, label := range slices.Sorted(maps.Keys(of)) {
		sample.WriteString(map[bool]string{true: "{", false: ","}[i == 0])
		sample.WriteString(label + `="` + escapeLabel.Replace(of[label]) + `"`)
	}
	if len(of) > 0 {
		sample.WriteString("}")
	}
	f.samples = append(f.samples, sample.String()+" "+formatValue(value))
}

var (
	escapeLabel = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	escapeHelp  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
)

// formatValue writes a number as the format has it. Whole numbers, as times are,
// are written without an exponent, which people read badly.
func formatValue(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// text is the text format of Prometheus, version 0.0.4.
//
// Source: https://prometheus.io/docs/instrumenting/exposition_formats/
func (m metrics) text() string {
	var b strings.Builder
	for _, name := range slices.SortedFunc(maps.Keys(m), cmp.Compare) {
		f := m[name]
		fmt.Fprintf(&b, "# HELP nss_iam_%s %s\n# TYPE nss_iam_%s %s\n", name, escapeHelp.Replace(f.help), name, f.kind)
		for _, sample := range slices.Sorted(slices.Values(f.samples)) {
			fmt.Fprintf(&b, "nss_iam_%s%s\n", name, sample)
		}
	}
	return b.String()
}

// write replaces the file at path in one step. A reader in between finds the old
// or the new one, and a folder that node_exporter reads has no half-written file
// that ends in .prom.
func (m metrics) write(path string) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // no longer there after the rename
	if _, err := file.WriteString(m.text()); err != nil {
		file.Close()
		return err
	}
	if err := file.Chmod(0o644); err != nil {
		file.Close()
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
