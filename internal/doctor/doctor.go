// Package doctor looks at everything that a login of a user of the directory needs on this
// host and says what is wrong, why it matters and which command fixes it. It
// changes nothing, and loads no NSS module: getent is asked in a process of
// its own.
package doctor

import (
	"context"

	"github.com/nss-iam/nss-iam/internal/health"
	"github.com/nss-iam/nss-iam/internal/hostsetup"
)

// States of a finding.
const (
	Good    = health.Good
	Warning = health.Warning
	Broken  = health.Broken
)

// A Finding is the result of one check.
type Finding = health.Finding

// An Attempt is one thing tried with AWS. The error names what is missing.
type Attempt struct {
	What string
	Err  error
}

// A Fault is something that the last refresh found, and what to do about it.
type Fault struct{ What, Remedy string }

// A Served is some user who is served, if there is one.
type Served struct {
	Name string // or ""
	UID  uint32
}

// An Input is a host and what the caller knows of it.
type Input struct {
	Host          *hostsetup.Host
	ConfigFile    string
	ConfigError   error // why it is unreadable, or says that nobody may log in
	CacheDir      string
	CacheMayLack  bool     // the first refresh makes it
	HelperGID     int      // group of keys.db, or -1
	HomesByPAM    bool     // accounts.homes is "pam"
	HomesFolder   string   // where the daemon makes homes: accounts.homes is "create"; or ""
	Homeless      []string // served users whose home is not there
	OwnKeys       []string // served users who have an authorized_keys file of their own
	AllowOwn      bool     // keys.own_file is "allow"
	Sudo          bool     // members of iam-sudo may use sudo
	ForeignHomes  []Fault  // homes that another uid owns, as the last refresh found them
	Directory     []Fault  // what of the last answer is not served, and whose keys the directory refuses
	LocalFiles    []Fault  // what the host's own files take from people, or take of ours, as the last refresh found it
	LowID, HighID uint32   // the range of directory users' uids and gids; 0, 0: not known
	Served        Served
	Health        []Finding // what package health says of the host
	Chain         []string  // keys.chain
	Keyless       *Keyless  // the directory holds no key of anybody; nil: it does, or is not known
	Snapshot      string    // the file that users are read from: source.kind is "file"; or ""
	// AWS tries what the configuration needs of AWS; nil where nobody is asked.
	AWS func(ctx context.Context) []Attempt
}

// Examine runs every check. It has one finding for each cause, always in the same order.
func Examine(ctx context.Context, p Input) []Finding {
	e := examination{Input: p}
	e.configuration()
	e.files()
	e.library(ctx)
	e.host(ctx)
	e.findings = append(e.findings, e.Health...)
	e.faults("homes", "start-up files in another user's folder would run as this user", e.ForeignHomes)
	e.faults("directory", "the last answer is served in part", e.Directory)
	e.faults("local files", "what the host's own files define always wins", e.LocalFiles)
	e.snapshot()
	e.keyless(ctx)
	e.hybridNode()
	e.subids()
	e.lastlog()
	e.aws(ctx)
	e.clock(ctx)
	e.selinux(ctx)
	e.denials(ctx)
	return health.Movable(causes(e.findings), e.edited)
}

// Sound reports whether nothing is broken.
func Sound(findings []Finding) bool { return health.Sound(findings) }

// An examination collects findings.
type examination struct {
	Input
	edited   []string // files of setup's that somebody edited
	userCAs  string   // whose certificates sshd trusts for served users; "" where that is not known
	findings []Finding
}

func (e *examination) good(check, what string) {
	e.findings = append(e.findings, Finding{Check: check, State: Good, What: what})
}

func (e *examination) add(state, check, what, why, fix string) {
	e.findings = append(e.findings, Finding{Check: check, State: state, What: what, Why: why, Fix: fix})
}
