package alerts

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var start = time.Unix(1764000000, 0)

// recorded is two hosts' figures, scraped once a minute for twenty minutes: a
// counter that grows by 6 a minute, and a gauge that only one of them has at the
// end.
func recorded(t *testing.T) *Record {
	t.Helper()
	var r Record
	for i := range 21 {
		at := start.Add(time.Duration(i) * time.Minute)
		for _, host := range []string{"a", "b"} {
			text := fmt.Sprintf("# HELP x\ncalls{action=\"Get\"} %d\ncalls{action=\"List\"} 1\nage %d\n", 6*i, i)
			if host == "a" || i < 10 {
				text += "info{version=\"1\\\"\"} 1\n"
			}
			if err := r.Scrape(host, text, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	return &r
}

func TestExpressionsMeanWhatPrometheusMeans(t *testing.T) {
	r := recorded(t)
	now := start.Add(20 * time.Minute)
	for expression, want := range map[string]string{
		`age`:                           "a=20 b=20",
		`age > 20`:                      "",
		`age >= 20`:                     "a=20 b=20",
		`age{instance="a"} == 20`:       "a=20",
		`age{instance!="a"} != 7`:       "b=20",
		`age{instance=~"a|c"} < 2 * 11`: "a=20",
		`2 + 3 * age - 1`:               "a=61 b=61",
		`(2 + 3) * age / 4 <= 25`:       "a=25 b=25",
		`time() - age`:                  "a=1764001180 b=1764001180",
		`age > age`:                     "",
		`age * age`:                     "a=400 b=400",
		// A series that ended is found for five minutes, and b's ended eleven minutes ago.
		`info`: "a=1",
		`max by (instance) (max_over_time(info[1d])) unless on (instance) info`: "b=1",
		`max by (instance) (max_over_time(info[5m])) unless on (instance) info`: "",
		`age and on (instance) info`:          "a=20",
		`info or age`:                         "a=1 a=20 b=20",
		`info or on (instance) age`:           "a=1 b=20",
		`sum by (instance) (calls)`:           "a=121 b=121",
		`max by (instance) (calls) > 1`:       "a=120 b=120",
		`increase(calls{action="Get"}[10m])`:  "a=60 b=60",
		`rate(calls{action="Get"}[10m]) * 60`: "a=6 b=6",
		`none`:                                "",
	} {
		e, err := parse(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		v, err := e.eval(r, now)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		var got []string
		for _, s := range v.vector {
			got = append(got, fmt.Sprintf("%s=%.0f", s.labels["instance"], s.value))
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %q, want %q", expression, got, want)
		}
	}
	for _, unknown := range []string{"", "age >", "absent(age)", "age[5m] > 1", "age{instance}", "sum(age)", "rate(age)",
		"age @ 1", "age age", "age > bool 1"} {
		e, err := parse(unknown)
		if err == nil {
			_, err = e.eval(r, now)
		}
		if err == nil {
			t.Errorf("%q is taken for an expression", unknown)
		}
	}
}

func TestAnAlertFiresOnceItHasHeldForItsTime(t *testing.T) {
	r := recorded(t)
	rules := []Rule{{Alert: "Old", Expr: "age > 10", For: Duration(5 * time.Minute)}}
	for minute, want := range map[int]int{10: 0, 11: 0, 15: 0, 16: 2, 20: 2} {
		got, err := r.Firing(rules, start, start.Add(time.Duration(minute)*time.Minute))
		if err != nil || len(got) != want {
			t.Errorf("after %d minutes: %v, %v, want %d", minute, got, err, want)
		}
	}
}
