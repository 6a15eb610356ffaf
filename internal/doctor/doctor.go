// Package doctor looks at everything that a login of an IAM user needs on this
// host and says what is wrong, why it matters and which command fixes it. It
// changes nothing, and loads no NSS module: getent is asked in a process of
// its own.
package doctor

import (
	"context"
	"time"

	"github.com/nss-iam/nss-iam/internal/hostsetup"
)

// States of a finding.
const (
	Good    = "good"
	Warning = "warning" // works, or may work, but somebody should look
	Broken  = "broken"  // somebody cannot log in, or should not be able to
)

// A Finding is the result of one check.
type Finding struct {
	Check string // "nsswitch", "sshd", …
	State string
	What  string // a sentence without its full stop
	Why   string `json:",omitempty"` // why it matters; "" where all is good
	Fix   string `json:",omitempty"` // the command, or what to do
}

// An Attempt is one thing tried with AWS. The error names what is missing.
type Attempt struct {
	What string
	Err  error
}

// A Fault is something that the last refresh found, and what to do about it.
type Fault struct{ What, Remedy string }

// A Served is what the caller read of the served files.
type Served struct {
	NSSError, KeysError string
	Name                string // of some served user, or ""
	UID                 uint32
	Success             time.Time     // of the last good refresh; zero where none is known
	Refresh             time.Duration // the configured time between refreshes
	LastError           string        // of the last refresh
	Daemon              bool          // it answers
	Stale, StaleMend    string        // why cached keys grow too old though all is well; "" where they do not
}

// An Input is a host and what the caller knows of it.
type Input struct {
	Host         *hostsetup.Host
	ConfigFile   string
	ConfigError  error // why it is unreadable, or says that nobody may log in
	CacheDir     string
	HelperGID    int      // group of keys.db, or -1
	HomesByPAM   bool     // accounts.homes is "pam"
	HomesFolder  string   // where the daemon makes homes: accounts.homes is "create"; or ""
	Homeless     []string // served users whose home is not there
	OwnKeys      []string // served users who have an authorized_keys file of their own
	AllowOwn     bool     // keys.own_file is "allow"
	Sudo         bool     // members of iam-sudo may use sudo
	ForeignHomes []Fault  // homes that another uid owns, as the last refresh found them
	LocalFiles   []Fault  // what the host's own files take from people, or take of ours, as the last refresh found it
	Served       Served
	Snapshot     string // the file that users are read from: source.kind is "file"; or ""
	// AWS tries what the configuration needs of AWS; nil where nobody is asked.
	AWS func(ctx context.Context) []Attempt
	Now time.Time
}

// Examine runs every check.
func Examine(ctx context.Context, p Input) []Finding {
	e := examination{Input: p}
	e.configuration()
	e.files()
	e.library(ctx)
	e.host(ctx)
	e.served()
	e.foreignHomes()
	e.localFiles()
	e.snapshot()
	e.aws(ctx)
	e.clock(ctx)
	e.denials(ctx)
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

// An examination collects findings.
type examination struct {
	Input
	findings []Finding
}

func (e *examination) good(check, what string) {
	e.findings = append(e.findings, Finding{Check: check, State: Good, What: what})
}

func (e *examination) add(state, check, what, why, mend string) {
	e.findings = append(e.findings, Finding{check, state, what, why, mend})
}
