package alerts

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// lookback is how old the last sample of a series may be.
const lookback = 5 * time.Minute

type sample struct {
	labels map[string]string
	value  float64
}

// A result is a number or a vector.
type result struct {
	scalar bool
	number float64
	vector []sample
}

type expr interface {
	eval(*Record, time.Time) (result, error)
}

type number float64

func (n number) eval(*Record, time.Time) (result, error) {
	return result{scalar: true, number: float64(n)}, nil
}

// A selector picks series; with a span, their samples in it.
type selector struct {
	name     string
	matchers []func(map[string]string) bool
	span     time.Duration
}

func (s selector) picks(labels map[string]string) bool {
	if labels["__name__"] != s.name {
		return false
	}
	return !slices.ContainsFunc(s.matchers, func(m func(map[string]string) bool) bool { return !m(labels) })
}

func (s selector) eval(r *Record, now time.Time) (result, error) {
	if s.span != 0 {
		return result{}, fmt.Errorf("%s[…] is a range where a vector should be", s.name)
	}
	var v result
	for _, key := range slices.Sorted(maps.Keys(r.series)) {
		x := r.series[key]
		if !s.picks(x.labels) {
			continue
		}
		for i := len(x.times) - 1; i >= 0; i-- {
			if !x.times[i].After(now) {
				if now.Sub(x.times[i]) < lookback {
					v.vector = append(v.vector, sample{x.labels, x.values[i]})
				}
				break
			}
		}
	}
	return v, nil
}

// A call is a function of a range.
type call struct {
	name string
	of   selector
}

func (c call) eval(r *Record, now time.Time) (result, error) {
	var v result
	from := now.Add(-c.of.span)
	for _, key := range slices.Sorted(maps.Keys(r.series)) {
		x := r.series[key]
		if !c.of.picks(x.labels) {
			continue
		}
		var times []time.Time
		var values []float64
		for i, t := range x.times {
			if t.After(from) && !t.After(now) {
				times, values = append(times, t), append(values, x.values[i])
			}
		}
		value, ok := 0.0, len(values) > 0
		switch c.name {
		case "max_over_time":
			if ok {
				value = slices.Max(values)
			}
		case "increase", "rate":
			value, ok = increase(times, values, from, now)
			if c.name == "rate" {
				value /= c.of.span.Seconds()
			}
		}
		if ok {
			v.vector = append(v.vector, sample{without(x.labels, "__name__"), value})
		}
	}
	return v, nil
}

// increase is what a counter grew by in a span, with what is missing at either end
// added at the same pace as Prometheus adds it: up to half a step where the series
// begins or ends inside the span, and never below zero.
func increase(times []time.Time, values []float64, from, to time.Time) (float64, bool) {
	n := len(values)
	if n < 2 {
		return 0, false
	}
	grown := values[n-1] - values[0]
	for i := 1; i < n; i++ {
		if values[i] < values[i-1] {
			grown += values[i-1] // the counter began again
		}
	}
	seen := times[n-1].Sub(times[0]).Seconds()
	step := seen / float64(n-1)
	start, end := times[0].Sub(from).Seconds(), to.Sub(times[n-1]).Seconds()
	if start >= step*1.1 {
		start = step / 2
	}
	if grown > 0 && values[0] >= 0 {
		start = min(start, seen*values[0]/grown)
	}
	if end >= step*1.1 {
		end = step / 2
	}
	return grown * (seen + start + end) / seen, true
}

type clock struct{}

func (clock) eval(_ *Record, now time.Time) (result, error) {
	return result{scalar: true, number: float64(now.UnixMilli()) / 1000}, nil
}

// An aggregate is sum or max by labels.
type aggregate struct {
	name string
	by   []string
	of   expr
}

func (a aggregate) eval(r *Record, now time.Time) (result, error) {
	of, err := a.of.eval(r, now)
	if err != nil || of.scalar {
		return of, err
	}
	var v result
	at := map[string]int{}
	for _, s := range of.vector {
		key := keyOf(s.labels, a.by)
		i, ok := at[key]
		if !ok {
			at[key] = len(v.vector)
			v.vector = append(v.vector, sample{only(s.labels, a.by), s.value})
			continue
		}
		switch a.name {
		case "sum":
			v.vector[i].value += s.value
		case "max":
			v.vector[i].value = max(v.vector[i].value, s.value)
		}
	}
	return v, nil
}

// A binary joins two results.
type binary struct {
	op          string
	left, right expr
	on          []string // nil: all labels but the name
}

func (b binary) eval(r *Record, now time.Time) (result, error) {
	left, err := b.left.eval(r, now)
	if err != nil {
		return left, err
	}
	right, err := b.right.eval(r, now)
	if err != nil {
		return right, err
	}
	switch b.op {
	case "or", "and", "unless":
		if left.scalar || right.scalar {
			return left, fmt.Errorf("%q of a number", b.op)
		}
		return b.sets(left, right), nil
	}
	switch {
	case left.scalar && right.scalar:
		value, holds := calculate(b.op, left.number, right.number)
		if holds != nil {
			return left, fmt.Errorf("%q of two numbers", b.op)
		}
		return result{scalar: true, number: value}, nil
	case right.scalar:
		return b.each(left.vector, func(s sample) (float64, float64, bool) { return s.value, right.number, true }), nil
	case left.scalar:
		return b.each(right.vector, func(s sample) (float64, float64, bool) { return left.number, s.value, true }), nil
	}
	others := map[string]float64{}
	for _, s := range right.vector {
		key := b.key(s.labels)
		if _, twice := others[key]; twice {
			return left, fmt.Errorf("many to many: %s", key)
		}
		others[key] = s.value
	}
	return b.each(left.vector, func(s sample) (float64, float64, bool) {
		other, ok := others[b.key(s.labels)]
		return s.value, other, ok
	}), nil
}

// each calculates one value for each sample, or filters by a comparison.
func (b binary) each(of []sample, operands func(sample) (float64, float64, bool)) result {
	var v result
	for _, s := range of {
		x, y, ok := operands(s)
		if !ok {
			continue
		}
		value, holds := calculate(b.op, x, y)
		switch {
		case holds == nil:
			v.vector = append(v.vector, sample{without(s.labels, "__name__"), value})
		case *holds:
			v.vector = append(v.vector, s)
		}
	}
	return v
}

func (b binary) sets(left, right result) result {
	there := func(in []sample) map[string]bool {
		keys := map[string]bool{}
		for _, s := range in {
			keys[b.key(s.labels)] = true
		}
		return keys
	}
	var v result
	lefts, rights := there(left.vector), there(right.vector)
	for _, s := range left.vector {
		if b.op == "or" || rights[b.key(s.labels)] == (b.op == "and") {
			v.vector = append(v.vector, s)
		}
	}
	if b.op == "or" {
		for _, s := range right.vector {
			if !lefts[b.key(s.labels)] {
				v.vector = append(v.vector, s)
			}
		}
	}
	return v
}

func (b binary) key(labels map[string]string) string {
	if b.on != nil {
		return keyOf(labels, b.on)
	}
	l := without(labels, "__name__")
	return keyOf(l, slices.Sorted(maps.Keys(l)))
}

// calculate returns a value, or whether a comparison holds.
func calculate(op string, x, y float64) (value float64, holds *bool) {
	is := func(b bool) (float64, *bool) { return 0, &b }
	switch op {
	case "+":
		return x + y, nil
	case "-":
		return x - y, nil
	case "*":
		return x * y, nil
	case "/":
		return x / y, nil
	case ">":
		return is(x > y)
	case "<":
		return is(x < y)
	case ">=":
		return is(x >= y)
	case "<=":
		return is(x <= y)
	case "==":
		return is(x == y)
	}
	return is(x != y)
}

func without(labels map[string]string, name string) map[string]string {
	l := maps.Clone(labels)
	delete(l, name)
	return l
}

func only(labels map[string]string, names []string) map[string]string {
	l := map[string]string{}
	for _, name := range names {
		if v, ok := labels[name]; ok {
			l[name] = v
		}
	}
	return l
}
