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
	ID      string // UserId
	IAMName string
	Name    string // the login name; for those who only enter shared accounts, their mark
	UID     uint32 // 0 without Login
	Login   bool
	Shared  []string  // local accounts, ascending
	End     time.Time // when the account ends; zero: never
	tags    map[string]string
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
		p.IAMName, p.tags = u.Name, u.Tags
		if !p.Login {
			if p.Name = mark(u, names); p.Name == "" {
				continue
			}
			names[p.Name] = true
		}
		all = append(all, *p)
	}
	return all
}

// mark names somebody who has no login of the own: the IAM name where it can
// be mistaken for nobody else's, else the UserId, and should somebody be named
// after that as well, the UserId with an addition. "" is returned only where
// many were.
func mark(u directory.User, taken map[string]bool) string {
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

// userKeys makes of a listing what keys.db holds of a person. The directory
// that the person's tags may have come with was asked for at the time given.
func (r *Refresher) userKeys(p person, l directory.KeyListing, asked time.Time) (cache.UserKeys, keys.Selection) {
	u := cache.UserKeys{Name: p.Name, UID: p.UID, Login: p.Login, Checked: l.Checked}
	tags := l.Tags
	if p.tags != nil && (tags == nil || asked.After(l.Checked)) {
		tags = p.tags
	}
	selection := r.Keys.Select(keys.Source{Keys: l.Keys, Tags: tags, End: p.End}, r.Now())
	u.Keys = selection.Keys
	return u, selection
}

// notice logs something about which a person may want to do something, once.
func (r *Refresher) notice(what, message string, args ...any) {
	r.mu.Lock()
	known := r.noticed[what]
	if r.noticed == nil {
		r.noticed = map[string]bool{}
	}
	r.noticed[what] = true
	r.mu.Unlock()
	if !known {
		r.Log.Warn(message, args...)
	}
}
