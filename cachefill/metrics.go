package main

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// writeMetrics replaces the file at path with the report's figures in the text
// format of Prometheus, in one step and readable by all.
//
// Source: node_exporter's textfile collector,
// https://github.com/prometheus/node_exporter#textfile-collector
func writeMetrics(path string, r report, s served) error {
	m := metrics{prometheus.NewRegistry()}
	m.set("info", "The program's version.", 1, prometheus.Labels{"version": r.Version})
	m.at("last_attempt_timestamp_seconds", "When the last refresh began.", r.Attempt, nil)
	m.at("last_success_timestamp_seconds", "When the last good refresh began.", r.Success, nil)
	m.set("refresh_failures", "Refreshes that failed in a row.", float64(r.Failures), nil)
	m.set("refresh_duration_seconds", "How long the last refresh took.", r.Took.Seconds(), nil)
	m.set("refresh_interval_seconds", "The configured time between refreshes.", r.Refresh.Seconds(), nil)
	m.count("refused_answers_total", "Answers that were not believed: incomplete, or too many users gone.", int64(r.Refused), nil)
	m.set("users", "Users served, former ones included.", float64(r.Users), nil)
	m.set("users_admitted", "Users who may log in.", float64(r.Admitted), nil)
	m.set("groups", "Groups served, private ones left out.", float64(r.Groups), nil)
	m.set("keys", "Keys that open something.", float64(r.Keys), nil)
	m.set("collisions", "Users and groups whose number an older one has.", float64(r.Collisions), nil)
	for reason, n := range r.Skipped {
		m.set("skipped", "Who and what is not served as might be expected.", float64(n), prometheus.Labels{"reason": string(reason)})
	}
	for action, n := range r.Calls {
		m.count("aws_calls_total", "AWS calls since the program started.", n, prometheus.Labels{"action": action})
	}
	for action, n := range r.Throttles {
		m.count("aws_throttles_total", "AWS calls that were refused for their rate.", n, prometheus.Labels{"action": action})
	}
	m.set("aws_rate", "AWS calls a second at most just now.", r.Rate, nil)
	file := func(name string, sound bool, generation uint64, written time.Time) {
		labels := prometheus.Labels{"file": name}
		value := 0.0
		if sound {
			value = 1
			m.set("cache_generation", "The file's generation.", float64(generation), labels)
			m.at("cache_written_timestamp_seconds", "When the file was written.", written, labels)
		}
		m.set("cache_sound", "Whether the file can be served from.", value, labels)
	}
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
	if err := prometheus.WriteToTextfile(path, m.registry); err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}

// metrics are figures of one moment.
type metrics struct{ registry *prometheus.Registry }

func (m metrics) set(name, help string, value float64, labels prometheus.Labels) {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "nss_iam", Name: name, Help: help, ConstLabels: labels})
	g.Set(value)
	m.registry.MustRegister(g)
}

// at leaves out what never was.
func (m metrics) at(name, help string, t time.Time, labels prometheus.Labels) {
	if !t.IsZero() {
		m.set(name, help, float64(t.UnixMilli())/1000, labels)
	}
}

func (m metrics) count(name, help string, value int64, labels prometheus.Labels) {
	c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "nss_iam", Name: name, Help: help, ConstLabels: labels})
	c.Add(float64(value))
	m.registry.MustRegister(c)
}
