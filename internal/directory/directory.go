// Package directory holds what IAM says, as plain values: users, groups,
// memberships and public keys. It knows neither where they came from nor what
// becomes of them, and does no I/O.
package directory

import "time"

// A Directory is one complete answer: whoever fills it returns either all that
// was asked for or an error, never a part.
type Directory struct {
	Account string  // the twelve-digit AWS account number; "" if unknown
	Users   []User  // ascending by ID
	Groups  []Group // ascending by ID
	// Missing are names of groups that were asked for and that the directory
	// says do not exist, ascending. It is an answer, not an outage.
	Missing []string `json:",omitempty"`
}

// A User is an IAM user.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_User.html
type User struct {
	ID      string // unique for ever, AIDA…; a user created again under the same name has another
	Name    string // 1 to 64 of [A-Za-z0-9_+=,.@-], unique without regard to case
	Path    string
	Created time.Time
	Tags    map[string]string // nil where the source does not read tags
}

// A Group is an IAM group with its members.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_Group.html
type Group struct {
	ID      string // unique for ever, AGPA…
	Name    string // 1 to 128 of [A-Za-z0-9_+=,.@-], unique without regard to case
	Path    string
	Created time.Time
	Members []string // user IDs, ascending; every one is in Directory.Users
}

// A Key is an SSH public key as IAM holds it. Its body is whatever was
// uploaded and is not to be trusted: package keys parses it.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_SSHPublicKey.html
type Key struct {
	ID       string // APKA…, unique for ever; the body under an ID never changes
	Active   bool
	Uploaded time.Time
	Body     string
}
