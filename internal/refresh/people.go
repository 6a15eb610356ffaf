package refresh

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/keys"
)

// A person is somebody whose keys open something on this host.
type person struct {
	ID            string // UserId
	DirectoryName string
	Name          string // the login name; for those who only enter shared accounts, their mark
	UID           uint32 // 0 without Login
	Login         bool
	Shared        []string  // local accounts, ascending
	End           time.Time // when the account ends; zero: never
	tags          map[string]string
}

// opens reports whether the person's keys open anything.
func (p person) opens() bool { return p.Login || len(p.Shared) > 0 }

// admission is what an answer says about logins.
func (a answer) admission(wholeAccount bool) admission {
	m := admission{known: a.known, at: a.at, policy: a.policy, people: a.people(), keysCome: a.keysCome}
	if wholeAccount {
		m.others = a.others(m.people)
	}
	return m
}

// people returns everybody whose keys open something, ascending by UserId.
func (a answer) people() []person {
	byID := map[string]*person{}
	names := map[string]bool{}
	served := map[string]accounts.User{}
	for _, u := range a.result.Tables.Users {
		served[u.ID] = u
		names[u.Name] = true
	}
	for _, id := range a.result.Admitted {
		if u, ok := served[id]; ok {
			byID[id] = &person{ID: id, Name: u.Name, UID: u.UID, Login: true, End: u.Expires}
		}
	}
	for _, account := range slices.Sorted(maps.Keys(a.result.Shared)) {
		for _, id := range a.result.Shared[account] {
			if byID[id] == nil {
				byID[id] = &person{ID: id}
			}
			byID[id].Shared = append(byID[id].Shared, account)
		}
	}
	all := make([]person, 0, len(byID))
	for _, u := range a.directory.Users {
		p := byID[u.ID]
		if p == nil {
			continue
		}
		p.DirectoryName, p.tags = u.Name, u.Tags
		if !p.Login {
			if p.Name = keysName(u, names); p.Name == "" {
				continue
			}
			names[p.Name] = true
		}
		all = append(all, *p)
	}
	return all
}

// others are the users of the directory who are not among people.
func (a answer) others(people []person) (others []person) {
	here := make(map[string]bool, len(people))
	for _, p := range people {
		here[p.ID] = true
	}
	for _, u := range a.directory.Users {
		if !here[u.ID] {
			others = append(others, person{ID: u.ID, DirectoryName: u.Name, Name: u.Name, tags: u.Tags})
		}
	}
	return others
}

// users are the ids of the users whose key listings are kept.
func (a answer) users(wholeAccount bool) map[string]bool {
	ids := map[string]bool{}
	for _, u := range a.result.Tables.Users {
		if !u.Former {
			ids[u.ID] = true
		}
	}
	for _, members := range a.result.Shared {
		for _, id := range members {
			ids[id] = true
		}
	}
	if wholeAccount {
		for _, u := range a.directory.Users {
			ids[u.ID] = true
		}
	}
	return ids
}

// keysName returns the name in keys.db of a user who may only enter shared
// accounts: the directory name if nobody else has it, else the user id, with "_"
// appended until it is unique. It is "" if that gets too long.
func keysName(u directory.User, taken map[string]bool) string {
	m := u.ID
	if !strings.HasPrefix(u.Name, "AIDA") {
		m = u.Name
	}
	if taken[m] || !cache.ValidName(m) {
		m = u.ID
	}
	for taken[m] || !cache.ValidName(m) {
		if m += "_"; len(m) > cache.MaxNameLen {
			return ""
		}
	}
	return m
}

// selectKeys turns a listing into what keys.db holds of a person. The person's tags,
// if the directory's answer had them, are from the time asked.
func selectKeys(policy keys.Policy, p person, l directory.KeyListing, asked, now time.Time) (cache.UserKeys,
	keys.Selection) {
	u := cache.UserKeys{Name: p.Name, UID: p.UID, Login: p.Login, Checked: l.Checked}
	tags := l.Tags
	if p.tags != nil && (tags == nil || asked.After(l.Checked)) {
		tags = p.tags
	}
	selection := policy.Select(keys.Source{Keys: l.Keys, Tags: tags, End: p.End}, now)
	u.Keys = selection.Keys
	return u, selection
}
