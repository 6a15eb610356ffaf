package refresh

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
)

// adopt adds to a host's memory those who were gone before it came.
func adopt(past accounts.History, former []Former, a answer) accounts.History {
	var gone []accounts.Entry
	for _, f := range former {
		if record, ok := a.policy.Former(f.ID, f.Name, f.Left); ok {
			gone = append(gone, record)
		}
	}
	return past.Adopt(gone)
}

// stillGone returns who is gone by this result, and who was before, is not
// back, and whose end Ended was not told.
func (r *Refresher) stillGone(result accounts.Result) ([]accounts.User, error) {
	var gone []accounts.User
	if err := r.State.Load(savedGone, &gone); err != nil {
		return nil, err
	}
	gone = append(gone, result.NewFormer...)
	former := map[uint32]string{}
	for _, u := range result.Tables.Users {
		if u.Former {
			former[u.UID] = u.ID
		}
	}
	slices.SortFunc(gone, func(a, b accounts.User) int { return cmp.Compare(a.UID, b.UID) })
	gone = slices.CompactFunc(gone, func(a, b accounts.User) bool { return a.UID == b.UID })
	return slices.DeleteFunc(gone, func(u accounts.User) bool { return former[u.UID] != u.ID }), nil
}

// Ended says that nothing of the users is left to end: see TellGone.
func (r *Refresher) Ended(users []accounts.User) error {
	r.State.Publish.Lock()
	defer r.State.Publish.Unlock()
	var gone []accounts.User
	if err := r.State.Load(savedGone, &gone); err != nil {
		return err
	}
	gone = slices.DeleteFunc(gone, func(u accounts.User) bool {
		return slices.ContainsFunc(users, func(e accounts.User) bool { return e.ID == u.ID && e.UID == u.UID })
	})
	r.mu.Lock()
	r.answer.outcome.Gone = gone
	r.mu.Unlock()
	return r.State.Save(map[string]any{savedGone: gone})
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
