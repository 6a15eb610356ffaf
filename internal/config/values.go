package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// A value is what the file gives for one key. Its methods report a fault and
// return false where the value is not of the wanted kind.
type value struct {
	reader *reader
	path   []string
	any    any
}

func (v value) fault(problem, remedy string) { v.reader.fault(problem, remedy, v.path...) }

func (v value) wrongType(want, example string) {
	v.fault("is a "+kindOf(v.any)+", not "+want, "write it as "+example)
}

func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case int64:
		return "whole number"
	case float64:
		return "number with a fraction"
	case bool:
		return "true or false"
	case []any:
		return "list"
	case map[string]any:
		return "table"
	case time.Time, toml.LocalDate, toml.LocalDateTime, toml.LocalTime:
		return "date or time"
	}
	return "value of another kind"
}

func (v value) text(example string) (string, bool) {
	s, ok := v.any.(string)
	if !ok {
		v.wrongType("a string", example)
	}
	return s, ok
}

func (v value) flag() (bool, bool) {
	b, ok := v.any.(bool)
	if !ok {
		v.wrongType("true or false", v.path[len(v.path)-1]+" = true")
	}
	return b, ok
}

// number accepts a whole number of low to high.
func (v value) number(low, high int64, example string) (int64, bool) {
	n, ok := v.any.(int64)
	if !ok {
		v.wrongType("a whole number", example)
		return 0, false
	}
	if n < low || n > high {
		v.fault(fmt.Sprintf("%d is not in %d to %d", n, low, high), "write a number in that range")
		return 0, false
	}
	return n, true
}

// fraction accepts a number of low to high, whole or not.
func (v value) fraction(low, high float64, example string) (float64, bool) {
	var f float64
	switch n := v.any.(type) {
	case float64:
		f = n
	case int64:
		f = float64(n)
	default:
		v.wrongType("a number", example)
		return 0, false
	}
	if math.IsNaN(f) || f < low || f > high {
		v.fault(fmt.Sprintf("%v is not in %v to %v", f, low, high), "write a number in that range, as in "+example)
		return 0, false
	}
	return f, true
}

// matching accepts a string that the whole of pattern matches.
func (v value) matching(pattern form, what, example string) (string, bool) {
	s, ok := v.text(example)
	if ok && !pattern.MatchString(s) {
		v.fault(quote(s)+" is not "+what, "write it as "+example)
		return "", false
	}
	return s, ok
}

func (v value) oneOf(words ...string) (string, bool) {
	s, ok := v.text(strconv.Quote(words[0]))
	if !ok {
		return "", false
	}
	if slices.Contains(words, s) {
		return s, true
	}
	v.fault(quote(s)+" is not known", `write one of "`+strings.Join(words, `", "`)+`"`)
	return "", false
}

// each goes through a list of strings that are all different, letter case
// aside, and checks each. It reports every bad element.
func (v value) each(example string, check func(element value, s string) bool) ([]string, bool) {
	elements, ok := v.any.([]any)
	if !ok {
		v.wrongType("a list of strings", example)
		return nil, false
	}
	seen := map[string]bool{}
	all := make([]string, 0, len(elements))
	for i, any := range elements {
		element := value{v.reader, append(append([]string(nil), v.path...), strconv.Itoa(i)), any}
		s, isText := any.(string)
		switch {
		case !isText:
			element.listFault("element "+strconv.Itoa(i+1)+" is a "+kindOf(any)+", not a string", "write the list as "+example)
			ok = false
		case seen[strings.ToLower(s)]:
			element.listFault(quote(s)+" stands twice in the list", "remove one")
			ok = false
		default:
			seen[strings.ToLower(s)] = true
			ok = check(element, s) && ok
			all = append(all, s)
		}
	}
	return all, ok
}

// listFault reports an element of a list under the list's key.
func (v value) listFault(problem, remedy string) {
	v.reader.faultAt(v.reader.at.of(v.path...), problem, remedy, v.path[:len(v.path)-1]...)
}

// list accepts a list of strings that each match pattern.
func (v value) list(pattern form, what, example string) ([]string, bool) {
	return v.each(example, func(element value, s string) bool {
		if !pattern.MatchString(s) {
			element.listFault(quote(s)+" is not "+what, "write the list as "+example)
			return false
		}
		return true
	})
}

func (v value) table(example string) (map[string]any, bool) {
	t, ok := v.any.(map[string]any)
	if !ok {
		v.wrongType("a table", example)
	}
	return t, ok
}

// at is the value of one key of a table.
func (v value) at(key string, any any) value {
	return value{v.reader, append(append([]string(nil), v.path...), key), any}
}

// duration accepts low to high, and zero too where zero says what it means.
func (v value) duration(low, high time.Duration, zero, example string) (time.Duration, bool) {
	s, ok := v.any.(string)
	if !ok {
		v.wrongType("a duration in quotes", example)
		return 0, false
	}
	d, err := ParseDuration(s)
	switch {
	case err != nil:
		v.fault(err.Error(), "write it as "+example)
		return 0, false
	case d == 0 && zero != "":
		return 0, true
	case d < low:
		v.fault(fmt.Sprintf("%s is shorter than %s", quote(s), FormatDuration(low)),
			"write "+strconv.Quote(FormatDuration(low))+" or more"+zero)
		return 0, false
	case d > high:
		v.fault(fmt.Sprintf("%s is longer than %s", quote(s), FormatDuration(high)),
			"write "+strconv.Quote(FormatDuration(high))+" or less"+zero)
		return 0, false
	}
	return d, true
}

var durationForm = newForm(`^(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:ms|[smhd]))+$`)
var durationPart = newForm(`([0-9.]+)(ms|[smhd])`)

// ParseDuration reads "90d", "1d12h", "5m", "2s", "500ms" or "0": what
// time.ParseDuration reads, with d for days of 24 hours, without signs and
// without units below a millisecond.
func ParseDuration(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	if len(s) > 64 || !durationForm.MatchString(s) {
		return 0, fmt.Errorf("%s is not a duration", quote(s))
	}
	units := map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": day}
	var total float64
	for _, part := range durationPart.compiled().FindAllStringSubmatch(s, -1) {
		n, err := strconv.ParseFloat(part[1], 64)
		if err != nil {
			return 0, fmt.Errorf("%s is not a duration", quote(s))
		}
		total += n * float64(units[part[2]])
	}
	if total > float64(100*365*day) {
		return 0, fmt.Errorf("%s is longer than a hundred years", quote(s))
	}
	return time.Duration(math.Round(total)), nil
}

// FormatDuration writes d as ParseDuration reads it, whole days as days.
func FormatDuration(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d%day == 0:
		return strconv.FormatInt(int64(d/day), 10) + "d"
	case d%time.Hour == 0:
		return strconv.FormatInt(int64(d/time.Hour), 10) + "h"
	case d%time.Minute == 0:
		return strconv.FormatInt(int64(d/time.Minute), 10) + "m"
	case d%time.Second == 0:
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	}
	return strconv.FormatInt(int64(d/time.Millisecond), 10) + "ms"
}
