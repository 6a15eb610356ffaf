package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/identitycenter"
	"github.com/nss-iam/nss-iam/tests/alerts"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

// A monitored host writes its figures as the daemon does, at times that the test
// chooses.
type monitored struct {
	t      *testing.T
	record alerts.Record
	path   string
	began  time.Time
	now    time.Time
	config config.Config
	report report
	served served
}

func newMonitored(t *testing.T) *monitored {
	c := config.Default()
	c.Login.Groups = []string{"developers"}
	began := time.Now().Truncate(time.Second)
	return &monitored{
		t: t, path: filepath.Join(t.TempDir(), "iam.prom"), began: began, now: began, config: c,
		report: report{Version: "1", Refresh: c.Source.Refresh},
		served: served{NSS: &cache.Meta{}, Keys: &cache.KeysMeta{}},
	}
}

// A minute is what happens in one: what refreshed, and whether the figures are
// written and are there.
type minute struct {
	change func(*monitored)
	dead   bool // no figures are written
	gone   bool // the file is not there
}

// pass lets minutes go by. Each is scraped.
func (m *monitored) pass(minutes int, how minute) {
	m.t.Helper()
	for range minutes {
		m.now = m.now.Add(time.Minute)
		if !how.dead {
			m.report.Attempt = m.now
			how.change(m)
			if err := writeMetrics(m.path, m.report, m.served, factsOf(m.config, m.served, &m.report, m.now)); err != nil {
				m.t.Fatal(err)
			}
		}
		if how.gone {
			continue
		}
		text, err := os.ReadFile(m.path)
		if err != nil {
			m.t.Fatal(err)
		}
		if err := m.record.Scrape("web-1", string(text), m.now); err != nil {
			m.t.Fatal(err)
		}
	}
}

// keysChecked sets when everybody's keys were checked.
func (m *monitored) keysChecked(times ...time.Time) {
	m.served.tables = cache.KeyTables{Policy: cache.LoginPolicy{Online: m.config.Keys.Online,
		MaxStale: m.config.Keys.MaxStale}}
	for i, at := range times {
		m.served.tables.Users = append(m.served.tables.Users, cache.UserKeys{Name: string(rune('a' + i)), Login: true,
			Checked: at})
	}
}

func good(m *monitored) {
	m.report.Error, m.report.Failures, m.report.Success = "", 0, m.now
	m.keysChecked(m.now.Add(-time.Hour), m.now.Add(-time.Minute))
}

// seldom makes the host one that reads a large Identity Store itself.
func seldom(m *monitored) {
	m.config.Source.Kind = config.KindIdentityCenter
	m.report.Cost = &identitycenter.Cost{Each: 5000}
	m.report.Refresh = interval(m.config, &m.report)
}

// waiting is a daemon whose next refresh is not due.
func waiting(m *monitored) {
	m.report.Attempt = m.report.Success
	m.keysChecked(m.report.Success)
}

func failed(m *monitored) { m.report.Error = "unreachable"; m.report.Failures++ }

func TestAlertsFireForWhatIsWrongAndForNothingElse(t *testing.T) {
	unmet.Long(t, "each fault is made on a host of its own")
	rules, err := alerts.Load("../docs/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	fired := map[string]bool{}
	for name, c := range map[string]struct {
		live func(*monitored)
		want string
	}{
		"all is well": {func(m *monitored) { m.pass(60, minute{change: good}) }, ""},
		"IAM is down for a quarter of an hour": {func(m *monitored) {
			m.pass(30, minute{change: good})
			m.pass(14, minute{change: failed})
		}, ""},
		"IAM is down for an hour": {func(m *monitored) {
			m.pass(30, minute{change: good})
			m.pass(60, minute{change: failed})
		}, "NSSIAMBroken NSSIAMNotRefreshed"},
		"a reboot, and no good refresh since": {func(m *monitored) {
			good(m)
			m.report.Success = m.now.Add(-30 * time.Minute) // as the state has it
			m.pass(20, minute{change: failed})
		}, "NSSIAMBroken NSSIAMNotRefreshed"},
		"a first boot that never gets an answer": {func(m *monitored) {
			m.served = served{NSSError: "no such file", KeysError: "no such file"}
			m.pass(20, minute{change: failed})
		}, "NSSIAMBroken NSSIAMBroken NSSIAMCacheUnusable NSSIAMCacheUnusable NSSIAMNotRefreshed"},
		"the daemon is dead for an hour": {func(m *monitored) {
			m.pass(30, minute{change: good})
			m.pass(60, minute{dead: true})
		}, "NSSIAMGone NSSIAMNotRefreshed"},
		"the daemon is dead for a day": {func(m *monitored) {
			m.pass(5, minute{change: good})
			m.now = m.now.Add(25 * time.Hour)
			m.pass(20, minute{dead: true})
		}, "NSSIAMGone NSSIAMKeysGrowOld NSSIAMKeysOpenNothing NSSIAMNotRefreshed"},
		"eight hours between refreshes of Identity Center": {func(m *monitored) {
			seldom(m)
			m.pass(1, minute{change: good})
			m.pass(9*60, minute{change: waiting})
		}, ""},
		"the refresh after eight hours does not come": {func(m *monitored) {
			seldom(m)
			m.pass(1, minute{change: good})
			m.pass(12*60, minute{change: waiting})
		}, "NSSIAMBroken NSSIAMGone NSSIAMNotRefreshed"},
		"the figures are gone": {func(m *monitored) {
			m.pass(30, minute{change: good})
			m.pass(20, minute{dead: true, gone: true})
		}, "NSSIAMGone"},
		"half of the keys are thirteen hours old": {func(m *monitored) {
			m.pass(60, minute{change: func(m *monitored) {
				good(m)
				m.keysChecked(m.began.Add(-13*time.Hour), m.began.Add(-13*time.Hour), m.now)
			}})
		}, "NSSIAMKeysGrowOld"},
		"the oldest keys are at their usual age in a large account": {func(m *monitored) {
			m.pass(60, minute{change: func(m *monitored) {
				good(m)
				m.keysChecked(m.now.Add(-14*time.Hour), m.now.Add(-8*time.Hour), m.now.Add(-2*time.Hour))
			}})
		}, ""},
		"one person's keys are too old": {func(m *monitored) {
			m.pass(20, minute{change: func(m *monitored) {
				good(m)
				m.keysChecked(m.now.Add(-25*time.Hour), m.now, m.now)
			}})
		}, "NSSIAMBroken NSSIAMKeysOpenNothing"},
		"a clock that was set back": {func(m *monitored) {
			m.pass(20, minute{change: func(m *monitored) {
				good(m)
				m.keysChecked(m.now.Add(2*time.Hour), m.now.Add(2*time.Hour))
			}})
		}, "NSSIAMBroken NSSIAMKeysOpenNothing"},
		"old keys where only IAM opens": {func(m *monitored) {
			m.config.Keys.Online = "require"
			m.pass(20, minute{change: func(m *monitored) {
				good(m)
				m.keysChecked(m.now.Add(-50 * time.Hour))
			}})
		}, ""},
		"a damaged nss.db": {func(m *monitored) {
			m.pass(20, minute{change: func(m *monitored) {
				good(m)
				m.served.NSS, m.served.NSSError = nil, "damaged"
			}})
		}, "NSSIAMBroken NSSIAMCacheUnusable"},
		"a publisher that serves nobody": {func(m *monitored) {
			m.config.Login.Groups, m.config.Publish.URL = nil, "s3://b/k"
			m.served = served{NSSError: "no such file", KeysError: "no such file"}
			m.pass(30, minute{change: func(m *monitored) { m.report.Success = m.now }})
		}, ""},
		"a publisher that cannot publish": {func(m *monitored) {
			m.config.Publish.URL = "s3://b/k"
			m.pass(30, minute{change: func(m *monitored) { good(m); m.report.Unwritten = "denied" }})
		}, "NSSIAMBroken"},
		"logins that IAM does not answer": {func(m *monitored) {
			m.pass(30, minute{change: func(m *monitored) { good(m); m.report.LoginError = "iam:ListGroupsForUser" }})
		}, "NSSIAMBroken"},
		"answers that are refused": {func(m *monitored) {
			m.pass(30, minute{change: func(m *monitored) {
				good(m)
				m.report.Refused = max(0,
					int(m.now.Sub(m.began).Minutes())-20)
			}})
		}, "NSSIAMAnswerRefused"},
		"removals that are held back": {func(m *monitored) {
			m.pass(30, minute{change: func(m *monitored) {
				good(m)
				m.report.Skipped = map[accounts.Reason]int{accounts.RemovalsHeld: 1}
			}})
		}, "NSSIAMAnswerDoubted"},
		"a name that cannot be served": {func(m *monitored) {
			m.pass(30, minute{change: func(m *monitored) {
				good(m)
				m.report.Skipped = map[accounts.Reason]int{accounts.NameInvalid: 1}
			}})
		}, ""},
		"throttled calls": {func(m *monitored) {
			m.pass(80, minute{change: func(m *monitored) {
				good(m)
				m.report.Throttles = map[string]int64{"GetGroup": int64(m.now.Sub(m.began).Minutes()) * 8}
			}})
		}, "NSSIAMThrottled"},
		"a collision": {func(m *monitored) {
			m.pass(10, minute{change: func(m *monitored) { good(m); m.report.Collisions = 1 }})
		}, "NSSIAMCollision"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMonitored(t)
			c.live(m)
			firing, err := m.record.Firing(rules, m.began, m.now)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, a := range firing {
				names = append(names, a.Rule)
				fired[a.Rule] = true
				if a.Labels["instance"] != "web-1" {
					t.Errorf("%s says not of which host: %v", a.Rule, a.Labels)
				}
			}
			slices.Sort(names)
			if got := strings.Join(names, " "); got != c.want {
				t.Errorf("firing: %q, want %q", got, c.want)
			}
		})
	}
	for _, r := range rules {
		if !fired[r.Alert] {
			t.Errorf("no case makes %s fire", r.Alert)
		}
	}
}
