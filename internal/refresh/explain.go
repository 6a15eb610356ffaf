package refresh

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
)

// An Explanation says why somebody can or cannot log in. It survives JSON.
type Explanation struct {
	accounts.Explanation
	Directory  string    // what people call the directory that was read
	Keyless    bool      `json:",omitempty"` // it holds no keys of anybody
	KeysListed time.Time `json:",omitzero"`  // when the directory was last asked for the keys; zero: never
	// KeyRemedy says how a key comes into the directory, in the source's words; set where there is none
	KeyRemedy string         `json:",omitempty"`
	Keys      []ExplainedKey `json:",omitempty"`
	// the user lost a right since the last refresh: no key opens anything from the cache
	Denied bool `json:",omitempty"`

	KeysRefused string     `json:",omitempty"` // why the directory does not answer about the keys
	Cached      *KeysCache `json:",omitempty"` // of a person who may log in: what keys.db has; nil: nobody of this name
}

// A KeysCache says what a person's cached keys open.
type KeysCache struct {
	Checked time.Time `json:",omitzero"`  // when the directory was asked, as keys.db has it
	Until   time.Time `json:",omitzero"`  // from when on they open nothing; zero: no limit
	Useless string    `json:",omitempty"` // why they open nothing now
}

// An ExplainedKey is one of a person's keys and what becomes of it.
type ExplainedKey struct {
	ID          string
	Type        string    `json:",omitempty"`
	Fingerprint string    `json:",omitempty"`
	Expires     time.Time `json:",omitzero"`
	Refused     string    `json:",omitempty"` // why it opens nothing
}

// Explain explains all users and groups that the query names by the last answer: see
// accounts.Explain.
func (r *Refresher) Explain(query string) ([]Explanation, error) {
	a := r.last()
	r.mu.Lock()
	refused, failed := r.refused.err, r.failed
	r.mu.Unlock()
	switch {
	case !a.known && failed != nil: // a refresh by hand would fail too
		return nil, fmt.Errorf("no directory was read yet: %w", failed)
	case !a.known:
		return nil, errors.New(`no directory was read yet; run "iam-cachefill refresh" first`)
	}
	host, err := r.Host()
	if err != nil {
		return nil, err
	}
	denied := r.denials.since(a.at)
	found, err := accounts.Explain(accounts.Input{
		Directory: a.directory, Policy: a.policy, Host: host, History: a.result.History, Now: r.Now(), Denied: denied,
		ForeignHomes: a.homes,
		Grants:       r.grants(a.result),
	}, query)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 && refused != nil {
		return nil, fmt.Errorf("no user or group named %.200q is known, and the last answer was refused: %w", query, refused)
	}
	all := make([]Explanation, len(found))
	for i, x := range found {
		all[i].Explanation, all[i].Directory, all[i].Keyless = x, a.directory.Title(), a.directory.Keyless()
		if err := all[i].addKeys(r.Logins); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// addKeys adds what a person's keys open, if they open anything.
func (x *Explanation) addKeys(l *Logins) error {
	a := l.last()
	i := slices.IndexFunc(a.people, func(p person) bool { return p.ID == x.ID })
	if i < 0 {
		return nil
	}
	listing, _, err := l.setup.State.Listing(x.ID)
	if err != nil {
		return err
	}
	x.KeysRefused = l.listings.refusalOf(x.ID)
	x.Cached = cached(l.setup.Dir, a.people[i].Name, l.setup.Now())
	x.Denied, x.KeysListed = l.denials.has(x.ID), listing.Checked
	_, selection := selectKeys(l.setup.Keys, a.people[i], listing, a.at, l.setup.Now())
	if len(listing.Keys) == 0 && !listing.Checked.IsZero() {
		x.KeyRemedy = l.setup.KeyRemedy
	}
	for _, k := range selection.Keys {
		x.Keys = append(x.Keys, ExplainedKey{ID: k.ID, Type: k.Type, Fingerprint: k.SHA256(), Expires: k.Expires})
	}
	for _, k := range selection.Refused {
		x.Keys = append(x.Keys, ExplainedKey{ID: k.ID, Refused: k.Err.Error()})
	}
	return nil
}

// cached says what keys.db, which decides, has of a login name.
func cached(dir, name string, now time.Time) *KeysCache {
	found, err := cache.LookupKeys(dir, name)
	switch {
	case err != nil:
		return &KeysCache{Useless: err.Error()}
	case found.User == nil:
		return nil
	case found.Policy.Online == "require":
		return &KeysCache{Checked: found.User.Checked}
	}
	c := KeysCache{Checked: found.User.Checked, Until: found.Policy.Until(found.User.Checked)}
	if err := found.Policy.Usable(c.Checked, now); err != nil {
		c.Useless = err.Error()
	}
	return &c
}
