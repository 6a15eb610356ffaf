package main

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A what is one thing that was timed.
type what struct{ users, service, mode string }

// Results are nanoseconds, by what was timed and by round.
type results map[what]map[string]float64

// read reads lines "ROUND USERS SERVICE MODE NANOSECONDS".
func read(path string) (results, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	r := results{}
	s := bufio.NewScanner(f)
	for s.Scan() {
		w := strings.Fields(s.Text())
		if len(w) != 5 {
			return nil, fmt.Errorf("read %q: line %q has not five words", path, s.Text())
		}
		ns, err := strconv.ParseFloat(w[4], 64)
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", path, err)
		}
		k := what{w[1], w[2], w[3]}
		if r[k] == nil {
			r[k] = map[string]float64{}
		}
		r[k][w[0]] = ns
	}
	return r, s.Err()
}

// median returns the median of what's rounds.
func (r results) median(w what) (ns float64, ok bool) {
	var all []float64
	for _, ns := range r[w] {
		all = append(all, ns)
	}
	return middle(all)
}

// ratio returns the median of a's ratios to b, round by round.
func (r results) ratio(a, b what) (ratio float64, ok bool) {
	var all []float64
	for round, ns := range r[a] {
		if other, ok := r[b][round]; ok && other > 0 {
			all = append(all, ns/other)
		}
	}
	return middle(all)
}

func middle(all []float64) (float64, bool) {
	if len(all) == 0 {
		return 0, false
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2, true
}
