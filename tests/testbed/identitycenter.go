package testbed

import (
	"net/http"
	"slices"
)

// An IdentityStore is the people and groups of IAM Identity Center, as
// tests/emulator has them. Ids are chosen where they are empty.
type IdentityStore struct {
	ID        string        `json:"id,omitempty"`
	People    []Person      `json:"people"`
	Groups    []PeopleGroup `json:"groups"`
	KeyDenied bool          `json:"key_denied,omitempty"` // the store's KMS key refuses every reader
}

// A Person is a user of the Identity Store, who has no keys.
type Person struct {
	ID       string   `json:"id,omitempty"`
	UserName string   `json:"user_name"`
	NickName string   `json:"nick_name,omitempty"`
	Emails   []string `json:"emails,omitempty"`
	Status   string   `json:"status,omitempty"` // ENABLED, DISABLED, or "" where the store does not say
	Groups   []string `json:"groups,omitempty"`
}

// A PeopleGroup is a group of the Identity Store.
type PeopleGroup struct {
	ID   string   `json:"id,omitempty"`
	Name string   `json:"name"`
	Gone []string `json:"gone,omitempty"` // ids of members who are no longer there
}

// SetFaults has the account spoil calls as tests/emulator says; without any, it is
// well again.
func (iam *IAM) SetFaults(faults ...map[string]any) {
	iam.h.t.Helper()
	if len(faults) == 0 {
		iam.Do(http.MethodDelete, "faults", nil, nil)
		return
	}
	iam.Do(http.MethodPut, "faults", faults, nil)
}

// SetPeople replaces everybody in the account's Identity Store.
func (iam *IAM) SetPeople(s IdentityStore) {
	iam.h.t.Helper()
	iam.Do(http.MethodPut, "identity-store", s, nil)
}

// ChangePerson changes one person of the Identity Store.
func (iam *IAM) ChangePerson(userName string, change func(*Person)) {
	iam.h.t.Helper()
	var s IdentityStore
	iam.Do(http.MethodGet, "identity-store", nil, &s)
	i := slices.IndexFunc(s.People, func(p Person) bool { return p.UserName == userName })
	if i < 0 {
		iam.h.t.Fatalf("the Identity Store has no person %q", userName)
	}
	change(&s.People[i])
	iam.SetPeople(s)
}

// PeopleSource is the [source] section of a config.toml that reads the account's
// Identity Store.
func (iam *IAM) PeopleSource() string {
	return "[source]\nkind = \"identity-center\"\nregion = \"us-east-1\"\nendpoint = \"" + iam.URL + "\"\nrate = 20\n"
}
