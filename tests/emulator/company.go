package emulator

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// A Company is the contents of an account, as seed files have it.
type Company struct {
	Account string  `json:"account,omitempty" toml:"account"`
	Groups  []Group `json:"groups,omitempty" toml:"groups"`
	Users   []User  `json:"users,omitempty" toml:"users"`
}

// A User is an IAM user. ID and Created are chosen where they are empty.
type User struct {
	ID      string            `json:"id,omitempty" toml:"id"`
	Name    string            `json:"name" toml:"name"`
	Path    string            `json:"path,omitempty" toml:"path"`
	Created time.Time         `json:"created,omitzero" toml:"created"`
	Groups  []string          `json:"groups,omitempty" toml:"groups"`
	Keys    []Key             `json:"keys,omitempty" toml:"keys"`
	Tags    map[string]string `json:"tags,omitempty" toml:"tags"`
}

// A Group is an IAM group. ID and Created are chosen where they are empty.
type Group struct {
	ID      string    `json:"id,omitempty" toml:"id"`
	Name    string    `json:"name" toml:"name"`
	Path    string    `json:"path,omitempty" toml:"path"`
	Created time.Time `json:"created,omitzero" toml:"created"`
}

// A Key is an SSH public key. A seed's bodies are taken as they are, so that
// tests can plant what IAM would refuse at upload.
type Key struct {
	ID       string    `json:"id,omitempty" toml:"id"`
	Body     string    `json:"body" toml:"body"`
	Status   string    `json:"status,omitempty" toml:"status"` // Active when empty
	Uploaded time.Time `json:"uploaded,omitzero" toml:"uploaded"`
}

// ReadCompany reads a seed file: TOML, or JSON if its name ends in .json.
func ReadCompany(name string) (c Company, err error) {
	err = readSeed(name, &c)
	return c, err
}

// ReadIdentityStore reads a seed file for the Identity Store, as ReadCompany does.
func ReadIdentityStore(name string) (s IdentityStore, err error) {
	err = readSeed(name, &s)
	return s, err
}

func readSeed(name string, into any) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	if filepath.Ext(name) == ".json" {
		d := json.NewDecoder(file)
		d.DisallowUnknownFields()
		err = d.Decode(into)
	} else {
		err = toml.NewDecoder(file).DisallowUnknownFields().Decode(into)
	}
	if err != nil {
		return fmt.Errorf("read seed %q: %w", name, err)
	}
	return nil
}

// Size is how big a generated company is.
type Size struct {
	Users  int
	Keys   int // a user
	Groups int // besides "everyone", which all users are in
	Seed   uint64
}

// GroupsPerUser is IAM's quota, which a generated company fills at most.
const GroupsPerUser = 10

// Generate makes a company up: users user-00001 and so on, all in the group
// "everyone" and each in up to three of group-001 and so on. Keys have the form
// of RSA keys, and nobody has their private halves.
func Generate(size Size) Company {
	c := Company{Groups: []Group{{Name: "everyone"}}}
	for g := range size.Groups {
		c.Groups = append(c.Groups, Group{Name: fmt.Sprintf("group-%03d", g+1)})
	}
	keys := newKeyMaker(size.Seed)
	for u := range size.Users {
		user := User{Name: fmt.Sprintf("user-%05d", u+1), Groups: []string{"everyone"}}
		for g := range min(3, size.Groups) {
			// The strides are coprime to most counts, which spreads members over all groups.
			n := (u*(2*g+1) + g*7) % size.Groups
			name := c.Groups[n+1].Name
			if !contains(user.Groups, name) {
				user.Groups = append(user.Groups, name)
			}
		}
		for range size.Keys {
			user.Keys = append(user.Keys, Key{Body: keys.line(user.Name)})
		}
		c.Users = append(c.Users, user)
	}
	return c
}

func contains(list []string, s string) bool {
	for _, have := range list {
		if have == s {
			return true
		}
	}
	return false
}

// found fills the empty state with a company. The caller holds e.mu.
func (e *Emulator) found(c Company) error {
	for _, g := range c.Groups {
		if _, err := e.addGroup(e.state, g); err != nil {
			return fmt.Errorf("found group %q: %w", g.Name, err)
		}
	}
	for _, u := range c.Users {
		if err := e.addWholeUser(e.state, u); err != nil {
			return fmt.Errorf("found user %q: %w", u.Name, err)
		}
	}
	return nil
}

// Company is what is in the account now, as writers see it, sorted by name.
func (e *Emulator) Company() Company {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := Company{Account: e.options.Company.Account}
	for _, g := range e.state.sortedGroups() {
		c.Groups = append(c.Groups, Group{ID: g.id, Name: g.name, Path: g.path, Created: g.created})
	}
	for _, u := range e.state.sortedUsers() {
		user := User{ID: u.id, Name: u.name, Path: u.path, Created: u.created}
		for _, g := range e.state.groupsOf(u) {
			user.Groups = append(user.Groups, g.name)
		}
		for _, k := range u.keys {
			user.Keys = append(user.Keys, Key{ID: k.id, Body: k.body, Status: k.status, Uploaded: k.uploaded})
		}
		if len(u.tags) > 0 {
			user.Tags = make(map[string]string)
			for _, t := range u.tags {
				user.Tags[t.key] = t.value
			}
		}
		c.Users = append(c.Users, user)
	}
	return c
}

// A Duration is a time.Duration that JSON and TOML write as "250ms".
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration does.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// MarshalText writes what UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }
