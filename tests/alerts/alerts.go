// Package alerts evaluates docs/alerts.yml as Prometheus would, on figures that a
// test recorded. It knows the part of PromQL that the rules use, and refuses the
// rest: a rule that it cannot read is not a rule that a test has seen.
//
// Source: https://prometheus.io/docs/prometheus/latest/querying/basics/ and
// https://prometheus.io/docs/prometheus/latest/querying/operators/
package alerts

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	yaml "go.yaml.in/yaml/v3"
)

// A Rule is one alert.
type Rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         Duration          `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// A Duration is a time as Prometheus writes it: 5m, 1d.
type Duration time.Duration

// UnmarshalYAML reads it.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := parseDuration(n.Value)
	*d = Duration(v)
	return err
}

func parseDuration(s string) (time.Duration, error) {
	unit := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
	if len(s) < 2 || unit[s[len(s)-1:]] == 0 {
		return 0, fmt.Errorf("%q is no duration", s)
	}
	n, err := strconv.Atoi(s[:len(s)-1])
	return time.Duration(n) * unit[s[len(s)-1:]], err
}

// Load reads the rules of a file.
func Load(path string) ([]Rule, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file struct {
		Groups []struct{ Rules []Rule }
	}
	if err := yaml.Unmarshal(b, &file); err != nil {
		return nil, err
	}
	var all []Rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	for _, r := range all {
		if _, err := parse(r.Expr); err != nil {
			return nil, fmt.Errorf("%s: alert %q: %w", path, r.Alert, err)
		}
	}
	return all, nil
}

// A series is the samples of one name with its labels, in the order of time.
type series struct {
	labels map[string]string // __name__ among them
	times  []time.Time
	values []float64
}

// A Record is what a Prometheus has scraped.
type Record struct{ series map[string]*series }

var sampleForm = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$`)
var labelForm = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)",?`)

// Scrape takes up a text file of figures from an instance at some time. A series
// that is not in the text any more ends there, as node_exporter makes it end.
func (r *Record) Scrape(instance, text string, at time.Time) error {
	if r.series == nil {
		r.series = map[string]*series{}
	}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		m := sampleForm.FindStringSubmatch(line)
		if m == nil {
			return fmt.Errorf("no sample: %q", line)
		}
		labels := map[string]string{"__name__": m[1], "instance": instance}
		for _, l := range labelForm.FindAllStringSubmatch(m[2], -1) {
			labels[l[1]] = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n").Replace(l[2])
		}
		value, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return fmt.Errorf("no sample: %q: %w", line, err)
		}
		key := keyOf(labels, slices.Sorted(maps.Keys(labels)))
		s := r.series[key]
		if s == nil {
			s = &series{labels: labels}
			r.series[key] = s
		}
		s.times, s.values = append(s.times, at), append(s.values, value)
	}
	return nil
}

// An Alert is a rule that holds of something.
type Alert struct {
	Rule   string
	Labels map[string]string
}

// Pending evaluates the rules at one moment, without regard to how long they must
// hold.
func (r *Record) Pending(rules []Rule, now time.Time) ([]Alert, error) {
	var all []Alert
	for _, rule := range rules {
		e, err := parse(rule.Expr)
		if err != nil {
			return nil, err
		}
		v, err := e.eval(r, now)
		if err != nil {
			return nil, fmt.Errorf("alert %q: %w", rule.Alert, err)
		}
		for _, s := range v.vector {
			all = append(all, Alert{rule.Alert, s.labels})
		}
	}
	return all, nil
}

// Firing evaluates the rules once a minute from one moment to another, and returns
// those that fire at the end: that held for as long as they must.
func (r *Record) Firing(rules []Rule, from, to time.Time) ([]Alert, error) {
	since := map[string]time.Time{}
	var last []Alert
	for now := from; !now.After(to); now = now.Add(time.Minute) {
		pending, err := r.Pending(rules, now)
		if err != nil {
			return nil, err
		}
		held := map[string]time.Time{}
		last = nil
		for _, a := range pending {
			key := a.Rule + keyOf(a.Labels, slices.Sorted(maps.Keys(a.Labels)))
			held[key] = now
			if at, ok := since[key]; ok {
				held[key] = at
			}
			rule := rules[slices.IndexFunc(rules, func(r Rule) bool { return r.Alert == a.Rule })]
			if now.Sub(held[key]) >= time.Duration(rule.For) {
				last = append(last, a)
			}
		}
		since = held
	}
	return last, nil
}

func keyOf(labels map[string]string, names []string) string {
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "%s=%q,", name, labels[name])
	}
	return b.String()
}
