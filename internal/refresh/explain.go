package refresh

import (
	"errors"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
)

// An Explanation says why somebody can or cannot log in. It survives JSON.
type Explanation struct {
	accounts.Explanation
	KeysListed time.Time      `json:",omitzero"` // when IAM was last asked for the keys; zero: never
	Keys       []ExplainedKey `json:",omitempty"`
	Denied     bool           `json:",omitempty"` // a right was lost since the last refresh, so that no key opens anything from the cache
}

// An ExplainedKey is one of a person's keys and what becomes of it.
type ExplainedKey struct {
	ID          string
	Type        string    `json:",omitempty"`
	Fingerprint string    `json:",omitempty"`
	Expires     time.Time `json:",omitzero"`
	Refused     string    `json:",omitempty"` // why it opens nothing
}

// Explain explains all whom the query names by the last answer: see
// accounts.Explain.
func (r *Refresher) Explain(query string) ([]Explanation, error) {
	a := r.last()
	if !a.known {
		return nil, errors.New(`nothing is known yet; run "iam-cachefill refresh" first`)
	}
	host, err := r.Host()
	if err != nil {
		return nil, err
	}
	denied := r.deniedSince(a.at)
	found, err := accounts.Explain(accounts.Input{
		Directory: a.directory, Policy: a.policy, Host: host, History: a.result.History, Now: r.Now(), Denied: denied,
	}, query)
	if err != nil {
		return nil, err
	}
	people := map[string]person{}
	for _, p := range a.allowed {
		people[p.ID] = p
	}
	all := make([]Explanation, len(found))
	for i, x := range found {
		all[i].Explanation = x
		p, ok := people[x.ID]
		if !ok {
			continue
		}
		l, _, err := r.State.Listing(x.ID)
		if err != nil {
			return nil, err
		}
		r.mu.Lock()
		_, all[i].Denied = r.denied[x.ID]
		r.mu.Unlock()
		all[i].KeysListed = l.Checked
		_, selection := r.userKeys(p, l, a.at)
		for _, k := range selection.Keys {
			all[i].Keys = append(all[i].Keys, ExplainedKey{ID: k.ID, Type: k.Type, Fingerprint: k.SHA256(), Expires: k.Expires})
		}
		for _, k := range selection.Refused {
			all[i].Keys = append(all[i].Keys, ExplainedKey{ID: k.ID, Refused: k.Err.Error()})
		}
	}
	return all, nil
}
