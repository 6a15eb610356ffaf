package refresh

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// listings are the key listings in the state, and when each was made.
type listings struct {
	setup *Setup

	mu      sync.Mutex
	checked map[string]time.Time // user id → when the keys were last listed; nil: not read from the state yet
	refused map[string]refusal   // user id → why there is no newer listing
	news    int                  // see Logins.News
}

// A refusal is why the directory did not answer about a user's keys.
type refusal struct {
	name string
	err  error
	at   time.Time
}

// learned counts what was learned: see Logins.News.
func (l *listings) learned() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.news
}

// refuse notes that the directory refused to answer about a user.
func (l *listings) refuse(p person, err error, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused == nil {
		l.refused = map[string]refusal{}
	}
	l.refused[p.ID] = refusal{p.DirectoryName, err, at}
}

// forgive forgets who was refused.
func (l *listings) forgive() {
	l.mu.Lock()
	clear(l.refused)
	l.mu.Unlock()
}

// refusalOf is why the directory does not answer about a user's keys, or "".
func (l *listings) refusalOf(userID string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r, ok := l.refused[userID]; ok {
		return fmt.Sprintf("%.600v", r.err)
	}
	return ""
}

// refusedSince are the ids of the users who were refused after a time.
func (l *listings) refusedSince(t time.Time) (ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, r := range l.refused {
		if r.at.After(t) {
			ids = append(ids, id)
		}
	}
	return ids
}

// findings are the users about whose keys the directory does not answer.
func (l *listings) findings() (all []accounts.Finding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(l.refused)) {
		r := l.refused[id]
		all = append(all, accounts.Finding{
			Kind: "user", ID: id, DirectoryName: r.name, Reason: accounts.KeysRefused,
			Detail: fmt.Sprintf("%.600v", r.err), Remedy: "until then the keys known so far open logins, for keys.max_stale " +
				"at most",
		})
	}
	return all
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

// save keeps listings by user id, and reports whether any of them differs from the
// one before in more than its time.
func (l *listings) save(made map[string]directory.KeyListing) (news bool, err error) {
	for id, listing := range made {
		before, ok, err := l.setup.State.Listing(id)
		if err != nil {
			return false, err
		}
		// After the clock was set back, times that lie in the future must not stay.
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
		delete(l.refused, id)
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
	maps.DeleteFunc(l.refused, func(id string, _ refusal) bool { return !userIDs[id] })
	return nil
}
