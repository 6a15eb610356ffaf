package main

import (
	"math"
	"slices"
	"time"
)

// arrivals collects when each change arrived at each host.
type arrivals struct {
	hosts   int
	changes []time.Duration
	count   []int           // hosts that know, by change
	last    []time.Duration // when the latest of them learned, by change
	spread  []uint32        // of all hosts and changes, by tenth of a second
}

func newArrivals(w World) *arrivals {
	c := w.changes()
	return &arrivals{
		hosts: w.Hosts, changes: c, count: make([]int, len(c)), last: make([]time.Duration, len(c)),
		spread: make([]uint32, int(w.Day/(100*time.Millisecond))+1),
	}
}

// learns notes that a host that knew the first held changes got, at now, an
// answer that IAM gave at asOf. It returns how many the host knows then.
func (a *arrivals) learns(held int, asOf, now time.Duration) int {
	for held < len(a.changes) && a.changes[held] <= asOf {
		took := now - a.changes[held]
		a.count[held]++
		a.last[held] = max(a.last[held], took)
		a.spread[min(int(took/(100*time.Millisecond)), len(a.spread)-1)]++
		held++
	}
	return held
}

// An Arrival says how long changes took.
type Arrival struct {
	Everywhere         int           // changes that reached every host
	Changes            int           // all of them
	HostMedian         time.Duration // over hosts and changes, of those that arrived
	HostP99            time.Duration
	Median, P99, Worst time.Duration // until the last host had it; meaningless unless Everywhere is Changes
}

func (a *arrivals) summary() Arrival {
	s := Arrival{Changes: len(a.changes)}
	var last []time.Duration
	for i, n := range a.count {
		if n == a.hosts {
			s.Everywhere++
			last = append(last, a.last[i])
		}
	}
	slices.Sort(last)
	if len(last) > 0 {
		s.Median, s.P99, s.Worst = last[len(last)/2], last[(len(last)*99)/100], last[len(last)-1]
	}
	s.HostMedian, s.HostP99 = a.quantile(0.5), a.quantile(0.99)
	return s
}

func (a *arrivals) quantile(q float64) time.Duration {
	total := 0.0
	for _, n := range a.spread {
		total += float64(n)
	}
	seen := 0.0
	for i, n := range a.spread {
		seen += float64(n)
		if n > 0 && seen >= math.Ceil(q*total) {
			return time.Duration(i+1) * 100 * time.Millisecond
		}
	}
	return 0
}
