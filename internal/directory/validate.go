package directory

import (
	"errors"
	"fmt"
	"sort"
	"strings"
)

// ErrMalformed is in every error of Validate: the answer as a whole cannot be
// what IAM says, and nothing may be concluded from it.
var ErrMalformed = errors.New("malformed directory")

// MaxID is the longest id of IAM, in characters.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const MaxID = 128

// A Refusal is a user or group that cannot be one of its directory's, because of
// what it is called, or of which the directory does not say enough. It is left
// out alone; the rest of the answer stands.
type Refusal struct {
	ID     string
	Name   string // as received: not to be shown unquoted
	Reason string
	Remedy string `json:",omitempty"` // where the source knows one
}

// Validate checks the order, uniqueness and completeness that a Directory
// promises. The error wraps ErrMalformed. Users and groups with names outside
// their directory's character set or lengths are returned one by one, ascending
// by ID, users first.
func Validate(d Directory) ([]Refusal, error) {
	var refused []Refusal
	for _, r := range d.Refused {
		if !validID(r.ID) {
			return nil, notGiven(r.Name, "refused entry", r.ID)
		}
	}
	for i, u := range d.Users {
		if i > 0 && d.Users[i-1].ID >= u.ID {
			return nil, outOfOrder("user", u.ID, d.Users[i-1].ID)
		}
		if !validID(u.ID) {
			return nil, notGiven(u.Name, "user", u.ID)
		}
		if reason := formOf(u.ID).nameProblem(u.Name, false); reason != "" {
			refused = append(refused, Refusal{ID: u.ID, Name: u.Name, Reason: reason})
		}
	}
	for i, g := range d.Groups {
		if i > 0 && d.Groups[i-1].ID >= g.ID {
			return nil, outOfOrder("group", g.ID, d.Groups[i-1].ID)
		}
		if !validID(g.ID) {
			return nil, notGiven(g.Name, "group", g.ID)
		}
		if reason := formOf(g.ID).nameProblem(g.Name, true); reason != "" {
			refused = append(refused, Refusal{ID: g.ID, Name: g.Name, Reason: reason})
		}
	}
	if err := validateMembers(d); err != nil {
		return nil, err
	}
	for _, c := range d.Others {
		if !validID(c.ID) {
			return nil, notGiven(c.Name, "claimant", c.ID)
		}
	}
	return refused, nil
}

func outOfOrder(kind, id, before string) error {
	if id == before {
		return fmt.Errorf("%w: %s %.80q stands in it twice", ErrMalformed, kind, id)
	}
	return fmt.Errorf("%w: %s %.80q stands after %.80q", ErrMalformed, kind, id, before)
}

func validateMembers(d Directory) error {
	known := make(map[string]struct{}, len(d.Users))
	for i := range d.Users {
		known[d.Users[i].ID] = struct{}{}
	}
	for _, g := range d.Groups {
		for i, id := range g.Members {
			if i > 0 && g.Members[i-1] >= id {
				return fmt.Errorf("group %.80q: %w", g.Name, outOfOrder("member", id, g.Members[i-1]))
			}
			if _, found := known[id]; !found {
				return fmt.Errorf("%w: group %.80q has the member %.80q, who is no user of it", ErrMalformed, g.Name, id)
			}
		}
	}
	return nil
}

func notGiven(name, kind, id string) error {
	return fmt.Errorf("%w: %s %.80q has the id %.80q, which no directory gives", ErrMalformed, kind, name, id)
}

// validID accepts IAM's idType in ASCII, shorter ids too, and ids with hyphens.
func validID(id string) bool {
	return id != "" && len(id) <= MaxID && !strings.ContainsFunc(id, func(c rune) bool {
		return !letterOrDigit(c) && c != '_' && c != '-'
	})
}

// Sort puts users, groups and members in the order that a Directory promises.
func (d *Directory) Sort() {
	sort.Slice(d.Users, func(i, j int) bool { return d.Users[i].ID < d.Users[j].ID })
	sort.Slice(d.Groups, func(i, j int) bool { return d.Groups[i].ID < d.Groups[j].ID })
	for i := range d.Groups {
		sort.Strings(d.Groups[i].Members)
	}
}

// User finds a user by id.
func (d Directory) User(id string) (User, bool) {
	i := sort.Search(len(d.Users), func(i int) bool { return d.Users[i].ID >= id })
	if i == len(d.Users) || d.Users[i].ID != id {
		return User{}, false
	}
	return d.Users[i], true
}

// Group finds a group by id.
func (d Directory) Group(id string) (Group, bool) {
	i := sort.Search(len(d.Groups), func(i int) bool { return d.Groups[i].ID >= id })
	if i == len(d.Groups) || d.Groups[i].ID != id {
		return Group{}, false
	}
	return d.Groups[i], true
}

// GroupNamed finds a group by name without regard to letter case, as IAM does.
func (d Directory) GroupNamed(name string) (Group, bool) {
	for _, g := range d.Groups {
		if SameName(g.Name, name) {
			return g, true
		}
	}
	return Group{}, false
}
