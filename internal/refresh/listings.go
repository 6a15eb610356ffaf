package refresh

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// listings are the key listings in the state, and when each was made.
type listings struct {
	setup *Setup

	mu      sync.Mutex
	checked map[string]time.Time // user id → when the keys were last listed; nil: not read from the state yet
	news    int                  // see Logins.News
}

// lastChecked returns when each user's keys were last listed, by user id.
func (l *listings) lastChecked() (map[string]time.Time, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.read(); err != nil {
		return nil, err
	}
	return maps.Clone(l.checked), nil
}

// read fills checked. The caller holds l.mu.
func (l *listings) read() (err error) {
	if l.checked == nil {
		l.checked, err = l.setup.State.Checked()
	}
	return err
}

// save keeps listings by user id, and reports whether they say anything new
// besides that the keys were looked at. They count although they cannot be
// written.
func (l *listings) save(made map[string]directory.KeyListing) (news bool, err error) {
	for id, listing := range made {
		before, ok, err := l.setup.State.Listing(id)
		if err != nil {
			return false, err
		}
		// Times that were ahead of a clock that was set back must not stay.
		news = news || !ok || !slices.Equal(before.Keys, listing.Keys) || !maps.Equal(before.Tags, listing.Tags) ||
			before.Checked.After(listing.Checked)
	}
	if err := l.setup.State.SaveListings(made); err != nil {
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.read(); err != nil {
		return false, err
	}
	for id, listing := range made {
		l.checked[id] = listing.Checked
	}
	if news {
		l.news++
	}
	return news, nil
}

// keep drops the listings of all other users, so that a user who comes back
// starts without old keys.
func (l *listings) keep(userIDs map[string]bool) error {
	checked, err := l.lastChecked()
	if err != nil {
		return err
	}
	maps.DeleteFunc(checked, func(id string, _ time.Time) bool { return userIDs[id] })
	others := slices.Collect(maps.Keys(checked))
	if err := l.setup.State.Forget(others); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range others {
		delete(l.checked, id)
	}
	return nil
}
