// Package config reads /etc/nss-iam/config.toml. It owns the names of the
// keys, their defaults and their limits, and does nothing with them: it reads
// no other file, asks nobody, and knows no other package of the project.
//
// Every fault of the file is reported, not only the first, each as
//
//	file:line:column: key "x.y": what is wrong; remedy
package config

import (
	"path"
	"strings"
	"time"
)

// DefaultPath is where the configuration is installed.
const DefaultPath = "/etc/nss-iam/config.toml"

// Config is the whole file with defaults filled in.
type Config struct {
	Source   Source
	Publish  Publish
	Login    Login
	Sudo     Sudo
	Accounts Accounts
	IDs      IDs
	Keys     Keys
	Shared   map[string][]string // local account → IAM groups whose members may enter it
	// SharedAllowRoot is the key allow_root of [shared]: without it root is
	// refused as a name in Shared.
	SharedAllowRoot bool
	Removal         Removal
	Metrics         Metrics
	Cache           Cache
}

// A Source says where the directory comes from.
type Source struct {
	Kind        string        // one of Kinds
	Refresh     time.Duration // between refreshes, before jitter
	RefreshSet  bool          // the file says so: it is nobody else's to change
	Rate        float64       // calls a second to the directory at most
	Bulk        bool          // read everything by GetAccountAuthorizationDetails; tags come with it
	Region      string        // "": the instance's own
	Endpoint    string        // "": AWS's
	AssumeRole  string        // the ARN of a role, or ""
	ExternalID  string        // for AssumeRole, or ""
	PathPrefix  string        // begins and ends with a slash; "" is every path
	URL         string        // s3://bucket/key or file:///path; set if and only if Snapshot
	TrustedKeys []string      // as package snapshot reads them; set if and only if URL is

	IdentityStore string // d-…, of KindIdentityCenter; "": the one that is found
}

// Snapshot reports whether the directory is read from a snapshot.
func (s Source) Snapshot() bool { return sourceKind(s.Kind).address != "" }

// Publish says where the daemon writes a signed snapshot of what it read.
type Publish struct {
	URL         string        // s3://bucket/key or file:///path; "": nothing is published
	Key         string        // the private key: an absolute path, or ssm://NAME; set if and only if URL is
	Expires     time.Duration // how long a snapshot is valid
	TrustedKeys []string      // whose snapshots may be replaced, besides this publisher's own
}

// Login says who may log in.
type Login struct {
	Groups    []string // IAM groups
	GroupsTag string   // key of the EC2 instance's tag that holds further groups, or ""
	AllUsers  bool     // every IAM user of Source.PathPrefix
}

// Configured reports whether any login rule is set.
func (l Login) Configured() bool {
	return len(l.Groups) > 0 || l.GroupsTag != "" || l.AllUsers
}

// Sudo says who is in the served group iam-sudo.
type Sudo struct {
	Groups      []string
	GroupsTag   string
	EndSessions bool // of people who lose sudo
}

// Accounts says what the served users and groups look like.
type Accounts struct {
	Shell string
	Home  string // with %u for the login name, %U for the uid, %% for a percent sign
	// "pam": made by pam_mkhomedir; "create": made by the daemon; "none": they are there, or nobody makes them
	Homes                 string
	NameFrom              string // of KindIdentityCenter: "user-name", "nick-name" or "email" becomes the directory name
	StripDomains          []string
	Reserve               []string // further names that nobody is served under
	Lowercase             bool
	PublishGroups         []string          // patterns as path.Match reads them
	MapGroups             map[string]string // IAM group → local group
	AllowPrivilegedGroups []string
	MaxGroups             int    // groups of one user at most, the private one included; 0: no limit
	ExpiresTag            string // key of the IAM user tag that holds the account's end, or ""
}

// HomesFolder is the folder below which all homes lie: what stands before the
// first token of Home.
func (a Accounts) HomesFolder() string {
	var before strings.Builder
	for i := 0; i < len(a.Home); i++ {
		if a.Home[i] == '%' {
			if i++; i == len(a.Home) || a.Home[i] != '%' {
				break
			}
		}
		before.WriteByte(a.Home[i])
	}
	return path.Dir(before.String() + "x")
}

// IDs is the range of uids and gids, and those pinned by hand.
type IDs struct {
	Low, High uint32
	Pin       map[string]uint32 // UserId or GroupId, "iam-users" or "iam-sudo" → uid or gid
}

// Keys is the policy for SSH keys.
type Keys struct {
	Online     string // "prefer", "require" or "off"
	Timeout    time.Duration
	MaxStale   time.Duration // 0: no limit
	MaxAge     time.Duration // 0: no limit
	MinRSABits int
	Types      []string // key types that may open anything, as sshd names them
	TagPrefix  string   // "": no keys from tags
	Options    []string // authorized_keys options of every key, of KeyOptions, or nil
	Chain      []string // a command and its arguments, or nil
	OwnFile    string   // "ignore" or "allow": served users' own authorized_keys
}

// Removal says when a user who is missing in the directory's answers becomes former.
type Removal struct {
	Confirm     int     // consecutive complete answers
	MaxFraction float64 // 0 to 1
	KeepNames   time.Duration
	EndSessions bool // of former users
	EndAtOnce   bool // and of people whose removal is pending
}

// Metrics says where figures for monitoring are written.
type Metrics struct {
	TextFile string // for node_exporter's textfile collector, or ""
}

// Cache is where the served files are.
type Cache struct{ Dir string }

// KeyTypes are the public key types that keys.types may name, all of which
// are allowed where it is not set.
var KeyTypes = []string{
	"ssh-rsa", "ssh-ed25519",
	"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
	"sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
}

// KeyOptions are the authorized_keys options that keys.options may name: those
// that take no value and say only what a session may do.
var KeyOptions = []string{
	"restrict", "agent-forwarding", "no-agent-forwarding", "port-forwarding", "no-port-forwarding",
	"pty", "no-pty", "user-rc", "no-user-rc", "X11-forwarding", "no-X11-forwarding",
	"touch-required", "no-touch-required", "verify-required",
}

// Default returns what an empty file means. It has no login rule.
func Default() Config {
	return Config{
		Source:   Source{Kind: KindIAM, Refresh: sourceKind(KindIAM).refresh, Rate: 5},
		Publish:  Publish{Expires: day},
		Accounts: Accounts{Shell: "/bin/bash", Home: "/home/%u", Homes: "pam", NameFrom: "user-name"},
		IDs:      IDs{Low: 2001000000, High: 2146999999},
		Keys: Keys{
			Online: "prefer", Timeout: 2 * time.Second, MaxStale: day, OwnFile: "ignore",
			MinRSABits: 2048, Types: append([]string(nil), KeyTypes...),
		},
		Removal: Removal{Confirm: 2, MaxFraction: 0.2, KeepNames: 90 * day},
		Cache:   Cache{Dir: "/var/lib/nss-iam"},
	}
}

const (
	day                = 24 * time.Hour
	minRefreshIAM      = 30 * time.Second
	minRefreshSnapshot = time.Second
)

// Bounds of ids.range: below are the ids of the system and of local people,
// above systemd's foreign range (systemd, docs/UIDS-GIDS.md).
const (
	MinID = 65536
	MaxID = 2147352575
)
