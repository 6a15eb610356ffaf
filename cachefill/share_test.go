package main

import (
	"cmp"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/health"
	"github.com/nss-iam/nss-iam/internal/identitycenter"
)

// inGroups are so many people, all of them in so many groups of the directory.
func inGroups(people, groups int) (t accounts.Tables) {
	all := make([]string, people)
	t.Users = make([]accounts.User, people)
	for i := range t.Users {
		t.Users[i].UID = uint32(i)
		t.Groups = append(t.Groups, accounts.Group{GID: uint32(i)})
	}
	for i := range groups {
		t.Groups = append(t.Groups, accounts.Group{GID: uint32(people + i), Members: all})
	}
	t.Groups = append(t.Groups, accounts.Group{GID: 1e9, Name: accounts.UsersGroup, Members: all},
		accounts.Group{GID: 1e9 + 1, Name: accounts.SudoGroup, Members: all})
	return t
}

// direct is the configuration of a host that reads the Identity Store itself, with
// these lines of its file more.
func direct(t *testing.T, lines ...string) config.Config {
	t.Helper()
	c, err := config.Parse("test", []byte("[login]\nall_users = true\n[source]\nkind = \"identity-center\"\n"+
		strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	c.Cache.Dir = t.TempDir()
	return c
}

// Calls are near those of docs/benchmarks.md, which are counted.
func TestTheDefaultIntervalKeepsTenHostsWithinATenthOfTheOrganizationsRate(t *testing.T) {
	c := direct(t)
	for _, test := range []struct {
		people, groups int
		every          time.Duration
		calls, hosts   int
	}{
		{50, 1, 10 * time.Minute, 3, 333}, {50, 10, 10 * time.Minute, 12, 83}, {50, 100, 11 * time.Minute, 102, 10},
		{500, 1, 10 * time.Minute, 6, 150}, {500, 10, 10 * time.Minute, 52, 19}, {500, 100, 51 * time.Minute, 505, 10},
		{5000, 1, 10 * time.Minute, 58, 17}, {5000, 10, 54 * time.Minute, 539, 10},
		{5000, 100, 8*time.Hour + 26*time.Minute, 5052, 10},
	} {
		s := shareOf(c, inGroups(test.people, test.groups), nil)
		if s.interval != test.every || s.stretched != (test.every > c.Source.Refresh) {
			t.Errorf("%d people in %d groups: every %v, want %v", test.people, test.groups, s.interval, test.every)
		}
		if calls := s.calls(); calls < float64(test.calls) || calls > 1.1*float64(test.calls)+2 {
			t.Errorf("%d people in %d groups: %g calls, counted are %d", test.people, test.groups, calls, test.calls)
		}
		if n := s.hosts(tenth); n < test.hosts*3/4 || n > test.hosts*5/4 || n < 10 {
			t.Errorf("%d people in %d groups: %d hosts, counted are %d", test.people, test.groups, n, test.hosts)
		}
	}
}

func TestAnIntervalIsStretchedByWhatRefreshesCost(t *testing.T) {
	large := identitycenter.Cost{Each: 5002, Hourly: 50}
	for _, test := range []struct {
		name string
		c    config.Config
		cost identitycenter.Cost
		want time.Duration
	}{
		{"nothing is known yet", direct(t), identitycenter.Cost{}, 10 * time.Minute},
		{"300 calls take 25 minutes, two thirds to all of 30", direct(t), identitycenter.Cost{Each: 300}, 30 * time.Minute},
		{"names and states, once an hour, take half of the rate", direct(t), identitycenter.Cost{Each: 150, Hourly: 360},
			30 * time.Minute},
		{"a hundred groups of 5,000", direct(t), large, 8*time.Hour + 26*time.Minute},
		{"cached answers stay younger than half of max_stale", direct(t, "[keys]", `max_stale = "8h"`), large, 3 * time.Hour},
		{"a short max_stale stretches nothing", direct(t, "[keys]", `max_stale = "10m"`), large, 10 * time.Minute},
		{"half a day is the longest", direct(t, "[keys]", `max_stale = "0"`), identitycenter.Cost{Each: 1e6}, 12 * time.Hour},
		{"the file's word counts", direct(t, `refresh = "5m"`), large, 5 * time.Minute},
		{"also where it says what it would be without", direct(t, `refresh = "10m"`), large, 10 * time.Minute},
		{"a publisher reads for others", direct(t, "[publish]", `url = "file:///srv/snapshot"`, `key = "/etc/key"`), large,
			10 * time.Minute},
	} {
		if got := intervalFor(test.c, test.cost); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
		if got := interval(test.c, &report{Cost: &test.cost}); got != test.want {
			t.Errorf("%s, by the report: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestAFailureIsTriedAgainAsSoonAsItsCallsArePaid(t *testing.T) {
	const stretched = 4 * time.Hour
	for _, test := range []struct {
		name            string
		c               config.Config
		failures, calls int
		nobody          bool
		want            time.Duration
	}{
		{"after a good refresh", direct(t), 0, 5000, false, stretched},
		{"a first failure, at once", direct(t), 1, 1, false, 10 * time.Second},
		{"many, without the store", direct(t), 50, 1, false, 40 * time.Minute},
		{"one behind a thousand calls", direct(t), 1, 1000, false, 5000 * time.Second},
		{"never longer than the interval", direct(t), 1, 1e6, false, stretched},
		{"a host that serves nobody", direct(t), 1, 1e6, true, 10 * time.Second},
		{"where the file says how often", direct(t, `refresh = "10m"`), 1, 1e6, false, 10 * time.Second},
	} {
		if got := pauseAfter(test.c, stretched, test.failures, test.calls, test.nobody, 0); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// Whatever fails, and however late, ten hosts take a tenth of the rate over a day.
func TestRefreshesThatFailLateStayWithinTheRate(t *testing.T) {
	c := direct(t)
	const calls = 1500
	passed, made := time.Duration(0), 0
	for failures := 1; passed < 24*time.Hour; failures++ {
		passed += pauseAfter(c, intervalFor(c, identitycenter.Cost{Each: calls}), failures, calls, false, 0.5)
		made += calls
	}
	if rate := float64(made) / passed.Seconds(); rate > identitycenter.OrganizationRate/100*1.01 || math.IsNaN(rate) {
		t.Errorf("%.3f calls a second", rate)
	}
}

func TestWhoSaysHowManyHostsTheRateBears(t *testing.T) {
	c := direct(t)
	if got, want := rateShare(c, nil), shareOf(c, accounts.Tables{}, nil).String(); got != want ||
		!strings.Contains(got, "refreshes every 10m: about 59 calls each for 5000 people in 1 group (assumed") {
		t.Errorf("before a refresh: %q", got)
	}
	known := report{Cost: &identitycenter.Cost{Each: 300}}
	if got := rateShare(c, &known); !strings.Contains(got, "refreshes every 30m, for the rate's sake: about 300 calls") ||
		!strings.Contains(got, "calls each (nobody is served now); the Identity Store") ||
		!strings.Contains(got, "100 hosts like this one use up, and 10 a tenth") {
		t.Errorf("after one: %q", got)
	}
	c.Source.RefreshSet = true
	if got := rateShare(c, &known); !strings.Contains(got, "refreshes every 10m: about 300 calls each") ||
		!strings.Contains(got, "33 hosts like this one use up, and 3 a tenth") {
		t.Errorf("with source.refresh: %q", got)
	}
	c.Publish.URL = "s3://bucket/key"
	if got := rateShare(c, &known); got != "" {
		t.Errorf("a publisher: %q", got)
	}
	c.Publish.URL, c.Source.Kind = "", config.KindS3
	if got := rateShare(c, &known); got != "" {
		t.Errorf("a host that reads a snapshot: %q", got)
	}
}

// No false alarm while the daemon waits as it should, and none that is missed.
func TestHealthGoesByTheStretchedInterval(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name  string
		each  int // calls of a refresh
		lines string
		age   time.Duration
		want  string
	}{
		{"ten minutes, and all is well", 3, "", 29 * time.Minute, health.Good},
		{"ten minutes, and one is missing", 3, "", 31 * time.Minute, health.Broken},
		{"half an hour, and all is well", 300, "", 85 * time.Minute, health.Good},
		{"half an hour, and one is missing", 300, "", 95 * time.Minute, health.Broken},
		{"eight hours, and all is well", 5000, "", 9 * time.Hour, health.Good},
		{"eight hours, and one is missing", 5000, "", 11 * time.Hour, health.Broken},
		{"the file says ten minutes", 5000, `refresh = "10m"`, 31 * time.Minute, health.Broken},
	} {
		c := direct(t, test.lines)
		r := report{Success: now.Add(-test.age), Attempt: now.Add(-test.age), Cost: &identitycenter.Cost{Each: test.each}}
		got := ""
		for _, f := range health.Examine(factsOf(c, served{}, &r, now)) {
			if f.Check == "refresh" {
				got = cmp.Or(got, f.State)
			}
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}
