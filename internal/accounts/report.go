package accounts

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// A Reason is a word for why somebody or something is not served. The words
// are stable: metrics count by them.
type Reason string

// The reasons, in the order in which they are looked for.
const (
	IAMName      Reason = "iam-name"      // the name is none that IAM gives
	NoLogin      Reason = "no-login"      // in no login group; not reported
	Expired      Reason = "expired"       // the tag's end has come
	ExpiresTag   Reason = "expires-tag"   // the tag cannot be read as a date
	NameInvalid  Reason = "name-invalid"  // no Unix name
	NameReserved Reason = "name-reserved" // a name with a meaning of its own
	NameTaken    Reason = "name-taken"    // an older user, or a group, has the Unix name
	PinRefused   Reason = "pin-refused"   // the pin is out of range, double or somebody's number
	NumberTaken  Reason = "number-taken"  // an older principal has the number
	HostName     Reason = "host-name"     // the host has the name
	HostNumber   Reason = "host-number"   // the host has the number
	Remembered   Reason = "remembered"    // the host still remembers another under number or name
	GroupsLeft   Reason = "groups-left"   // served, but not in all groups (max_groups)
	LocalGroup   Reason = "local-group"   // map_groups names a group that is not there, or privileged
	LocalAccount Reason = "local-account" // [shared] names an account that is not there, or root's
)

// A Finding is one thing that is not as somebody might expect.
type Finding struct {
	Kind   string // "user", "group", "pin", "map_groups" or "shared"
	ID     string // the principal's, or the key of the setting
	Name   string // the IAM name: IAM's, not to be trusted
	Number uint32 `json:",omitempty"`
	Reason Reason
	Detail string // ASCII, with foreign text quoted
	Remedy string
}

func (f Finding) String() string {
	s := fmt.Sprintf("%s %s (%s): %s", f.Kind, quoted(f.Name), f.ID, f.Detail)
	if f.Remedy != "" {
		s += "; " + f.Remedy
	}
	return s
}

// Count counts findings by reason.
func Count(findings []Finding) map[Reason]int {
	counts := map[Reason]int{}
	for _, f := range findings {
		counts[f.Reason]++
	}
	return counts
}

// ErrUnknownGroup is in the error of Build where the policy names an IAM group
// that is not in the directory. That is never read as an empty group.
var ErrUnknownGroup = errors.New("no such IAM group")

// ErrRemovals is in the error of Build where too many users would be removed.
var ErrRemovals = errors.New("too many users would be removed")

// A RemovalError says how many users an answer of IAM would remove. It wraps
// ErrRemovals.
type RemovalError struct {
	Lost, Of    int      // users missing, of so many served
	MaxFraction float64  // the policy's
	Empty       bool     // nobody at all would be left
	Names       []string // Unix names of some of those missing
	Command     string   // Policy.Accept
}

func (e *RemovalError) Error() string {
	accept := fmt.Sprintf("if that is meant, run %q; the previous state is kept", cmp.Or(e.Command, "iam-cachefill refresh --accept-removals"))
	if e.Empty && e.Of == 0 {
		return "refuse an answer without any user; " + accept
	}
	who := ""
	if len(e.Names) > 0 {
		who = " (" + strings.Join(e.Names, ", ")
		if len(e.Names) < e.Lost {
			who += ", …"
		}
		who += ")"
	}
	if e.Empty {
		return fmt.Sprintf("refuse to remove all %d users%s: nobody may log in by this answer; %s", e.Of, who, accept)
	}
	return fmt.Sprintf("refuse to remove %d of %d users at once%s: removal.max_fraction is %v; %s", e.Lost, e.Of, who, e.MaxFraction, accept)
}

// Unwrap lets errors.Is find ErrRemovals.
func (e *RemovalError) Unwrap() error { return ErrRemovals }

// quoted shows foreign text in one line of plain ASCII.
func quoted(s string) string {
	const most = 200
	if len(s) > most {
		return fmt.Sprintf("%+q…", s[:most])
	}
	return fmt.Sprintf("%+q", s)
}
