package refresh

import (
	"maps"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// adopt adds to a host's memory those who were gone before it came.
func adopt(past accounts.History, former []directory.Former, a answer) accounts.History {
	var gone []accounts.Entry
	for _, f := range former {
		if record, ok := a.policy.Former(f.ID, f.Name, f.Left); ok {
			gone = append(gone, record)
		}
	}
	return past.Adopt(gone)
}

// forget drops the key listings of those who are gone, so that somebody who
// comes back starts without old keys.
func (r *Refresher) forget(a answer) error {
	here := map[string]bool{}
	for _, u := range a.result.Tables.Users {
		if !u.Former {
			here[u.ID] = true
		}
	}
	for _, ids := range a.result.Shared {
		for _, id := range ids {
			here[id] = true
		}
	}
	if r.Everybody {
		for _, u := range a.directory.Users {
			here[u.ID] = true
		}
	}
	checked, err := r.lastChecked()
	if err != nil {
		return err
	}
	var gone []string
	for id := range checked {
		if !here[id] {
			gone = append(gone, id)
		}
	}
	if err := r.State.Forget(gone); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range gone {
		delete(r.checked, id)
	}
	return nil
}

// lastChecked returns when each user's keys were last listed.
func (r *Refresher) lastChecked() (map[string]time.Time, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.checked == nil {
		checked, err := r.State.Checked()
		if err != nil {
			return nil, err
		}
		r.checked = checked
	}
	return maps.Clone(r.checked), nil
}
