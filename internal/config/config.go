// Package config reads /etc/nss-iam/config.toml. It owns the names of the
// keys, their defaults and their limits, and does nothing with them.
package config

import "time"

// Config is the whole file with defaults filled in.
type Config struct {
	Source   Source
	Login    Login
	Sudo     Sudo
	Accounts Accounts
	IDs      IDs
	Keys     Keys
	Shared   map[string][]string // local account → IAM groups whose members may enter it
	Removal  Removal
	Cache    Cache
}

type Source struct {
	Kind        string // "iam", "s3" or "file"
	Refresh     time.Duration
	Region      string
	Endpoint    string
	AssumeRole  string
	ExternalID  string
	PathPrefix  string
	URL         string
	TrustedKeys []string
}

type Login struct {
	Groups    []string
	GroupsTag string
	AllUsers  bool
}

type Sudo struct {
	Groups    []string
	GroupsTag string
}

type Accounts struct {
	Shell                 string
	Home                  string
	StripDomains          []string
	Lowercase             bool
	PublishGroups         []string
	MapGroups             map[string]string
	AllowPrivilegedGroups []string
}

type IDs struct {
	Low, High uint32
	Pin       map[string]uint32
}

type Keys struct {
	Online     string // "prefer", "require" or "off"
	Timeout    time.Duration
	MaxStale   time.Duration // 0: no limit
	MaxAge     time.Duration // 0: no limit
	MinRSABits int
	TagPrefix  string
	Chain      []string
}

type Removal struct {
	Confirm     int
	MaxFraction float64
	KeepNames   time.Duration
	EndSessions bool
}

type Cache struct{ Dir string }
