// Package health decides, from facts that others read, how this host does: who
// can log in, and for how long. Status, doctor, the metrics and their alerts all
// take their word from Examine, so that none says good where another says broken.
// It does no input or output.
package health

import (
	"fmt"
	"time"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/hostsetup"
)

// States of a finding.
const (
	Good    = "good"
	Warning = "warning" // works, or may work, but somebody should look
	Broken  = "broken"  // somebody cannot log in, or should not be able to
)

// Checks are the names of all checks of Examine.
var Checks = []string{"cache", "configuration", "daemon", "keys", "logins", "nsswitch", "publish", "refresh", "setup",
	"snapshot", "sshd", "sweep"}

// A Finding is the result of one check.
type Finding struct {
	Check string // "nsswitch", "sshd", …
	State string
	What  string // a sentence without its full stop
	Why   string `json:",omitempty"` // why it matters; "" where all is good
	Fix   string `json:",omitempty"` // the command, or what to do
	shuts bool   // keeps everybody of the directory out, whatever keys.online says
}

// Daemon says what is known of the daemon.
type Daemon int

// What is known of the daemon.
const (
	NotAsked Daemon = iota // it serves another cache folder, or the caller may not ask
	Answers
	Silent // nobody answers on its socket
)

// Facts are what is known of a host without asking the directory.
type Facts struct {
	Now time.Time

	NotConfigured bool // nobody may log in, and nothing is published
	ServesNobody  bool // it publishes a snapshot, and has no cache files of its own
	ConfigError   string

	Daemon        Daemon
	UnitInstalled bool // systemd has a unit of the daemon, so that it should run

	Host hostsetup.Sight // as Watch tells it; judged where setup changed the host
	Wish Wish

	NSSError, KeysError string // why the file cannot be served from; "" if it can
	Unserved            bool   // neither file is there
	Keys                Ages   // of keys.db
	Policy              cache.LoginPolicy
	Keyless             bool // the directory holds no keys: what is cached is whether people may come in

	Refresh     time.Duration // the time between refreshes, as the daemon keeps it
	Known       bool          // of the last refresh
	Success     time.Time     // when the last good one began; zero: never
	LastError   string        // why the last refresh failed
	PublishOf   string        // where a snapshot is published to; "" if none is
	Unpublished string        // why the last publication failed
	Snapshot    string        // what snapshot is read; "" if none is
	Expired     time.Time     // when that snapshot expired; zero if it did not

	Slow       string // why the sweep cannot keep cached keys young enough; "" if it can
	SlowRemedy string
	LoginError string // why the directory could not be asked at the last login
	SweepError string // why the last sweep over keys ended early
	// SweepFailing is since when sweeps fail; zero while they do not.
	SweepFailing time.Time
	Trials       []Trial
}

// A Trial is a question that logins need answered, and why it was not.
type Trial struct {
	What  string
	Error string // "" if it was answered
}

// Answered reports whether no question failed.
func Answered(trials []Trial) bool {
	for _, t := range trials {
		if t.Error != "" {
			return false
		}
	}
	return true
}

// Examine judges each fact. It has a finding for what is good, too.
func Examine(f Facts) []Finding {
	e := examination{Facts: f}
	e.config()
	e.daemon()
	e.files()
	e.keys()
	e.sweep()
	e.logins()
	e.refresh()
	e.snapshots()
	if e.Host.SetUp {
		e.findings = append(e.findings, Movable(Edits(e.Host, e.Wish), e.Host.Edited)...)
	}
	return e.findings
}

// Sound reports whether nothing is broken.
func Sound(findings []Finding) bool {
	for _, f := range findings {
		if f.State == Broken {
			return false
		}
	}
	return true
}

// StopsLogins are the findings that keep everybody out, whatever rights a person
// has: policy is keys.db's.
func StopsLogins(findings []Finding, policy cache.LoginPolicy) (all []Finding) {
	for _, f := range findings {
		asked := f.Check == "daemon" || f.Check == "logins" // matters where the cache does not answer instead
		if f.shuts || f.State == Broken && (f.Check == "cache" || asked && policy.Online == "require") {
			all = append(all, f)
		}
	}
	return all
}

type examination struct {
	Facts
	findings []Finding
}

func (e *examination) good(check, what string) { e.add(Good, check, what, "", "") }

func (e *examination) add(state, check, what, why, fix string) {
	e.findings = append(e.findings, Finding{Check: check, State: state, What: what, Why: why, Fix: fix})
}

// shut adds a finding that keeps everybody of the directory out.
func (e *examination) shut(check, what, why, fix string) {
	e.add(Broken, check, what, why, fix)
	e.findings[len(e.findings)-1].shuts = true
}

func (e *examination) config() {
	switch {
	case e.ConfigError != "":
		e.add(Broken, "configuration", e.ConfigError, "the daemon keeps the previous configuration, and does not start "+
			"with this one", "iam-cachefill check-config")
	case e.NotConfigured:
		fix := "set [login] groups in " + e.Wish.ConfigFile
		if e.Daemon == Answers {
			fix += ", then systemctl reload nss-iam"
		}
		e.add(Broken, "configuration", "no login rule is set", "nobody is served", fix)
	}
}

func (e *examination) daemon() {
	const fix = "systemctl enable --now nss-iam; journalctl -u nss-iam"
	switch {
	case e.Daemon == Answers:
		e.good("daemon", "the daemon answers")
	case e.Daemon == Silent && e.UnitInstalled:
		what := "the daemon does not answer"
		if e.overdue() {
			what += fmt.Sprintf("; the last good refresh was %s ago", Span(e.Now.Sub(e.Success)))
		}
		e.add(Broken, "daemon", what, "nothing is refreshed, and cached keys grow too old", fix)
	case e.Daemon == Silent:
		e.add(Warning, "daemon", "no daemon runs, and no unit of it is installed",
			"something else must run \"iam-cachefill refresh\"", fix)
	}
}

func (e *examination) files() {
	if e.ServesNobody || e.NotConfigured {
		return
	}
	if e.Unserved { // a configuration that is wrong and a refresh that failed are why, and are said themselves
		if e.ConfigError == "" && e.LastError == "" {
			e.shut("cache", "nothing is served: neither nss.db nor keys.db is there",
				"no program knows a user of the directory", "iam-cachefill refresh")
		}
		return
	}
	const fix = "iam-cachefill refresh; if that fails, it says why"
	if e.NSSError != "" {
		e.add(Broken, "cache", "nss.db cannot be served from: "+e.NSSError, "no program knows a user of the directory", fix)
	}
	if e.KeysError != "" {
		e.add(Broken, "cache", "keys.db cannot be served from: "+e.KeysError, "nobody's cached keys are known", fix)
	}
}

func (e *examination) sweep() {
	if e.SweepError != "" {
		state := Warning // a moment of throttling for one
		if e.Now.Sub(e.SweepFailing) > e.Refresh {
			state = Broken
		}
		e.add(state, "sweep", fmt.Sprintf("keys are not looked at since %s ago: %s", Span(e.Now.Sub(e.SweepFailing)),
			e.SweepError),
			"cached keys grow too old, and then open nothing", "the message names what is missing; then iam-cachefill refresh")
	}
	if e.Slow != "" {
		e.add(Warning, "sweep", e.Slow, "while the directory cannot be asked, keys that are too old open nothing",
			e.SlowRemedy)
	}
}

func (e *examination) logins() {
	const why = "logins fall back to what is cached, or are refused, as keys.online says"
	failed := false
	for _, t := range e.Trials {
		if t.Error != "" {
			failed = true
			e.add(Broken, "logins", fmt.Sprintf("%s: %s", t.What, t.Error), why,
				"the message names what is missing; iam-cachefill doctor tries it again")
		}
	}
	if e.LoginError != "" && !failed {
		e.add(Broken, "logins", "the directory could not be asked at the last login: "+e.LoginError, why,
			"iam-cachefill doctor")
	}
}

func (e *examination) refresh() {
	const why = "what is served grows old"
	if e.NotConfigured || e.Unserved && e.LastError == "" {
		return
	}
	switch age := e.Now.Sub(e.Success); {
	case e.LastError != "" && e.Unserved:
		e.shut("refresh", "the last refresh failed: "+e.LastError, "nothing is served: no program knows a user of the "+
			"directory", "the message names what is missing; then iam-cachefill refresh")
	case e.LastError != "":
		e.add(Broken, "refresh", "the last refresh failed: "+e.LastError, why,
			"the message names what is missing; then iam-cachefill refresh")
	case !e.Known && e.Success.IsZero():
		e.add(Warning, "refresh", "no refresh since the host started is known", "what is served may be old",
			"iam-cachefill refresh")
	case e.Success.IsZero():
		e.add(Broken, "refresh", "no refresh was ever good", "nobody is served",
			"systemctl status nss-iam; iam-cachefill refresh")
	case e.overdue() && e.Daemon == Silent && e.UnitInstalled: // one cause, said by the check of the daemon
	case e.overdue():
		e.add(Broken, "refresh", fmt.Sprintf("the last good refresh was %s ago, and one is due every %s", Span(age),
			Span(e.Refresh)), why, "systemctl status nss-iam")
	default:
		e.good("refresh", fmt.Sprintf("refreshed %s ago", Span(age)))
	}
}

// overdue reports whether there was a good refresh, and another is long due.
func (e *examination) overdue() bool {
	return !e.Success.IsZero() && e.Refresh > 0 && e.Now.Sub(e.Success) > Overdue(e.Refresh)
}

// Overdue is the greatest age of the last good refresh at which all is well, if
// refreshes come at this interval. However rare they are, that none was tried for
// hours is a fault.
func Overdue(interval time.Duration) time.Duration { return interval + min(2*interval, 2*time.Hour) }

func (e *examination) snapshots() {
	if !e.Expired.IsZero() {
		e.add(Broken, "snapshot", fmt.Sprintf("%s expired %s ago; it is still served", e.Snapshot,
			Span(e.Now.Sub(e.Expired))),
			"changes in the directory do not reach this host", "see why its publisher is silent: iam-cachefill status there")
	}
	if e.Unpublished != "" {
		e.add(Broken, "publish", fmt.Sprintf("%s is not written: %s", e.PublishOf, e.Unpublished),
			"hosts keep the snapshot before, until its keys grow too old", "iam-cachefill publish")
	}
}
