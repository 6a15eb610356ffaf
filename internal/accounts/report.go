package accounts

import (
	"errors"
	"fmt"
)

// A Reason is a word for why somebody or something is not served. The words
// are stable: metrics count by them.
type Reason string

// The reasons, in the order in which they are looked for.
const (
	BadDirectoryName Reason = "directory-name"  // no directory gives such a name
	NoLogin          Reason = "no-login"        // in no login group; not reported
	Disabled         Reason = "disabled"        // suspended by the directory; not reported
	Expired          Reason = "expired"         // the tag's end has come
	ExpiresTag       Reason = "expires-tag"     // the tag cannot be read as a date
	NameInvalid      Reason = "name-invalid"    // no Unix name
	NameReserved     Reason = "name-reserved"   // a name with a meaning of its own
	NameTaken        Reason = "name-taken"      // an older user, or a group, has the Unix name
	PinRefused       Reason = "pin-refused"     // the pin is out of range, double or somebody's uid or gid
	IDTaken          Reason = "id-taken"        // an older principal has the uid or gid
	HostName         Reason = "host-name"       // the host has the name
	HostID           Reason = "host-id"         // the host has the uid or gid
	HeldByHistory    Reason = "history"         // the history still has another under the name or id
	TooManyGroups    Reason = "too-many-groups" // served, but not in all groups (max_groups)
	LocalGroup       Reason = "local-group"     // map_groups names a group that is not there, or privileged
	LocalAccount     Reason = "local-account"   // [shared] names an account that is not there, or root's

	// served, under a name that was another's and that local files grant something
	NameHandedOver Reason = "name-handed-over"
	HomeTaken      Reason = "home-taken" // served with another home: another uid owns the usual folder

	GroupMissing   Reason = "group-missing"   // the policy names a known group that does not exist any more
	GroupRecreated Reason = "group-recreated" // a known group's name belongs to another GroupId
	LeftOut        Reason = "left-out"        // the directory does not say enough about a member of a group
	LocalUse       Reason = "local-use"       // a local account has a served group as its primary group
	KeysRefused    Reason = "keys-refused"    // the directory does not answer about the user's keys
	RemovalsHeld   Reason = "removals-held"   // too many are pending removal to make them former
)

// A Finding is one thing that is not as somebody might expect.
type Finding struct {
	Kind          string // "user", "group", "pin", "map_groups" or "shared"
	ID            string // the principal's, or the key of the setting
	DirectoryName string // not to be trusted
	UnixID        uint32 `json:",omitempty"` // uid or gid
	Reason        Reason
	Detail        string // ASCII, with foreign text quoted
	Remedy        string
}

func (f Finding) String() string {
	s := fmt.Sprintf("%s %s (%s): %s", f.Kind, quoted(f.DirectoryName), f.ID, f.Detail)
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

// ErrUnknownGroup is in the error of Build where the policy names a group that
// no answer ever held. That is never read as an empty group.
var ErrUnknownGroup = errors.New("no such group in the directory")

// quoted shows foreign text in one line of plain ASCII.
func quoted(s string) string {
	const most = 200
	if len(s) > most {
		return fmt.Sprintf("%+q…", s[:most])
	}
	return fmt.Sprintf("%+q", s)
}

// ascii is a name as part of a command to type, or NAME if it is no plain name.
func ascii(name string) string {
	if nameProblem(name) != "" {
		return "NAME"
	}
	return name
}
