package directory

import "time"

// An Answer is one complete answer of a Source. What follows Directory and
// AsOf is for sources that repeat an answer, as a snapshot is repeated until
// the next one is published.
type Answer struct {
	Directory Directory
	AsOf      time.Time // when the directory was asked; zero: just now

	Origin Origin // names the answer; zero for a source whose every answer is new
	// Unchanged says that this is the answer that Query.Known or Query.Refused
	// names. Nothing but Origin is filled in.
	Unchanged bool

	Pins   map[string]uint32 // as ids.pin, which takes precedence
	Former []Former          // ascending by ID
	// Listings are the keys of everybody whose keys are known, by user id. If
	// it is not nil, the source has no other keys: there is nothing to sweep.
	Listings map[string]KeyListing
}

// An Origin names one answer of a source that repeats itself.
type Origin struct {
	Address    string
	Account    string
	Generation uint64 // grows with every answer of this address
	Store      Store  `json:",omitzero"`  // of what was published, where it is of Identity Center
	Digest     string `json:",omitempty"` // of what was signed; "": kept by a release that did not know
}

// A Former is a user who is no longer in the directory, so that a host that
// never saw the user can still name the uid. The uid follows from ID, the login
// name from Name by the host's own rules.
type Former struct {
	ID    string
	Name  string    // the directory name last seen
	Since time.Time `json:"Left"` // when the user became former; state.db has the name of version 0.1.0
}

// A KeyListing is which keys one user has.
type KeyListing struct {
	Checked time.Time         // when the directory was asked; keys.max_stale counts from here
	Keys    []Key             // ascending by ID; Body is "" for an inactive key that was never fetched
	Tags    map[string]string `json:",omitempty"` // those of the user's tags that may hold keys
}
