package health

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/hostsetup"
)

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// well is a host on which all is well.
func well() Facts {
	policy := cache.LoginPolicy{Online: "prefer", MaxStale: 24 * time.Hour}
	return Facts{
		Now: now, Daemon: Answers, UnitInstalled: true, Policy: policy,
		Keys: AgesOf(cache.KeyTables{Policy: policy, Users: []cache.UserKeys{
			{Name: "alice", Login: true, Checked: now.Add(-time.Hour)},
			{Name: "bob", Login: true, Checked: now.Add(-time.Minute)},
		}}, now),
		Refresh: 5 * time.Minute, Known: true, Success: now.Add(-time.Minute),
		Trials: []Trial{{What: "one user's groups"}},
	}
}

// aged is keys.db's tables with people whose keys were checked so long ago.
func aged(online string, maxStale time.Duration, ages ...time.Duration) func(*Facts) {
	return func(f *Facts) {
		t := cache.KeyTables{Policy: cache.LoginPolicy{Online: online, MaxStale: maxStale}}
		for i, age := range ages {
			t.Users = append(t.Users, cache.UserKeys{Name: string(rune('a' + i)), Login: true, Checked: now.Add(-age)})
		}
		f.Policy, f.Keys = t.Policy, AgesOf(t, now)
	}
}

func TestWhereAllIsWellEveryFindingIsGood(t *testing.T) {
	for name, change := range map[string]func(*Facts){
		"a host": func(*Facts) {},
		"a publisher that serves nobody": func(f *Facts) {
			f.ServesNobody, f.PublishOf, f.NSSError, f.KeysError, f.Keys = true, "s3://b/k", "no such file", "no such file",
				Ages{}
		},
		"another configuration, whose daemon nobody asks": func(f *Facts) { f.Daemon = NotAsked },
		"nobody's keys are there yet":                     func(f *Facts) { f.Keys = Ages{} },
		"keys that are old where only IAM opens":          aged("require", time.Hour, 5*time.Hour),
		"keys that never grow too old":                    aged("prefer", 0, 5000*time.Hour),
		"keys at 23 hours of a few, as with 4,800 people": aged("prefer", 24*time.Hour, 14*time.Hour, 11*time.Hour,
			6*time.Hour),
		"a refresh at the last moment": func(f *Facts) { f.Success = now.Add(-15 * time.Minute) },
	} {
		f := well()
		change(&f)
		for _, x := range Examine(f) {
			if x.State != Good || x.What == "" || !slices.Contains(Checks, x.Check) {
				t.Errorf("%s: %+v", name, x)
			}
		}
	}
}

func TestEachFaultIsSaid(t *testing.T) {
	day := 24 * time.Hour
	for _, c := range []struct {
		name         string
		change       func(*Facts)
		check, state string
		says         string
	}{
		{"a unit whose daemon does not answer", func(f *Facts) { f.Daemon = Silent }, "daemon", Broken, "does not answer"},
		{"no daemon where no unit is installed", func(f *Facts) { f.Daemon, f.UnitInstalled = Silent, false }, "daemon",
			Warning, "no unit"},
		{"no nss.db", func(f *Facts) { f.NSSError = "no such file" }, "cache", Broken, "nss.db"},
		{"no cache and no refresh", func(f *Facts) {
			f.NSSError, f.KeysError, f.Unserved = "no such file", "no such file", true
			f.Known, f.Success = false, time.Time{}
		}, "cache", Broken, "neither nss.db nor keys.db is there"},
		{"no cache after a refresh that failed", func(f *Facts) {
			f.NSSError, f.KeysError, f.Unserved, f.LastError = "no such file", "no such file", true, "throttled"
		}, "refresh", Broken, "throttled"},
		{"no keys.db", func(f *Facts) { f.KeysError = "no such file" }, "cache", Broken, "keys.db"},
		{"keys of one person too old", aged("prefer", day, 25*time.Hour, time.Hour, time.Hour), "keys", Broken,
			`1 of 3 people who may log in open nothing ("a"): cached keys are 25h0m0s old`},
		{"keys of all too old", aged("off", day, 25*time.Hour, 26*time.Hour), "keys", Broken, `2 of 2 people`},
		{"keys dated ahead: the clock was set back", aged("prefer", day, -2*time.Hour), "keys", Broken, "dated 2h0m0s ahead"},
		{"most keys older than half of max_stale", aged("prefer", day, 14*time.Hour, 13*time.Hour, time.Hour), "keys",
			Warning, "from 2026-11-25T22:00:00Z on they open nothing"},
		{"a refresh that failed", func(f *Facts) { f.LastError = "throttled" }, "refresh", Broken, "throttled"},
		{"a refresh that is overdue", func(f *Facts) { f.Success = now.Add(-16 * time.Minute) }, "refresh", Broken,
			"16m ago, and one is due every 5m"},
		{"never a good refresh", func(f *Facts) { f.Success = time.Time{} }, "refresh", Broken, "no refresh was ever good"},
		{"an overdue refresh from before the boot", func(f *Facts) { f.Known, f.Success = false, now.Add(-day) }, "refresh",
			Broken, "24h ago"},
		{"nothing known of a refresh", func(f *Facts) { f.Known, f.Success = false, time.Time{} }, "refresh", Warning,
			"is known"},
		{"a login that IAM did not answer", func(f *Facts) { f.LoginError = "denied" }, "logins", Broken, "denied"},
		{"a trial that IAM did not answer",
			func(f *Facts) { f.Trials = []Trial{{"one user's groups", "iam:ListGroupsForUser"}} }, "logins", Broken,
			"iam:ListGroupsForUser"},
		{"a sweep that fails this moment", func(f *Facts) {
			f.SweepError, f.SweepFailing = "throttled",
				now.Add(-time.Minute)
		}, "sweep", Warning, "throttled"},
		{"a sweep that has failed for a while", func(f *Facts) {
			f.SweepError, f.SweepFailing = "denied",
				now.Add(-6*time.Minute)
		}, "sweep", Broken, "denied"},
		{"a sweep that is too slow", func(f *Facts) { f.Slow, f.SlowRemedy = "cannot be kept", "set" }, "sweep", Warning,
			"cannot be kept"},
		{"an expired snapshot", func(f *Facts) { f.Snapshot, f.Expired = "s3://b/k", now.Add(-time.Hour) }, "snapshot",
			Broken, "expired 1h ago"},
		{"a snapshot that is not published", func(f *Facts) { f.PublishOf, f.Unpublished = "s3://b/k", "denied" }, "publish",
			Broken, "s3://b/k is not written: denied"},
		{"a configuration that is wrong", func(f *Facts) { f.ConfigError = "config.toml:2: no" }, "configuration", Broken,
			"config.toml:2"},
		{"no login rule", func(f *Facts) { f.NotConfigured = true }, "configuration", Broken, "no login rule"},
	} {
		f := well()
		c.change(&f)
		all := Examine(f)
		i := slices.IndexFunc(all, func(x Finding) bool {
			return x.Check == c.check && x.State == c.state && strings.Contains(x.What, c.says)
		})
		switch {
		case i < 0:
			t.Errorf("%s: no finding says %q: %+v", c.name, c.says, all)
		case all[i].Why == "" || all[i].Fix == "":
			t.Errorf("%s: no reason or no remedy: %+v", c.name, all[i])
		}
		if Sound(all) != (c.state != Broken) {
			t.Errorf("%s: sound is %v", c.name, Sound(all))
		}
		for _, x := range all {
			if !slices.Contains(Checks, x.Check) {
				t.Errorf("%s: check %q is not among those that the metrics have", c.name, x.Check)
			}
		}
	}
}

func TestKeysThatAreDatedAheadAreSaidToBe(t *testing.T) {
	f := well()
	aged("prefer", 24*time.Hour, -2*time.Hour, -2*time.Hour)(&f)
	if got, want := f.Checked(), "keys are dated 2h ahead: the clock was set back, or is behind"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestADeadDaemonAndTheRefreshThatItOwesAreOneFinding(t *testing.T) {
	f := well()
	f.Daemon, f.Success = Silent, now.Add(-time.Hour)
	var broken []string
	for _, x := range Examine(f) {
		if x.State != Good {
			broken = append(broken, x.Check+": "+x.What)
		}
	}
	want := []string{"daemon: the daemon does not answer; the last good refresh was 1h ago"}
	if !slices.Equal(broken, want) {
		t.Errorf("%q, want %q", broken, want)
	}
}

func TestKeysAreThoseOfPeopleWhoMayLogIn(t *testing.T) {
	a := AgesOf(cache.KeyTables{
		Policy: cache.LoginPolicy{Online: "prefer", MaxStale: time.Hour},
		Users: []cache.UserKeys{
			{Name: "denied", Checked: now.Add(-9 * time.Hour)},
			{Name: "shared", Checked: now.Add(-3 * time.Hour)},
			{Name: "one", Login: true, Checked: now.Add(-2 * time.Hour)},
			{Name: "two", Login: true, Checked: now.Add(-time.Minute)},
			{Name: "three", Login: true, Checked: now},
		},
		Shared: []cache.SharedAccount{{Name: "ops", Members: []string{"shared"}}},
	}, now)
	if a.People != 4 || !a.Oldest.Equal(now.Add(-3*time.Hour)) || !a.Median.Equal(now.Add(-2*time.Hour)) ||
		!slices.Equal(a.Useless, []string{"shared", "one"}) {
		t.Errorf("got %+v", a)
	}
}

func TestOnlyWhatKeepsEverybodyOutStopsLogins(t *testing.T) {
	all := []Finding{{Check: "cache", State: Broken}, {Check: "daemon", State: Broken}, {Check: "logins", State: Broken},
		{Check: "refresh", State: Broken}, {Check: "cache", State: Warning}}
	for online, want := range map[string]int{"prefer": 1, "off": 1, "require": 3} {
		if got := StopsLogins(all, cache.LoginPolicy{Online: online}); len(got) != want {
			t.Errorf("keys.online = %q: %+v", online, got)
		}
	}
}

func TestOfPeopleWithoutKeysTheWordsAreAnswers(t *testing.T) {
	for _, c := range []struct {
		name      string
		change    func(*Facts)
		key, none string
	}{
		{"young ones", func(*Facts) {}, "keys checked 1h ago at most, half of them within 1h; they open nothing from ",
			"answers checked 1h ago at most, half of them within 1h; they let nobody in from "},
		{"old ones", aged("prefer", time.Hour, 2*time.Hour), "the cached keys of 1 of 1 people who may log in open nothing",
			"the cached answers of 1 of 1 people who may log in let nobody in"},
		{"the directory alone decides", func(f *Facts) { f.Policy.Online = "require" },
			`keys.online is "require", so they open nothing`, `keys.online is "require", so they let nobody in`},
	} {
		for keyless, want := range map[bool]string{false: c.key, true: c.none} {
			f := well()
			c.change(&f)
			f.Keyless = keyless
			text := f.Checked()
			for _, x := range Examine(f) {
				if x.Check == "keys" {
					text += "\n" + x.What
				}
			}
			if !strings.Contains(text, want) {
				t.Errorf("%s: got %q, want %q", c.name, text, want)
			}
		}
	}
}

func TestGlibcAndSSHDAreJudgedWhereSetupWasRun(t *testing.T) {
	good := hostsetup.Sight{SetUp: true, NsswitchFile: "/etc/nsswitch.conf", Passwd: true, Group: true, Initgroups: true,
		SSHD: true}
	good.KeysCommand, good.KeysUser = []string{hostsetup.Helper, "%u", "%U"}, hostsetup.HelperUser
	for _, c := range []struct {
		name   string
		change func(*hostsetup.Sight)
		broken string // the check
		shuts  bool   // everybody out
	}{
		{"as setup left it", func(*hostsetup.Sight) {}, "", false},
		{"never set up", func(s *hostsetup.Sight) { *s = hostsetup.Sight{} }, "", false},
		{"set up where there is no sshd", func(s *hostsetup.Sight) { s.SSHD = false }, "", false},
		{"interrupted", func(s *hostsetup.Sight) { s.Interrupted = true }, "setup", false},
		{"no passwd", func(s *hostsetup.Sight) { s.Passwd = false }, "nsswitch", true},
		{"no group", func(s *hostsetup.Sight) { s.Group = false }, "nsswitch", false},
		{"a mistake in nsswitch.conf", func(s *hostsetup.Sight) { s.NsswitchError = errors.New("line 1") }, "nsswitch",
			false},
		{"a mistake in sshd_config", func(s *hostsetup.Sight) { s.SSHDError = errors.New("line 1") }, "sshd", false},
		{"no key command", func(s *hostsetup.Sight) { s.KeysCommand = nil }, "sshd", true},
		{"another key command", func(s *hostsetup.Sight) { s.KeysCommand = []string{"/usr/bin/other"} }, "sshd", true},
		{"another user", func(s *hostsetup.Sight) { s.KeysUser = "root" }, "sshd", false},
		{"an option of a unit", func(s *hostsetup.Sight) { s.InUnit = "ssh.service" }, "sshd", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := well()
			f.Host = good
			c.change(&f.Host)
			all := Examine(f)
			var broken []string
			for _, x := range all {
				if x.State == Broken {
					broken = append(broken, x.Check)
				}
			}
			if got := strings.Join(broken, " "); got != c.broken {
				t.Errorf("broken is %q, want %q", got, c.broken)
			}
			if stops := StopsLogins(all, cache.LoginPolicy{Online: "prefer"}); len(stops) > 0 != c.shuts {
				t.Errorf("it stops logins: %v", stops)
			}
		})
	}
}

func TestARemedyMovesAwayWhatSomebodyEdited(t *testing.T) {
	f := well()
	f.Host = hostsetup.Sight{SetUp: true, NsswitchFile: "/etc/nsswitch.conf", Passwd: true, Group: true, Initgroups: true,
		SSHD: true, Edited: []string{"/etc/ssh/sshd_config.d/10-nss-iam.conf"}}
	for _, x := range Examine(f) {
		if x.Check == "sshd" && x.Fix != "mv /etc/ssh/sshd_config.d/10-nss-iam.conf /root/ && iam-cachefill setup" {
			t.Errorf("%+v", x)
		}
	}
}

func TestSpansAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m1s", 2*time.Hour + 5*time.Minute: "2h5m",
		24 * time.Hour: "24h",
		50 * time.Hour: "2d2h", -time.Minute: "-1m", 59*time.Minute + 59*time.Second: "59m59s",
	} {
		if got := Span(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}

// With a wrong clock a refresh helps only where the directory answers.
func TestKeysThatAreDatedAheadNeedTheClock(t *testing.T) {
	for want, old := range map[string]time.Duration{
		"put the clock right": -2 * time.Hour, "iam-cachefill refresh": 25 * time.Hour,
	} {
		f := well()
		aged("prefer", 24*time.Hour, old)(&f)
		for _, x := range Examine(f) {
			if x.Check == "keys" && !strings.HasPrefix(x.Fix, want) {
				t.Errorf("checked %s ago: got %q, want %q", old, x.Fix, want)
			}
		}
	}
}
