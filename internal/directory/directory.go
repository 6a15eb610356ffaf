// Package directory holds what a directory says, as plain values: users, groups,
// memberships and public keys. It knows neither where they came from nor what
// becomes of them, and does no I/O.
package directory

import (
	"slices"
	"strings"
	"time"
)

// A Directory is one complete answer: a source returns either all that
// was asked for or an error, never a part.
type Directory struct {
	Account string  // the twelve-digit AWS account number; "" if unknown
	Store   Store   `json:",omitzero"` // of IAM Identity Center; zero for IAM
	Users   []User  // ascending by ID
	Groups  []Group // ascending by ID
	// Missing are names of groups that were asked for and that the directory
	// says do not exist, ascending. It is an answer, not an outage.
	Missing []string `json:",omitempty"`
	// Refused are users that the source leaves out because the directory does not
	// say enough of them, ascending by ID. Nobody else suffers from it.
	Refused []Refusal `json:",omitempty"`
	// Others are users and groups of the same account that were not asked for.
	// They are not served, and claim their ids all the same.
	Others []Claimant `json:",omitempty"`
	// Whole says that nobody of the account is missing from Users, Groups and
	// Others together.
	Whole bool `json:",omitempty"`
}

// A Store is the Identity Store that a directory was read from. It holds no SSH
// keys.
type Store struct {
	ID     string `json:"id"`     // d-…
	Region string `json:"region"` // the home region of Identity Center
	// NameFrom is the attribute that became the directory names: "user-name",
	// "nick-name" or "email"; "" where a release before did not say.
	NameFrom string `json:"name_from,omitempty"`
}

// Keyless reports whether the directory holds no SSH keys of anybody.
func (d Directory) Keyless() bool { return d.Store != Store{} }

// Title is what people call the directory.
func (d Directory) Title() string {
	if d.Store != (Store{}) {
		return StoreForm.directory
	}
	return IAMForm.directory
}

// A Claimant is a user or group as far as its id and seniority go.
type Claimant struct {
	ID      string
	Group   bool `json:",omitempty"`
	Name    string
	Created time.Time
}

// WithOthers returns the directory with all of these claimants who are not
// users or groups of it as Others.
func (d Directory) WithOthers(all []Claimant, whole bool) Directory {
	d.Others, d.Whole = nil, whole
	for _, c := range all {
		_, known := d.User(c.ID)
		if c.Group {
			_, known = d.Group(c.ID)
		}
		if !known {
			d.Others = append(d.Others, c)
		}
	}
	slices.SortFunc(d.Others, func(a, b Claimant) int { return strings.Compare(a.ID, b.ID) })
	return d
}

// Claimants returns everybody of the directory as claimants of ids.
func (d Directory) Claimants() []Claimant {
	all := make([]Claimant, 0, len(d.Users)+len(d.Groups)+len(d.Others))
	for _, u := range d.Users {
		all = append(all, Claimant{ID: u.ID, Name: u.Name, Created: u.Created})
	}
	for _, g := range d.Groups {
		all = append(all, Claimant{ID: g.ID, Group: true, Name: g.Name, Created: g.Created})
	}
	return append(all, d.Others...)
}

// A User is a user of the directory.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_User.html
// https://docs.aws.amazon.com/singlesignon/latest/IdentityStoreAPIReference/API_User.html
type User struct {
	ID string // unique for ever, AIDA… or a UUID; a user created again under the same name has another
	// Name is, in IAM, 1 to 64 of [A-Za-z0-9_+=,.@-], unique without regard to
	// case. In Identity Center it is the attribute that accounts.name_from names,
	// up to 128 characters.
	Name     string
	Path     string
	Created  time.Time         // zero where the directory does not say
	Disabled bool              `json:",omitempty"` // the directory suspends the user: seen, and without rights
	Tags     map[string]string // nil where the source does not read tags
}

// A Group is a group of the directory with its members.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_Group.html
// https://docs.aws.amazon.com/singlesignon/latest/IdentityStoreAPIReference/API_Group.html
type Group struct {
	ID      string // unique for ever, AGPA… or a UUID
	Name    string // in IAM as a user's, up to 128; in Identity Center up to 1,024 characters, spaces too
	Path    string
	Created time.Time
	Members []string // user IDs, ascending; every one is in Directory.Users
}

// A Key is an SSH public key as the directory holds it. Its body is whatever was
// uploaded and is not to be trusted: package keys parses it.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_SSHPublicKey.html
type Key struct {
	ID       string // APKA…, unique for ever; the body under an ID never changes
	Active   bool
	Uploaded time.Time
	Body     string
}
