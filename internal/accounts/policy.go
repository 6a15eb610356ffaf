package accounts

import (
	"fmt"
	"github.com/nss-iam/nss-iam/internal/directory"
	"strings"
	"time"
)

// The uids and gids that can be served at all. Below are the system's and local
// people's, above are systemd's foreign range and 2³¹ (systemd,
// docs/UIDS-GIDS.md).
const (
	MinID = 65536
	MaxID = 2147352575
)

// A Policy is what the configuration wants, with the groups that stand in the
// instance's tags already among Login and Sudo.
type Policy struct {
	Range Range
	Pins  map[string]uint32 // UserId or GroupId, or the name of a fixed group → uid or gid

	AllUsers      bool     // every user of the directory may log in
	Login         []string // names of directory groups whose members may log in
	Sudo          []string // names of directory groups whose members are in iam-sudo
	LoginTaggedBy string   // key of the instance's tag that names further login groups; "": none
	SudoTaggedBy  string   // the same for Sudo
	tagged        tagged

	Shell        string
	NoLogin      string // the shell of former users
	Home         string // %u, %U and %% as in the configuration
	StripDomains []string
	Lowercase    bool
	Reserve      []string // further names that no user or group is served under

	Publish         []string          // patterns (path.Match) of further groups to serve
	MapGroups       map[string]string // directory group → local group
	AllowPrivileged []string          // root-equivalent local groups that MapGroups may name
	MaxGroups       int               // of one user, the private one included; 0: no limit
	ExpiresTag      string            // key of the user tag with the account's end; "": none

	Shared    map[string][]string // local account → directory groups whose members may enter it
	AllowRoot bool                // Shared may name root

	Confirm     int           // answers without a user before the user is former; below 1 is 1
	MaxFraction float64       // of all users, who may go missing at once
	KeepNames   time.Duration // how long a former uid keeps a name
	// the command with which a person confirms removals; "": iam-cachefill refresh --accept-removals
	Accept string
}

// A tagged is how many of the last names of Login and of Sudo come from tags.
type tagged struct{ login, sudo int }

// from says where the name at i of a list comes from. The last n come from a tag.
func from(i int, list []string, n int, setting, tag string) string {
	if i < len(list)-n {
		return setting
	}
	return fmt.Sprintf("the instance's tag %s (%s_tag)", quoted(tag), setting)
}

// WithTags returns the policy with the groups of the instance's tags added.
func (p Policy) WithTags(login, sudo []string) Policy {
	p.tagged = tagged{len(login), len(sudo)}
	p.Login = append(append([]string(nil), p.Login...), login...)
	p.Sudo = append(append([]string(nil), p.Sudo...), sudo...)
	return p
}

// ParseGroupsTag reads the value of an instance's tag: names of groups of a directory
// of this form with commas between, spaces around them ignored. Spaces within a
// name are a part of it, so that a group whose name has a comma cannot be named. A
// value that names no group, or a name that the directory does not allow, is an
// error: a tag half understood must neither admit nor remove anybody.
func ParseGroupsTag(value string, form directory.Form) ([]string, error) {
	var names []string
	for part := range strings.SplitSeq(value, ",") {
		name := strings.Trim(part, " ")
		if name == "" {
			continue
		}
		if problem := form.GroupProblem(name); problem != "" {
			return nil, fmt.Errorf("read groups tag %+.300q: %+.200q %s; write names of groups with commas between", value,
				name, problem)
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("read groups tag %.300q: it names no group; write names with commas between, or remove the "+
			"key groups_tag", value)
	}
	return names, nil
}

// check refuses a range and paths that package config refuses too: Build does
// not rely on where a policy comes from.
func (p Policy) check() error {
	r := p.Range
	if r.Low < MinID || r.High > MaxID || r.Low > r.High {
		return fmt.Errorf("range %d to %d does not lie in %d to %d", r.Low, r.High, MinID, MaxID)
	}
	if !strings.HasPrefix(p.Shell, "/") || !strings.HasPrefix(p.NoLogin, "/") || !strings.HasPrefix(p.Home, "/") {
		return fmt.Errorf("shell %.200q, nologin shell %.200q and home %.200q must be absolute paths", p.Shell, p.NoLogin,
			p.Home)
	}
	return nil
}
